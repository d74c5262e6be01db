"""Blind search: exact look-ups on keyed hashes, without an index over anything readable (design §7).

A token is HMAC-SHA-256 of the value's normal form under a key of its own per brand, field and normaliser version,
cut to 128 bits, and then AES-256 of that block under the index key of the epoch. Separate keys per brand: two brands'
columns cannot be joined. The epoch's key dies with its root: tokens in an old backup of the database can be tested by
nobody, whatever keys live on. While an epoch is retiring two keys live, and a search asks under both
(`vault.searchepochs` moves the column). A field without a declared index is refused (`UnsearchableField`), never
answered with an empty list; an index holds the asking brand's own holdings only.

A candidate is a reference and the month since when the brand knows the subject: no value, hence no grant. A caller
that wants hints (a masked name) asks `candidates` for the subject ids, has a grant decided and minted for each, and
discloses in the same unit of work like any other disclosure.

Each search is logged, without its term: one entry per candidate shown, related to that subject, or one entry that
relates to nobody when there was none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypedDict, TypeVar

from sqlalchemy import bindparam, delete, func, select

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from policies.catalogue import Catalogue, Field
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from vault import locked, references, searchepochs
from vault.errors import Conflict, InvalidFields, KeyUnavailable, UnsearchableField, VaultError
from vault.keys.service import KeyService, Slot
from vault.normalise import NotNormalisable, normalise
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

T = TypeVar("T")

MOST_CANDIDATES: Final = 3
ATTEMPTS: Final = 5  # an epoch change moves the index under a search twice at most: to the new key, and off the old

_TOKEN = metadata.tables["search_token"]
_RELATION = metadata.tables["relation"]
_SUBJECT = metadata.tables["subject"]

_known = (
    select(_TOKEN.c.token, _TOKEN.c.subject_id, _TOKEN.c.brand)
    .where(_TOKEN.c.token.in_(bindparam("tokens", expanding=True)))
    .distinct()  # a list may hold the value twice
    .subquery()
)
# One more than is shown says whether there are more; a value shared by thousands must not be read thousands of times.
_ranked = select(
    _known,
    func.row_number().over(partition_by=_known.c.token, order_by=_known.c.subject_id).label("place"),
).subquery()
_HITS = (
    select(
        _ranked.c.token,
        _ranked.c.subject_id,
        _ranked.c.brand,
        _RELATION.c.reference_sealed,
        _RELATION.c.created_at,
        _SUBJECT.c.version,
        _SUBJECT.c.log_slot,
        _SUBJECT.c.log_generation,
        _SUBJECT.c.log_key,
    )
    .join(_RELATION, (_RELATION.c.subject_id == _ranked.c.subject_id) & (_RELATION.c.brand == _ranked.c.brand))
    .join(_SUBJECT, _SUBJECT.c.id == _ranked.c.subject_id)
    .where(_ranked.c.place <= MOST_CANDIDATES + 1, _SUBJECT.c.state == locked.ACTIVE)
    .order_by(_ranked.c.token, _ranked.c.subject_id)
)
_ITEMS = select(_TOKEN.c.item).where(
    _TOKEN.c.subject_id == bindparam("at_subject"),
    _TOKEN.c.brand == bindparam("at_brand"),
    _TOKEN.c.field_id == bindparam("at_field"),
    _TOKEN.c.token.in_(bindparam("tokens", expanding=True)),
)
_FORGET = delete(_TOKEN).where(
    _TOKEN.c.subject_id == bindparam("at_subject"),
    _TOKEN.c.brand == bindparam("at_brand"),
    _TOKEN.c.field_id == bindparam("at_field"),
    _TOKEN.c.item == bindparam("at_item"),
)


@dataclass(frozen=True, slots=True)
class Search:
    """An exact search of one brand's system by one indexed field. `value` is personal data and goes nowhere."""

    brand: str
    system_id: str
    by: str
    value: object = field(repr=False)
    asker: Asker | None = None  # who stands behind the system, if it named them


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that may be the one. `since` is the month, `YYYY-MM`, in which the brand came to know it."""

    subject: bytes = field(repr=False)
    reference: str = field(repr=False)
    since: str
    version: int
    log_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """At most three candidates, in an order that carries nothing; `more` says that there were others.

    `entries` are the ids of the log entries that record the search; empty from `candidates`, which records nothing.
    """

    candidates: tuple[Candidate, ...]
    more: bool
    entries: tuple[bytes, ...] = ()


class Indexed(NamedTuple):
    """A value to be found by, in the index of the brand that holds it; `message` is its normal form."""

    subject: bytes
    shard: int
    brand: str
    field: Field
    item: int
    message: bytes

    def __repr__(self) -> str:
        return "Indexed(…)"


class Forgotten(NamedTuple):
    """A value that its holder's index must find no longer."""

    subject: bytes
    brand: str
    field: Field
    item: int


