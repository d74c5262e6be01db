"""Where the demo's clients live: locale, script, language, currency, phone region, and cities with a boutique.

Phone numbers are drawn around the example numbers of the `phonenumbers` metadata; e-mail addresses lie in the domains
that RFC 2606 reserves. Nobody can be reached by either.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """A country as the demo knows it. `share` is its weight among the clients."""

    country: str
    locale: str  # Faker's
    script: str  # ISO 15924; Latn needs no native spelling
    language: str
    currency: str
    cities: tuple[tuple[str, str], ...]  # (city, boutique code)
    share: int


PLACES: Final = (
    Place("FR", "fr_FR", "Latn", "fr", "EUR", (("Paris", "PAR1"), ("Lyon", "LYO1"), ("Cannes", "CAN1")), 24),
    Place("GB", "en_GB", "Latn", "en", "GBP", (("London", "LON1"), ("Edinburgh", "EDI1")), 10),
    Place("IT", "it_IT", "Latn", "it", "EUR", (("Milano", "MIL1"), ("Roma", "ROM1")), 9),
    Place("CH", "de_CH", "Latn", "de", "CHF", (("Zürich", "ZRH1"), ("Genève", "GVA1")), 6),
    Place("US", "en_US", "Latn", "en", "USD", (("New York", "NYC1"), ("Los Angeles", "LAX1")), 11),
    Place("JP", "ja_JP", "Jpan", "ja", "JPY", (("東京都", "TYO1"), ("大阪市", "OSA1")), 12),
    Place("CN", "zh_CN", "Hans", "zh", "CNY", (("上海市", "SHA1"), ("北京市", "PEK1")), 12),
    Place("KR", "ko_KR", "Kore", "ko", "KRW", (("서울특별시", "SEL1"),), 6),
    Place("AE", "ar_AA", "Arab", "ar", "AED", (("Dubai", "DXB1"), ("Abu Dhabi", "AUH1")), 6),
    Place("RU", "ru_RU", "Cyrl", "ru", "RUB", (("Москва", "MOW1"),), 4),
)
