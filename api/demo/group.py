"""What each maison knows of its clients, as rows of the group's import (`POST /v1/imports`).

One row is one person: `{"ref", "region", "holdings": [{"brand", "fields", "consents"}, …]}`. About one person in seven
is known to two maisons; the row says so, because at the migration the group's own system is the one that knows.
"""

import datetime as dt
import random  # noqa: TID251 - reproducible make-believe, see api.demo.people
from collections.abc import Iterator, Mapping
from typing import Any, Final

from api.demo.people import DAY, SEED, Person, Population, stream

SIZE: Final = 2000
IMPORT_KEY: Final = "demo-group-2026-11-01"  # the import's Idempotency-Key: a second run finds every row done

Fields = dict[str, Any]

CODES: Final = {"aurelle": "AUR", "vantier": "VAN", "solenne": "SOL"}
FAMILIES: Final = {
    "aurelle": (("high_jewellery", "Collier Aube", 48_000), ("jewellery", "Bague Orée", 6_400), ("jewellery", "Puces Rosée", 2_900)),
    "vantier": (("watches", "Régulateur 39", 18_500), ("watches", "Quantième", 31_000), ("accessories", "Bracelet alligator", 520)),
    "solenne": (("leather_goods", "Sac Méridien", 3_600), ("leather_goods", "Malle de ville", 7_900), ("accessories", "Carré Rives", 390)),
}  # fmt: skip
RATES: Final = {"EUR": 1, "GBP": 1, "CHF": 1, "USD": 1, "JPY": 160, "CNY": 8, "KRW": 1500, "AED": 4, "RUB": 95}
WHOLE: Final = frozenset({"JPY", "KRW"})  # currencies without a smaller unit

STONES: Final = ("diamond", "ruby", "sapphire", "emerald", "pearl", "jade", "opal", "spinel")
METALS: Final = ("yellow_gold", "white_gold", "rose_gold", "platinum")
CASES: Final = ("steel", "titanium", "rose_gold", "platinum")
LEATHERS: Final = ("calf", "lamb", "goat", "suede")
STYLES: Final = ("classic", "contemporary", "discreet", "bold", "vintage")
INTERESTS: Final = ("art", "music", "horology", "equestrian", "sailing", "gastronomy", "travel", "design")
COLOURS: Final = ("midnight blue", "ivory", "vermilion", "celadon", "aubergine", "saffron")
FLOWERS: Final = ("white peonies", "camellias", "ranunculus", "mimosa", "orchids")
TEA: Final = ("sencha", "champagne", "still water", "mint tea", "espresso")
NOTES: Final = {
    "fr": (
        ("taste", "Préfère les lignes épurées ; revient volontiers sur les pierres de couleur."),
        ("service", "Souhaite être reçue au calme, sans attendre au comptoir."),
        ("occasion", "Cherche un cadeau pour les vingt ans de sa fille."),
    ),
    "en": (
        ("taste", "Prefers clean lines; always returns to coloured stones."),
        ("service", "Likes to be seen quietly, away from the counter."),
        ("travel", "Travels in spring; would rather collect abroad."),
    ),
}

RING: Final = ("49", "50", "51", "52", "53", "54", "55", "56", "57")


