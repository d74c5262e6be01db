"""Pairwise references: the pseudonym under which one brand knows one subject.

A reference is `ref_` and 26 characters for 128 random bits. It is drawn, not derived, so no master key relinks the
brands, and it opens nothing by itself. Two rows carry it, and neither links anything in a dump of the database:

* `reference`: keyed hash of the bits -> subject id, sealed under the brand's pointer key (resolving);
* `relation`: subject and brand -> the bits, sealed under the brand's relation key (giving out the same one again);
  behind them those of references that were replaced and may still resolve, so that they are found to be deleted.

A brand (the legal controller) is the pseudonymisation domain, not the single system: its till and its CRM share one
reference, two brands never do. Keys are per brand, so a reference presented by another brand hashes to a row that does
not exist: "another brand's" and "never existed" are the same answer, found by the same query.
"""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from sqlalchemy import bindparam, delete, select

from vault.errors import IntegrityFailure
from vault.keys.service import KeyService
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.lookup import look_up
from vault.store.tables import metadata
from vault.unit import UnitOfWork

PREFIX = "ref_"
RANDOM_BYTES = 16
MAC_BYTES = 16  # 128 of HMAC-SHA-256's 256 bits: the hashed bits are already unguessable, this only has to be unique

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case: no i, l, o, u to misread
_DIGITS = {character: digit for digit, character in enumerate(_ALPHABET)}
_TEXT_LENGTH = 26  # 26 * 5 = 130 bits; the two spare top bits are zero

_RELATION = metadata.tables["relation"]
_REFERENCE = metadata.tables["reference"]

_BY_MAC = select(_REFERENCE.c.mac, _REFERENCE.c.brand, _REFERENCE.c.pointer, _REFERENCE.c.expires_at).where(
    _REFERENCE.c.mac.in_(bindparam("macs", expanding=True)),
)
_BY_SUBJECT = select(_RELATION.c.subject_id, _RELATION.c.brand, _RELATION.c.reference_sealed).where(
    _RELATION.c.subject_id.in_(bindparam("subjects", expanding=True)),
)


class RelationRow(TypedDict):
    """A row of `relation`."""

    subject_id: bytes
    brand: str
    shard: int
    reference_sealed: bytes
    created_at: int


class ReferenceRow(TypedDict):
    """A row of `reference`."""

    mac: bytes
    brand: str
    shard: int
    pointer: bytes
    created_at: int
    expires_at: int | None


def encode(bits: bytes) -> str:
    """Write 16 bytes as a reference string."""
    number = int.from_bytes(bits)
    return PREFIX + "".join([_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)])


def decode(reference: str) -> bytes | None:
    """Read a reference string: 16 bytes, or None unless it is spelt exactly as `encode` spells it."""
    text = reference.removeprefix(PREFIX)
    if len(reference) != len(PREFIX) + _TEXT_LENGTH or len(text) != _TEXT_LENGTH:
        return None
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            return None
        number = number << 5 | digit
    return number.to_bytes(RANDOM_BYTES) if number >> 128 == 0 else None


def draft(
    uow: UnitOfWork, pairs: Sequence[tuple[bytes, str]], bits: Sequence[bytes], shards: Sequence[int]
) -> list[str]:
    """Store new references for (subject, brand) pairs that are known to have none, e.g. of subjects made just now.

    `bits` are 16 fresh random bytes per pair, `shards` the subjects' shards. Returns the reference strings.
    """
    keys = uow.vault.keys
    relations: list[RelationRow] = []
    references: list[ReferenceRow] = []
    for brand, places in _by_brand(brand for _, brand in pairs).items():
        hashes = macs(keys, brand, [bits[place] for place in places])
        # Why safe: AES-SIV needs no nonce, and each context below is unique to its row (a fresh random reference, a
        # subject within the brand's key), so equal ciphertexts mean equal rows only.
        pointers = keys.seal(
            f"pointer/{brand}", [(mac, pairs[place][0]) for mac, place in zip(hashes, places, strict=True)]
        )
        sealed = keys.seal(f"relation/{brand}", [(pairs[place][0], bits[place]) for place in places])
        for place, mac, pointer, reference in zip(places, hashes, pointers, sealed, strict=True):
            shard = shards[place]
            relations.append(
                RelationRow(
                    subject_id=pairs[place][0],
                    brand=brand,
                    shard=shard,
                    reference_sealed=reference,
                    created_at=uow.now,
                ),
            )
            references.append(
                ReferenceRow(mac=mac, brand=brand, shard=shard, pointer=pointer, created_at=uow.now, expires_at=None),
            )
    insert_rows(uow.conn, _RELATION, relations)
    insert_rows(uow.conn, _REFERENCE, references)
    return [encode(each) for each in bits]


def assign(uow: UnitOfWork, pairs: Sequence[tuple[bytes, str]]) -> list[str]:
    """Give each (subject id, brand) its reference: the one it has, for ever, or a new one. Order as asked.

    The subjects' rows must be locked, or made, by this unit of work.
    """
    held = of_pairs(uow, pairs)
    missing = sorted({pair for pair, reference in zip(pairs, held, strict=True) if reference is None})
    if missing:
        gulp = uow.vault.entropy.bytes(RANDOM_BYTES * len(missing))
        bits = [gulp[start : start + RANDOM_BYTES] for start in range(0, len(gulp), RANDOM_BYTES)]
        shards = [uow.vault.shard_of(subject) for subject, _ in missing]
        made = dict(zip(missing, draft(uow, missing, bits, shards), strict=True))
        held = [reference or made[pair] for pair, reference in zip(pairs, held, strict=True)]
    return [reference for reference in held if reference is not None]


