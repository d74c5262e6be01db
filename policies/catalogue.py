"""The catalogue: which personal data exists at all, in categories of typed fields.

Identifiers are numbers that never change and are never reused: they are bound into every ciphertext (design §5), so a
renamed field keeps opening and a re-used number opens nothing. `policies.catalogue_file` reads the TOML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from policies.errors import UnknownCategory, UnknownField
from policies.levels import Level

LARGEST_ID = 32_767  # SMALLINT in every database

IDS_PER_CATEGORY = 100


def field_ids(category_id: int) -> range:
    """Return the ids of the fields that a category owns: category 2 those from 200 to 299."""
    first = category_id * IDS_PER_CATEGORY
    return range(first, first + IDS_PER_CATEGORY)


class FieldKind(StrEnum):
    """How many values a subject may have in a field, and whether they may be replaced."""

    SINGLE = "single"  # at most one current value
    LIST = "list"  # several current values, each its own
    JOURNAL = "journal"  # entries are appended and never rewritten


class Sensitivity(StrEnum):
    """How much harm a leak of the category does; reports sort by it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    SPECIAL = "special"  # GDPR Art. 9


@dataclass(frozen=True, slots=True)
class Field:
    """One typed value of a category.

    `levels` maps each level the field offers to the transform that makes it (`policies.transforms`); presence and raw
    are always there. `predicates` maps the names that may be asked to their rules. `search` names a normaliser and its
    version, e.g. `phone/1`, or is None when the field cannot be searched. `choices` closes the vocabulary of the
    value, or of its coded member.
    """

    id: int
    name: str
    category: str
    category_id: int
    kind: FieldKind
    type: str
    schema_version: int
    special: bool
    search: str | None
    levels: Mapping[Level, str] = field(compare=False, repr=False)
    predicates: Mapping[str, str] = field(compare=False, repr=False)
    choices: tuple[str, ...] = field(compare=False, repr=False)
    title: Mapping[str, str] = field(compare=False, repr=False)
    least_group: int = 0  # as the bundle has it; what holds is `policies.crowds.least_group`
    written_for_person: bool = False  # a text that staff write for the person to read: nobody has to read it first


@dataclass(frozen=True, slots=True)
class LegalRetention:
    """A law that forbids to destroy the category's data before `days` have passed since it was last written.

    `basis` cites the law; it is printed on certificates of erasure.
    """

    days: int
    basis: str


@dataclass(frozen=True, slots=True)
class Category:
    """A set of fields that share sensitivity, retention and legal ground: with a subject, the unit of keys.

    `retention_days` after its last write the data has to go; `legal_retention` is how long it has to stay.
    """

    id: int
    name: str
    title: Mapping[str, str] = field(compare=False, repr=False)
    sensitivity: Sensitivity
    retention_days: int
    special: bool
    fields: tuple[Field, ...]
    legal_retention: LegalRetention | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All categories, in the order of the file, with look-ups by name and by number."""

    categories: tuple[Category, ...]
    fields: Mapping[str, Field] = field(init=False, compare=False, repr=False)
    searchable: tuple[Field, ...] = field(init=False, compare=False, repr=False)
    _by_id: Mapping[int, Field] = field(init=False, compare=False, repr=False)
    _by_name: Mapping[str, Category] = field(init=False, compare=False, repr=False)
    _categories_by_id: Mapping[int, Category] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        every = [each for category in self.categories for each in category.fields]
        # object.__setattr__ is how a frozen dataclass fills its derived members, once
        object.__setattr__(self, "fields", MappingProxyType({each.name: each for each in every}))
        object.__setattr__(self, "searchable", tuple(each for each in every if each.search))
        object.__setattr__(self, "_by_id", {each.id: each for each in every})
        object.__setattr__(self, "_by_name", {category.name: category for category in self.categories})
        object.__setattr__(self, "_categories_by_id", {category.id: category for category in self.categories})

    def field(self, name: str) -> Field:
        """Return the field of that name. Raises `UnknownField`."""
        found = self.fields.get(name)
        if found is None:
            raise UnknownField(name)
        return found

    def field_by_id(self, identifier: int) -> Field:
        """Return the field of that number. Raises `UnknownField`."""
        found = self._by_id.get(identifier)
        if found is None:
            raise UnknownField(str(identifier))
        return found

    def category(self, name: str) -> Category:
        """Return the category of that name. Raises `UnknownCategory`."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownCategory
        return found

    def category_by_id(self, identifier: int) -> Category:
        """Return the category of that number. Raises `UnknownCategory`."""
        found = self._categories_by_id.get(identifier)
        if found is None:
            raise UnknownCategory
        return found
