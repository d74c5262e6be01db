"""Terms: consents whose time is over, found by a job and ended by an event each, so that history explains itself.

Nothing depends on the job for a refusal: a term that is over and words that have changed count at once where facts are
read (`vault.facts`). The job says so in the chain, and it alone knows two more ends: a prospect's silence, and a
minor's coming of age. It works in small units and looks again under the subject's lock, so that a consent renewed
meanwhile stands.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select, tuple_

from policies.bundle import Bundle
from policies.law import ProspectRule
from policies.model import ConsentStatus
from vault import contactactivity, guardians, locked, suppression
from vault.consentevents import ConsentAct, ConsentEvent, Method, Source, Who
from vault.consents import Recording
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

STATES_PER_UNIT: Final = 200
CHANNEL: Final = "vault"
_DAY: Final = 86_400

_STATE = metadata.tables["consent_state"]
_VALUE = metadata.tables["field_value"]
_KEY: Final = (_STATE.c.subject_id, _STATE.c.brand, _STATE.c.purpose)
_STANDING: Final = (
    select(*_KEY, _STATE.c.state, _STATE.c.since_at, _STATE.c.until_at, _STATE.c.notice_version)
    .where(
        _STATE.c.state.in_([ConsentStatus.GIVEN.value, ConsentStatus.GUARDED.value]),
        tuple_(*_KEY) > tuple_(bindparam("subject"), bindparam("brand"), bindparam("purpose")),
    )
    .order_by(*_KEY)
    .limit(STATES_PER_UNIT)
)
_CLIENTS: Final = (
    select(_VALUE.c.subject_id, _VALUE.c.holder)
    .where(
        _VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)),
        _VALUE.c.category_id.in_(bindparam("categories", expanding=True)),
    )
    .distinct()
)


class Stands(NamedTuple):
    """A consent that stands, as projected."""

    subject: bytes
    brand: str
    purpose: str
    state: str
    since_at: int
    until_at: int | None
    notice_version: int


@dataclass(frozen=True, slots=True)
class Swept:
    """How many consents have come to an end, by cause; how many minors came of age; what left the suppression list."""

    ended: Mapping[str, int]
    matured: int
    unlisted: int = 0


@dataclass(slots=True)
class _Terms:
    """What decides about an end, for the subjects of one page: read once."""

    bundle: Bundle
    now: int
    rule: ProspectRule | None
    clients: Collection[tuple[bytes, str]] = ()
    heard: Mapping[tuple[bytes, str], int] = field(default_factory=dict)

    def cause(self, stands: Stands) -> Source | None:
        """Return why a consent is over, or None."""
        if stands.until_at is not None and stands.until_at <= self.now:
            return Source.TERM
        if stands.notice_version < self.bundle.oldest_notices.get(stands.purpose, 0):
            return Source.NOTICE
        at = (stands.subject, stands.brand)
        if self.rule is not None and at not in self.clients:
            last = max(stands.since_at, self.heard.get(at, 0))
            if last + self.rule.days * _DAY <= self.now:
                return Source.INACTIVITY
        return None


def sweep(vault: Vault, *, dry_run: bool = False) -> Swept:
    """Go through all consents that stand and end those that are over. A dry run counts and records nothing."""
    matured, ended = _majority(vault, dry_run=dry_run)
    for page in _pages(vault):
        with vault.reading() as conn:
            terms = _terms(conn, vault, vault.clock.now(), page)
        due = [each for each in page if terms.cause(each) is not None]
        if dry_run:
            ended.update(str(terms.cause(each)) for each in due)
        elif due:
            ended.update(_end(vault, due))
    return Swept(dict(ended), matured, 0 if dry_run else suppression.sweep(vault))


def _end(vault: Vault, due: Sequence[Stands]) -> list[str]:
    with vault.unit() as uow:
        recording = Recording(uow, vault.bundle)
        rows = locked.by_id(uow, {each.subject for each in due})
        recording.load({subject for subject in rows if subject is not None})
        terms = _terms(uow.conn, vault, uow.now, due)
        ended = []
        for each in due:
            held, row = recording.held(each.subject, each.brand, each.purpose), rows.get(each.subject)
            if row is None or held is None or held.state not in {ConsentStatus.GIVEN, ConsentStatus.GUARDED}:
                continue  # being erased, or withdrawn since
            now = Stands(*each[:3], held.state, held.since_at, held.until_at, held.notice_version)
            cause = terms.cause(now)
            if cause is not None:
                recording.add(row, each.brand, vault.deployment, _event(each.purpose, cause))
                ended.append(cause.value)
        recording.flush()
        uow.commit()
    return ended


def _majority(vault: Vault, *, dry_run: bool) -> tuple[int, Counter[str]]:
    """Mark the links of those come of age, and end what their guardians gave."""
    ended: Counter[str] = Counter()
    matured = 0
    for links in guardians.standing_pages(vault):
        with vault.unit() as uow:
            today = dt.datetime.fromtimestamp(uow.now, dt.UTC).date()
            due = [each for each in links if guardians.of_age_on(uow, each) <= today]
            matured += len(due)
            if due and not dry_run:
                ended.update(_come_of_age(uow, due))
                uow.commit()
    return matured, ended


def _come_of_age(uow: UnitOfWork, due: Sequence[guardians.Standing]) -> list[str]:
    recording = Recording(uow, uow.vault.bundle)
    rows = locked.by_id(uow, {each.subject for each in due})
    recording.load({subject for subject in rows if subject is not None})
    ended = []
    for each in due:
        row = rows.get(each.subject)
        if row is None:
            continue
        guardians.mature(uow, each, row)
        for purpose in recording.guarded(each.subject, each.brand):
            recording.add(row, each.brand, uow.vault.deployment, _event(purpose, Source.MAJORITY))
            ended.append(Source.MAJORITY.value)
    recording.flush()
    return ended


def _event(purpose: str, cause: Source) -> ConsentEvent:
    act = ConsentAct.EXPIRED if cause in {Source.TERM, Source.INACTIVITY} else ConsentAct.INVALIDATED
    return ConsentEvent(purpose, act, CHANNEL, method=Method.RULE, actor=Who.SYSTEM, source=cause)


def _terms(conn: Connection, vault: Vault, now: int, page: Sequence[Stands]) -> _Terms:
    bundle = vault.bundle
    rule = bundle.law.prospect_rule(dt.datetime.fromtimestamp(now, dt.UTC).date())
    terms = _Terms(bundle, now, rule)
    if rule is not None:
        subjects = padded(sorted({each.subject for each in page}))
        categories = padded([each.id for each in bundle.catalogue.categories if each.name in rule.client_categories])
        if categories:
            found = conn.execute(_CLIENTS, {"subjects": subjects, "categories": categories})
            terms.clients = {(row.subject_id, row.holder) for row in found}
        terms.heard = contactactivity.last(conn, subjects)
    return terms


def _pages(vault: Vault) -> Iterator[Sequence[Stands]]:
    after = {"subject": b"", "brand": "", "purpose": ""}
    while True:
        with vault.reading() as conn:
            page = [Stands(*row) for row in conn.execute(_STANDING, after)]
        if not page:
            return
        yield page
        after = {"subject": page[-1].subject, "brand": page[-1].brand, "purpose": page[-1].purpose}