class Group:
    """The demo group. `rows` yields the import; `person` gives one client's truth, for the story to check against."""

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed
        self._population = Population(seed)

    def person(self, number: int) -> Person:
        """Return one client by number, from 1."""
        return self._population.person(number)

    def rows(self, count: int = SIZE) -> Iterator[dict[str, Any]]:
        """Yield the first `count` clients as import rows."""
        for person in self._population.people(count):
            yield self.row(person)

    def row(self, person: Person) -> dict[str, Any]:
        """Shape one person as an import row."""
        holdings = [
            {"brand": brand, "fields": self.fields(person, brand), "consents": self.consents(person, brand)}
            for brand in person.maisons
        ]
        return {"ref": f"client-{person.number:05d}", "region": person.place.country.lower(), "holdings": holdings}

    def fields(self, person: Person, brand: str) -> Fields:
        """Make up what one maison knows: who somebody is, how to reach them, what they like, and what passed between them."""
        draw = stream(self._seed, person.number, brand)
        return {
            **_identity(person, brand, draw),
            **_reach(person, draw),
            **_tastes(person, brand, draw),
            **_sizes(brand, draw),
            **_history(person, brand, draw),
            **_allergies(person, brand),
        }

    def consents(self, person: Person, brand: str) -> list[Fields]:
        """Make up what the person agreed to at this maison, each with the notice that was shown."""
        draw = stream(self._seed, person.number, brand, "consents")
        chances = {
            "clienteling": 0.93,
            "marketing.email": 0.55,
            "marketing.post": 0.3,
            "marketing.events": 0.15 * person.wealth,
            "clienteling.hospitality": 1.0 if _allergies(person, brand) else 0.0,
            "group.profile_sharing": 0.3 if person.number > 1 and len(person.maisons) > 1 else 0.0,
        }
        given = [
            purpose for purpose, chance in chances.items() if draw.random() < chance or purpose in _heroines(person)
        ]
        return [consent(purpose, person, DAY - dt.timedelta(days=draw.randint(30, 600))) for purpose in given]


def consent(purpose: str, person: Person, day: dt.date) -> Fields:
    """Shape one consent with its evidence: which text, in which language, where, when, by whom collected."""
    return {
        "purpose": purpose,
        "notice": {"id": NOTICE_OF[purpose], "version": 1, "language": "fr" if person.place.language == "fr" else "en"},
        "channel": "in_store",
        "place": person.boutique,
        "collector": f"advisor-{person.boutique}-{person.number % 7}",
        "event_at": int(dt.datetime.combine(day, dt.time(15), dt.UTC).timestamp()),
        "jurisdiction": person.place.country.lower(),
    }


NOTICE_OF: Final[Mapping[str, str]] = {
    "clienteling": "clienteling",
    "clienteling.hospitality": "hospitality",
    "marketing.email": "marketing_email",
    "marketing.post": "marketing_post",
    "marketing.events": "marketing_events",
    "group.profile_sharing": "group_profile_sharing",
}


def _heroines(person: Person) -> frozenset[str]:
    """Settle for the lady of the story what chance settles for others: she takes advice, and is not shared."""
    return frozenset({"clienteling"}) if person.number == 1 else frozenset()


def _identity(person: Person, brand: str, draw: random.Random) -> Fields:
    fields: Fields = {
        "client_number": f"{CODES[brand]}-{person.number:06d}",
        "name": person.name,
        "nationality": [person.place.country],
        "standing": ("prospect", "client", "client", "loyal", "privileged", "grand_client")[person.wealth],
        "identity_verified": draw.random() < 0.7,  # noqa: PLR2004
        "birth_date": person.born.isoformat(),
        "client_since": _past(draw, 200, 5000),
    }
    return fields


def _reach(person: Person, draw: random.Random) -> Fields:
    fields: Fields = {
        "phone": list(person.phones),
        "email": [person.email],
        "contact_channel": draw.sample(("phone", "text_message", "messaging", "email", "letter"), draw.randint(1, 2)),
        "contact_hours": [draw.choice(("weekday_morning", "weekday_afternoon", "weekday_evening", "weekend"))],
        "postal_address": [person.address],
        "residence_country": person.place.country,
        "preferred_language": person.place.language,
        "preferred_boutique": person.boutique,
        "advisor": f"advisor-{person.boutique}-{person.number % 7}",
    }
    if person.wealth > 3:  # noqa: PLR2004
        fields["discretion"] = draw.sample(("plain_packaging", "never_mention_purchases", "own_advisor_only"), 2)
        fields["household_links"] = [{"relation": draw.choice(("spouse", "partner", "child", "assistant"))}]
        fields["gift_wrapping"] = draw.choice(("signature", "plain"))
    return fields


