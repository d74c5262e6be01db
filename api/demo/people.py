"""Synthetic clients: the same two thousand at every run, from Faker with a fixed seed.

A `Person` is what is true of someone; which maison knows what of it is `api.demo.group`'s part. Dates are relative to
a fixed day, not to today, so that an import repeated later is the same import.
"""

import datetime as dt
import random  # noqa: TID251 - reproducible make-believe, the very opposite of key material
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import phonenumbers
from faker import Faker
from phonenumbers import PhoneNumberType

from api.demo.names import FAMILIES, GIVEN, latin
from api.demo.places import PLACES, Place

SEED: Final = 20261101
DAY: Final = dt.date(2026, 11, 1)
DOMAINS: Final = ("example.com", "example.org", "example.net")
MAISONS: Final = ("aurelle", "vantier", "solenne")
SHARED: Final = 0.15  # of the clients are known to two maisons
FEMALE: Final = 0.62  # as in the trade
_SALUTATIONS: Final = {
    "fr": ("Madame", "Monsieur"),
    "it": ("Signora", "Signor"),
    "de": ("Frau", "Herr"),
    "ja": ("様", "様"),
    "zh": ("女士", "先生"),
    "ko": ("님", "님"),
    "ar": ("السيدة", "السيد"),
    "ru": ("госпожа", "господин"),
}
SECOND_PHONE: Final = 0.25
_LAST_DIGITS: Final = 10_000  # phone numbers differ from the metadata's example in four digits


@dataclass(frozen=True, slots=True)
class Person:
    """Everything the generator made up about one client. Kept out of `repr`, to keep the habit."""

    number: int
    place: Place
    maisons: tuple[str, ...]
    name: dict[str, object] = field(repr=False)
    female: bool = field(repr=False)
    born: dt.date = field(repr=False)
    phones: tuple[str, ...] = field(repr=False)
    email: str = field(repr=False)
    address: dict[str, object] = field(repr=False)
    boutique: str
    wealth: int  # 1 to 5: how much is bought, and how often


def stream(*names: object) -> random.Random:
    """Open a random stream of its own for whatever is named: adding a field for one person then changes nobody else."""
    return random.Random("/".join(map(str, names)))  # noqa: S311 - make-believe


class Population:
    """Makes people from a seed."""

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed
        self._fakers = {place.locale: Faker(place.locale) for place in PLACES}
        self._shares = [place.share for place in PLACES]

    def people(self, count: int) -> Iterator[Person]:
        """Yield `count` people; the first ones are the same for any count."""
        return (self.person(number) for number in range(1, count + 1))

    def person(self, number: int) -> Person:
        """Make up one person. Number 1 is the lady of the story: Parisian, and known to two maisons."""
        draw = stream(self._seed, number)
        heroine = number == 1
        place = PLACES[0] if heroine else draw.choices(PLACES, self._shares)[0]
        faker = self._fakers[place.locale]
        faker.seed_instance(draw.getrandbits(64))
        female = heroine or draw.random() < FEMALE
        name = _name(place, faker, draw, female=female)
        city, boutique = place.cities[0] if heroine else draw.choice(place.cities)
        shared = heroine or draw.random() < SHARED
        maisons = ("aurelle", "vantier") if heroine else tuple(draw.sample(MAISONS, 2 if shared else 1))
        mailbox = f"{name['given']}.{name['family']}".lower().replace(" ", "").replace("'", "")
        return Person(
            number,
            place,
            maisons,
            name,
            female,
            DAY - dt.timedelta(days=draw.randint(21 * 366, 84 * 365)),
            tuple(_phone(place.country, number, extra) for extra in range(2 if draw.random() < SECOND_PHONE else 1)),
            f"{_ascii(mailbox)}.{number}@{draw.choice(DOMAINS)}",
            _address(place, faker, city),
            boutique,
            4 if heroine else draw.choices((1, 2, 3, 4, 5), (30, 30, 22, 12, 6))[0],
        )


def _name(place: Place, faker: Faker, draw: random.Random, *, female: bool) -> dict[str, object]:
    """Spell the name in Latin letters, and natively where that is another script."""
    native: tuple[str, str] | None = None  # (family, given)
    if place.script in FAMILIES:
        (family_native, family), (given_native, given) = (
            draw.choice(FAMILIES[place.script]),
            draw.choice(GIVEN[place.script]),
        )
        native = (family_native, given_native)
    elif place.script == "Jpan":
        family_native, _, family = faker.last_name_pair()
        given_native, _, given = faker.first_name_female_pair() if female else faker.first_name_male_pair()
        native = (family_native, given_native)
    else:
        given = faker.first_name_female() if female else faker.first_name_male()
        family = (
            (faker.last_name_female() if female else faker.last_name_male())
            if place.script == "Cyrl"
            else faker.last_name()
        )
        if place.script == "Cyrl":
            native = (family, given)
            family, given = latin(family), latin(given)
    name: dict[str, object] = {"family": family, "given": given}
    name["salutation"] = _SALUTATIONS.get(place.language, ("Ms", "Mr"))[0 if female else 1]
    if native:
        name["native"] = {"family": native[0], "given": native[1], "script": place.script}
    return name


def _phone(region: str, number: int, extra: int) -> str:
    """Vary the last four digits of the region's example mobile number until the metadata calls the result valid."""
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if example is None or example.country_code is None or example.national_number is None:
        raise LookupError(region)
    stem = example.national_number // _LAST_DIGITS * _LAST_DIGITS
    tail = (number * 2 + extra) % _LAST_DIGITS
    while True:
        made = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=stem + tail)
        if phonenumbers.is_valid_number(made):
            return phonenumbers.format_number(made, phonenumbers.PhoneNumberFormat.E164)
        tail = (tail + 4001) % _LAST_DIGITS


def _address(place: Place, faker: Faker, city: str) -> dict[str, object]:
    street = (
        f"{faker.town()}{faker.chome()}{faker.ban()}{faker.gou()}" if place.script == "Jpan" else faker.street_address()
    )
    lines = [part.strip() for part in street.splitlines() if part.strip()]
    address: dict[str, object] = {"lines": lines, "locality": city, "country": place.country, "use": "home"}
    return (
        address if place.country == "AE" else {**address, "postal_code": faker.postcode()}
    )  # none exist in the Emirates


def _ascii(mailbox: str) -> str:
    """Keep what every mail system takes."""
    plain = mailbox.translate(str.maketrans("àâäáãåçéèêëíìîïñóòôöõøúùûüýÿß", "aaaaaaceeeeiiiinoooooouuuuyys"))
    return "".join(letter for letter in plain if letter.isascii() and (letter.isalnum() or letter in ".-")) or "client"