def resolve(uow: UnitOfWork, brand: str, references: Sequence[str]) -> list[bytes | None]:
    """Return the subject id behind each of a brand's references, or None: unknown, malformed or another brand's."""
    return locate(uow, [(brand, reference) for reference in references])


def locate(uow: UnitOfWork, asked: Sequence[tuple[str, str]]) -> list[bytes | None]:
    """Resolve (brand, reference) pairs of several brands with one query. Answers as `resolve`."""
    keys = uow.vault.keys
    answers: list[bytes | None] = [None] * len(asked)
    bits = [decode(reference) for _, reference in asked]
    wanted: dict[tuple[str, bytes], list[int]] = {}
    for brand, places in _by_brand(brand for brand, _ in asked).items():
        spelt = [(place, each) for place in places if (each := bits[place]) is not None]
        for (place, _), mac in zip(spelt, macs(keys, brand, [each for _, each in spelt]), strict=True):
            wanted.setdefault((brand, mac), []).append(place)
    if not wanted:
        return answers
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for mac, brand, pointer, expires_at in look_up(uow.conn, _BY_MAC, {"macs": [mac for _, mac in wanted]}):
        if (brand, mac) in wanted and (expires_at is None or expires_at > uow.now):
            found.setdefault(brand, []).append((mac, pointer))
    for brand, items in found.items():
        for (mac, _), subject in zip(items, keys.open(f"pointer/{brand}", items), strict=True):
            if subject is None:
                continue  # an altered pointer dangles; it must not become an oracle that others resolve
            for place in wanted[brand, mac]:
                answers[place] = subject
    return answers


def of(uow: UnitOfWork, brand: str, subjects: Sequence[bytes]) -> list[str | None]:
    """Return the brand's reference for each subject id, or None where the brand has no relation."""
    return of_pairs(uow, [(subject, brand) for subject in subjects])


def of_pairs(uow: UnitOfWork, pairs: Sequence[tuple[bytes, str]]) -> list[str | None]:
    """Return the reference of each (subject id, brand), or None. Raises `IntegrityFailure` for an altered row."""
    if not pairs:
        return []
    asked = set(pairs)
    sealed: dict[str, list[tuple[bytes, bytes]]] = {}
    subjects = list({each for each, _ in pairs})
    for subject, brand, reference in look_up(uow.conn, _BY_SUBJECT, {"subjects": subjects}):
        if (subject, brand) in asked:
            sealed.setdefault(brand, []).append((subject, reference))
    held: dict[tuple[bytes, str], str] = {}
    for brand, items in sealed.items():
        held.update({(subject, brand): reference for subject, reference in opened(uow.vault.keys, brand, items)})
    return [held.get(pair) for pair in pairs]


def all_of(uow: UnitOfWork, subjects: Sequence[bytes]) -> dict[bytes, list[tuple[str, str]]]:
    """Return each subject's (brand, reference) pairs, of every brand that knows it."""
    sealed: dict[str, list[tuple[bytes, bytes]]] = {}
    for subject, brand, reference in look_up(uow.conn, _BY_SUBJECT, {"subjects": subjects}) if subjects else ():
        sealed.setdefault(brand, []).append((subject, reference))
    held: dict[bytes, list[tuple[str, str]]] = {}
    for brand, items in sorted(sealed.items()):
        for subject, reference in opened(uow.vault.keys, brand, items):
            held.setdefault(subject, []).append((brand, reference))
    return held


def forget(uow: UnitOfWork, subjects: Sequence[bytes]) -> None:
    """Delete every brand's reference to subjects that are erased. What they were then resolves as a stranger's does."""
    keys = uow.vault.keys
    sealed: dict[str, list[tuple[bytes, bytes]]] = {}
    for subject, brand, reference in look_up(uow.conn, _BY_SUBJECT, {"subjects": subjects}):
        sealed.setdefault(brand, []).append((subject, reference))
    gone: list[bytes] = []
    for brand, items in sealed.items():
        # One that does not open leaves a pointer to nobody behind, which resolves to a subject without a row.
        opened_rows = [each for each in keys.open(f"relation/{brand}", items) if each is not None]
        gone += macs(keys, brand, [bits for each in opened_rows for bits in split(each)])
    if gone:
        uow.conn.execute(delete(_REFERENCE).where(_REFERENCE.c.mac.in_(padded(gone))))
    uow.conn.execute(delete(_RELATION).where(_RELATION.c.subject_id.in_(padded(subjects))))


def opened(keys: KeyService, brand: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, str]]:
    """Open (subject id, sealed reference) rows of one brand: (subject id, reference string), in order."""
    answer = []
    for (subject, _), bits in zip(items, keys.open(f"relation/{brand}", items), strict=True):
        if bits is None:
            raise IntegrityFailure
        answer.append((subject, encode(split(bits)[0])))
    return answer


def split(bits: bytes) -> list[bytes]:
    """Take what a relation's row seals apart: the bits of its reference, then those of replaced ones, newest first."""
    return [bits[start : start + RANDOM_BYTES] for start in range(0, len(bits), RANDOM_BYTES)]


def macs(keys: KeyService, brand: str, bits: Sequence[bytes]) -> list[bytes]:
    """Hash references (16 bytes each) under their brand's key: what they are stored by."""
    return [mac[:MAC_BYTES] for mac in keys.mac(f"reference/{brand}", bits)] if bits else []


def _by_brand(brands: Iterable[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, brand in enumerate(brands):
        groups.setdefault(brand, []).append(place)
    return groups
