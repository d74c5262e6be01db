"""What a decision may know about subjects, read in two statements for a whole batch, without opening one value.

State, restriction, minority and region come from the subject's row; that the asking brand knows the subject, from its
relation; what holds for each purpose, from that brand's part of the consent projection. One brand's facts say nothing
of another brand.

Two epochs kill tokens. `subject_epoch` is the subject's own counter. The consent epoch of a purpose is the *sum* of
the counters of that purpose and all its ancestors: each counter only grows, so the sum is unchanged exactly when no
consent event happened on any of them (a maximum would miss an event on the lagging one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import and_, bindparam, select

from policies.model import ConsentStatus, SubjectFacts
from policies.purposes import Purposes
from vault.errors import KeyRetired, KeyUnavailable
from vault.keys.service import KeyService, Slot
from vault.store.lookup import look_up
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_CHUNK: Final = 8192  # subjects per statement: SQLite takes 32,766 parameters, PostgreSQL 65,535

_subject = metadata.tables["subject"]
_relation = metadata.tables["relation"]
_consent = metadata.tables["consent_state"]

_SUBJECTS = (
    select(
        _subject.c.id,
        _relation.c.brand,
        _subject.c.state,
        _subject.c.restricted,
        _subject.c.minor,
        _subject.c.region,
        _subject.c.epoch,
        _subject.c.log_slot,
        _subject.c.log_generation,
        _subject.c.log_key,
    )
    .select_from(
        _subject.outerjoin(
            _relation,
            and_(_relation.c.subject_id == _subject.c.id, _relation.c.brand.in_(bindparam("brands", expanding=True))),
        )
    )
    .where(_subject.c.id.in_(bindparam("ids", expanding=True)))
)
_CONSENTS = select(
    _consent.c.subject_id,
    _consent.c.brand,
    _consent.c.purpose,
    _consent.c.state,
    _consent.c.until_at,
    _consent.c.epoch,
    _consent.c.notice_version,
).where(
    _consent.c.subject_id.in_(bindparam("ids", expanding=True)),
    _consent.c.brand.in_(bindparam("brands", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Known:
    """One subject as one brand may see it at the unit's time.

    `facts` goes into the decision. `log_slot` and `log_key` are the slot and the wrapped key (40 bytes) that relate
    log entries to the subject; `log_keys` opens them for a batch.
    """

    subject_id: bytes
    facts: SubjectFacts
    subject_epoch: int
    consent_epochs: Mapping[str, int]
    log_slot: Slot
    log_key: bytes = field(repr=False)

    def consent_epoch(self, purpose: str, purposes: Purposes) -> int:
        """Sum the epochs of `purpose` and its ancestors, as a token of that purpose carries it.

        Raises `policies.errors.UnknownPurpose`.
        """
        return sum(self.consent_epochs.get(each.key, 0) for each in purposes.path(purpose))


def load(uow: UnitOfWork, brand: str, subject_ids: Sequence[bytes]) -> list[Known | None]:
    """Load the facts of subjects for one brand, in order; None for an id that is no subject."""
    return load_each(uow, [(brand, subject_id) for subject_id in subject_ids])


def load_each(uow: UnitOfWork, pairs: Sequence[tuple[str, bytes]]) -> list[Known | None]:
    """Load the facts of (brand, subject id) pairs of several brands, in order; None for an id that is no subject."""
    wanted = list(dict.fromkeys(pairs))
    found: dict[tuple[str, bytes], Known] = {}
    # Chunks are powers of two so that padding keeps them within the limit.
    for start in range(0, len(wanted), _CHUNK):
        found |= _load_chunk(uow, wanted[start : start + _CHUNK])
    return [found.get(pair) for pair in pairs]


def log_keys(keys: KeyService, known: Sequence[Known]) -> list[bytes]:
    """Open the subjects' 32-byte log keys with one key-service call.

    Raises `KeyUnavailable` if any does not open: an act that cannot be related to its subject must not happen. Raises
    `KeyRetired` if all those were retired, because an erasure began since the facts were read: the unit runs again, and
    then the subject is nobody's.
    """
    opened = keys.unwrap([(each.log_slot, each.log_key) for each in known]) if known else []
    unopened = [each.log_slot for each, key in zip(known, opened, strict=True) if key is None]
    if unopened:
        raise KeyUnavailable if any(keys.alive(unopened)) else KeyRetired
    return [key for key in opened if key is not None]


def _load_chunk(uow: UnitOfWork, pairs: Sequence[tuple[str, bytes]]) -> dict[tuple[str, bytes], Known]:
    keys: dict[str, list[Any]] = {
        "ids": list(dict.fromkeys([subject_id for _, subject_id in pairs])),
        "brands": list(dict.fromkeys([brand for brand, _ in pairs])),
    }
    statuses: dict[tuple[str, bytes], dict[str, ConsentStatus]] = {}
    epochs: dict[tuple[str, bytes], dict[str, int]] = {}
    oldest = uow.vault.bundle.oldest_notices
    for subject_id, brand, purpose, state, until_at, epoch, shown in look_up(uow.conn, _CONSENTS, keys):
        status = _status(state, until_at, uow.now, renewed=shown >= oldest.get(purpose, 0))
        statuses.setdefault((brand, subject_id), {})[purpose] = status
        epochs.setdefault((brand, subject_id), {})[purpose] = epoch

    related: set[tuple[str, bytes]] = set()
    rows: dict[bytes, tuple[Any, ...]] = {}
    for subject_id, brand, *row in look_up(uow.conn, _SUBJECTS, keys):
        rows[subject_id] = tuple(row)
        if brand is not None:
            related.add((brand, subject_id))

    found = {}
    for pair in pairs:
        _, subject_id = pair
        if subject_id not in rows:
            continue
        state, restricted, minor, region, epoch, log_slot, log_generation, log_key = rows[subject_id]
        facts = SubjectFacts(
            known_to_brand=pair in related,
            # Erasing counts as erased: no token may race the destruction of the keys.
            erased=state != "active",
            restricted=bool(restricted),
            minor=bool(minor),
            region=region,
            consents=statuses.get(pair, {}),
        )
        slot = Slot(log_slot, log_generation)
        found[pair] = Known(subject_id, facts, epoch, epochs.get(pair, {}), slot, log_key)
    return found


def _status(state: str, until_at: int | None, now: int, *, renewed: bool) -> ConsentStatus:
    status = ConsentStatus(state)
    if status is ConsentStatus.GIVEN or status is ConsentStatus.GUARDED:
        if until_at is not None and until_at <= now:
            return ConsentStatus.EXPIRED
        if not renewed:  # the text has changed since: nothing is carried forward silently
            return ConsentStatus.NEEDS_RENEWAL
    return status