class TokenRow(TypedDict):
    """A row of `search_token`."""

    subject_id: bytes
    brand: str
    field_id: int
    item: int
    shard: int
    token: bytes
    epoch: int


Admit = Callable[[Sequence[tuple[int, Found]]], Mapping[int, VaultError]]
"""Given the place and the candidates of each search of a batch: the places that may not have theirs, and why."""


def find(uow: UnitOfWork, searches: Sequence[Search], admit: Admit = lambda _: {}) -> list[Found | VaultError]:
    """Search a batch and log each search. An item fails with `UnsearchableField`, `InvalidFields` or what `admit` says."""
    answers: list[Found | VaultError] = []
    hits = candidates(uow, searches)
    refused = admit([(place, found) for place, found in enumerate(hits) if isinstance(found, Found)])
    for place, (asked, hit) in enumerate(zip(searches, hits, strict=True)):
        actor = Actor(ActorKind.SYSTEM, asked.system_id, asker=asked.asker)
        found = refused.get(place, hit)
        if isinstance(found, VaultError):
            answers.append(found)
            named = (asked.by,) if asked.by in uow.vault.bundle.catalogue.fields else ()
            uow.record(Entry(Act.SUBJECT_SEARCHED, Outcome.DENY, actor, named, pol=(f"search.{found.code}",)))
            continue
        entry = Entry(Act.SUBJECT_SEARCHED, Outcome.ALLOW, actor, (asked.by,), n=len(found.candidates))
        shown: Sequence[bytes | None] = [each.log_key for each in found.candidates] or [None]
        entries = tuple(uow.record(entry, log_key=key) for key in shown)
        answers.append(Found(found.candidates, found.more, entries))
    return answers


search = settled(find)


def candidates(uow: UnitOfWork, searches: Sequence[Search]) -> list[Found | VaultError]:
    """Find the candidates of each search and record nothing: the caller must, in the same unit of work."""
    problems: dict[int, VaultError] = {}
    wanted: dict[tuple[str, Field], list[tuple[int, bytes]]] = {}
    catalogue = uow.vault.bundle.catalogue  # once: a policy load may swap it while the batch runs
    for place, asked in enumerate(searches):
        sought = _sought(catalogue, asked)
        if isinstance(sought, VaultError):
            problems[place] = sought
        else:
            wanted.setdefault((asked.brand, sought[0]), []).append((place, sought[1]))
    hits = _matches(uow, wanted) if wanted else {}
    return [problems.get(place) or _found(hits.get(place, [])) for place in range(len(searches))]


def index(uow: UnitOfWork, additions: Sequence[Indexed], removals: Sequence[Forgotten] = ()) -> None:
    """Bring the indexes up to date with values written: removals first, so that a replaced value can come again."""
    if not (additions or removals):
        return
    # Before the epoch is read: an epoch's key is destroyed only after everybody who may have used it has finished.
    searchepochs.writing(uow)
    if removals:
        forgotten = [
            {"at_subject": each.subject, "at_brand": each.brand, "at_field": each.field.id, "at_item": each.item}
            for each in removals
        ]
        uow.conn.execute(_FORGET, forgotten)
    groups: dict[tuple[str, Field], list[Indexed]] = {}
    for each in additions:
        groups.setdefault((each.brand, each.field), []).append(each)
    rows: list[TokenRow] = []
    epoch = uow.vault.keys.index_epochs()[0]
    for (brand, by), group in groups.items():
        tokens = _tokens(uow.vault.keys, brand, by, [each.message for each in group], epoch)
        for each, token in zip(group, tokens, strict=True):
            rows.append(
                {
                    "token": token,
                    "subject_id": each.subject,
                    "item": each.item,
                    "brand": brand,
                    "field_id": by.id,
                    "shard": each.shard,
                    "epoch": epoch,
                }
            )
    insert_rows(uow.conn, _TOKEN, rows)


def items_of(uow: UnitOfWork, subject: bytes, brand: str, by: Field, sought: bytes) -> frozenset[int]:
    """Return the items of a subject's field, as one brand holds them, that have this normal form. Records nothing."""
    at = {"at_subject": subject, "at_brand": brand, "at_field": by.id}
    items, _ = under_each_epoch(
        uow, {(brand, by): [(0, sought)]}, lambda tokens: uow.conn.scalars(_ITEMS, at | {"tokens": tokens}).all()
    )
    return frozenset(items)