def _tastes(person: Person, brand: str, draw: random.Random) -> Fields:
    own: Fields = {
        "aurelle": {"favourite_stones": draw.sample(STONES, 2), "preferred_metals": draw.sample(METALS, 2)},
        "vantier": {"preferred_metals": draw.sample(CASES, 2)},
        "solenne": {"preferred_leathers": draw.sample(LEATHERS, 2), "favourite_colours": draw.sample(COLOURS, 2)},
    }[brand]
    languages = list(dict.fromkeys((person.place.language, "en")))
    return {
        **own,
        "languages": languages,
        "style": [draw.choice(STYLES)],
        "interests": draw.sample(INTERESTS, draw.randint(1, 3)),
        "refreshments": [draw.choice(TEA)],
        "flowers": [draw.choice(FLOWERS)],
        "collections_followed": [draw.choice(FAMILIES[brand])[1]],
    }


def _sizes(brand: str, draw: random.Random) -> Fields:
    def size(value: object, system: str) -> Fields:
        return {"value": str(value), "system": system}

    wrist = size(draw.randint(14, 20), "cm")
    if brand == "aurelle":
        return {
            "ring_size": size(draw.choice(RING), "eu"),
            "wrist_size": wrist,
            "neck_size": size(draw.randint(34, 44), "cm"),
        }
    if brand == "vantier":
        return {"wrist_size": wrist}
    return {"shoe_size": size(draw.randint(36, 45), "eu"), "belt_size": size(draw.randrange(70, 110, 5), "cm")}


def _history(person: Person, brand: str, draw: random.Random) -> Fields:
    """Purchases, visits and notes: journals, each entry its own value."""
    purchases = [_purchase(person, brand, draw) for _ in range(draw.randint(0, person.wealth + 1))]
    visits = [
        {
            "date": _past(draw, 5, 900),
            "boutique": person.boutique,
            "occasion": draw.choice(("appointment", "walk_in", "collection", "event")),
        }
        for _ in range(draw.randint(1, 3))
    ]
    notes = NOTES["fr" if person.place.language == "fr" else "en"]
    topic, text = draw.choice(notes)
    fields: Fields = {
        "visits": visits,
        "advisor_notes": [{"date": _past(draw, 5, 700), "topic": topic, "text": text}],
    }
    if purchases:
        spent = sum(int(item["price"]["amount"].split(".")[0]) for item in purchases)
        fields |= {
            "purchases": purchases,
            "lifetime_spend": _money(spent, person.place.currency),
            "last_purchase_date": max(item["date"] for item in purchases),
        }
    if brand == "vantier" and purchases:
        fields["warranty_until"] = (DAY + dt.timedelta(days=draw.randint(100, 1500))).isoformat()
    if brand != "solenne" and purchases and draw.random() < 0.2:  # noqa: PLR2004
        piece = purchases[0]
        repair = {
            "opened": _past(draw, 3, 60),
            "status": "received",
            "product": piece["product"],
            "serial": piece["serial"],
        }
        fields["repairs"] = [repair]
    if person.wealth > 2:  # noqa: PLR2004
        fields["important_dates"] = [{"occasion": "wedding_anniversary", "date": _past(draw, 800, 9000)}]
        fields["event_interests"] = draw.sample(("preview", "dinner", "exhibition", "workshop_visit"), 2)
    return fields


def _purchase(person: Person, brand: str, draw: random.Random) -> Fields:
    family, product, euros = draw.choice(FAMILIES[brand])
    currency = person.place.currency
    return {
        "date": _past(draw, 10, 2500),
        "family": family,
        "product": product,
        "serial": f"{CODES[brand]}{draw.randint(10**6, 10**7)}",
        "price": _money(euros * RATES[currency], currency),
        "boutique": person.boutique,
    }


def _allergies(person: Person, brand: str) -> Fields:
    """Note a reaction to nickel for a few: the house knows because they said so, and agreed that it may."""
    if brand != "aurelle" or (person.number > 1 and person.number % 16):
        return {}
    return {"allergies": [{"family": "metal", "substance": "nickel"}]}


def _money(amount: int, currency: str) -> Fields:
    return {"amount": str(amount) if currency in WHOLE else f"{amount}.00", "currency": currency}


def _past(draw: random.Random, least: int, most: int) -> str:
    """Pick a day between `least` and `most` days before the fixed day."""
    return (DAY - dt.timedelta(days=draw.randint(least, most))).isoformat()