def under_each_epoch(
    uow: UnitOfWork,
    wanted: Mapping[tuple[str, Field], Sequence[tuple[int, bytes]]],
    read: Callable[[list[bytes]], Sequence[T]],
) -> tuple[Sequence[T], Mapping[bytes, Sequence[int]]]:
    """Have the index read under every epoch that stands when it has been read. Records nothing.

    `wanted`: (brand, field) -> (place, normal form); `read` gets the tokens, padded, for one statement. Returns what it
    found, and for which places each token stands.

    An epoch change may move rows to a new key between the making of the tokens and the reading of the rows. Then the
    epochs are not those of before, and the index is read once more. Raises `Conflict` where they never stand still.
    """
    keys = uow.vault.keys
    epochs = keys.index_epochs()
    for _ in range(ATTEMPTS):
        places: dict[bytes, list[int]] = {}
        try:
            for (brand, by), group in wanted.items():
                for epoch in epochs:
                    made = _tokens(keys, brand, by, [sought for _, sought in group], epoch)
                    for (place, _), token in zip(group, made, strict=True):
                        places.setdefault(token, []).append(place)
        except KeyUnavailable:  # an epoch ended since it was named
            epochs = keys.index_epochs()
            continue
        rows = read(padded(list(places)))
        if (now := keys.index_epochs()) == epochs:
            return rows, places
        epochs = now
    raise Conflict("search_token")


def message(by: Field, value: object) -> bytes:
    """Return what is hashed for a canonical value of a searchable field. Raises `NotNormalisable`."""
    if by.search is None:
        raise UnsearchableField
    return normalise(by.search, value)


def month(at: int) -> str:
    """Write UTC seconds as `YYYY-MM`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def _sought(catalogue: Catalogue, asked: Search) -> tuple[Field, bytes] | VaultError:
    by = catalogue.fields.get(asked.by)
    if by is None or by.search is None:
        return UnsearchableField()
    try:
        return by, message(by, validate(by, asked.value))
    except InvalidValue as error:
        reason = error.reason
    except NotNormalisable:
        reason = "not_normalisable"
    return InvalidFields(((by.name, reason),))


def _tokens(keys: KeyService, brand: str, by: Field, messages: Sequence[bytes], epoch: int) -> list[bytes]:
    return keys.blind(f"search/{brand}/{by.id}/{by.search}", messages, epoch)


def _matches(
    uow: UnitOfWork, wanted: Mapping[tuple[str, Field], Sequence[tuple[int, bytes]]]
) -> dict[int, list[Candidate]]:
    """Find the candidates for each place of the batch."""
    rows, places = under_each_epoch(uow, wanted, lambda tokens: uow.conn.execute(_HITS, {"tokens": tokens}).all())
    return _candidates(uow, rows, places)


def _candidates(
    uow: UnitOfWork, rows: Sequence[Any], places: Mapping[bytes, Sequence[int]]
) -> dict[int, list[Candidate]]:
    slots = [Slot(row.log_slot, row.log_generation) for row in rows]
    keys = uow.vault.keys.unwrap([(slot, row.log_key) for slot, row in zip(slots, rows, strict=True)])
    unopened = [slot for slot, key in zip(slots, keys, strict=True) if key is None]
    if unopened and any(uow.vault.keys.alive(unopened)):
        raise KeyUnavailable  # not erased meanwhile: the row is altered
    sealed: dict[str, list[tuple[bytes, bytes]]] = {}
    for row in rows:
        sealed.setdefault(row.brand, []).append((row.subject_id, row.reference_sealed))
    spelt = {
        (subject, brand): reference
        for brand, items in sealed.items()
        for subject, reference in references.opened(uow.vault.keys, brand, items)
    }
    found: dict[int, dict[bytes, Candidate]] = {}
    for row, key in zip(rows, keys, strict=True):
        if key is None:
            continue  # its erasure began since this unit read the row
        candidate = Candidate(row.subject_id, spelt[row.subject_id, row.brand], month(row.created_at), row.version, key)
        for place in places[row.token]:
            found.setdefault(place, {})[row.subject_id] = candidate  # once, though the list stand under two epochs
    return {place: [each[subject] for subject in sorted(each)] for place, each in found.items()}


def _found(hits: Sequence[Candidate]) -> Found:
    return Found(tuple(hits[:MOST_CANDIDATES]), len(hits) > MOST_CANDIDATES)
