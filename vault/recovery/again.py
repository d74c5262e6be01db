"""Erasing again whom a log outside says was erased, where even the keystore has forgotten it.

A person erased as a whole is known by the commitment to their log key, a person of whom a category or a field was erased by
the pseudonym in the entry that says so: both are computed from log keys that live, so nothing that the log holds names
anybody. From there an erasure takes its usual way: denied at once, queued, destroyed with an epoch, certified; holds and
laws keep what they keep.

The commitment costs one hash a person. A pseudonym is another in each entry, so each erasure in part is tried with each
log key: the price of a log that relates nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select, update

from audit.commitment import subject_commitment
from audit.entry import Actor
from audit.outside import Asked
from audit.pseudonym import messages_of, places_of
from policies.catalogue import Catalogue
from policies.errors import UnknownCategory, UnknownField
from vault import restrictions
from vault.compartments import ACTIVE
from vault.erasure.records import Cause, Scope
from vault.erasure.requests import Erase, Requested, erase
from vault.errors import NothingToErase, UnknownReference
from vault.keys.service import Slot
from vault.recovery import reindex
from vault.recovery.lost import Lost
from vault.restrictions import Ground
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import Vault

SUBJECTS_AT_A_TIME: Final = 1_000

_SUBJECT: Final = metadata.tables["subject"]
_TOKEN: Final = metadata.tables["search_token"]
_RESTRICTION: Final = metadata.tables["restriction"]

_COLUMNS: Final = (
    _SUBJECT.c.id, _SUBJECT.c.shard, _SUBJECT.c.state, _SUBJECT.c.log_slot, _SUBJECT.c.log_generation, _SUBJECT.c.log_key
)  # fmt: skip
_NEXT: Final = (
    select(*_COLUMNS).where(_SUBJECT.c.id > bindparam("after")).order_by(_SUBJECT.c.id).limit(SUBJECTS_AT_A_TIME)
)
_RESTRICT: Final = (
    update(_SUBJECT)
    .where(_SUBJECT.c.id.in_(bindparam("subjects", expanding=True)))
    .values(restricted=True, epoch=_SUBJECT.c.epoch + 1, version=_SUBJECT.c.version + 1)
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Again:
    """What was asked for again: whole people, categories, fields; who has to be looked at by an officer (`restricted`).

    `strangers` of the log's erasures are of nobody who is here, or whose log key is gone already.
    """

    subjects: int = 0
    categories: int = 0
    fields: int = 0
    restricted: int = 0
    strangers: int = 0


def again(vault: Vault, lost: Lost, actor: Actor, progress: Progress) -> Again:
    """Ask once more for every erasure that the log tells of and these data do not know. May be repeated.

    When it returns, what is concerned is denied and its leaves are refused. Raises `VaultError` where that fails.
    """
    looking = _Looking(vault, lost, actor)
    with vault.reading() as conn:
        total = conn.scalar(select(func.count()).select_from(_SUBJECT)) or 0
    after, done = b"", 0
    while looking.anything:
        with vault.reading() as conn:
            found = conn.execute(_NEXT, {"after": after}).all()
        if not found:
            break
        looking.look(found)
        after, done = found[-1].id, done + len(found)
        progress("asking for erasures again", done, total)
    return looking.result()


class _Looking:
    """One pass over everybody."""

    def __init__(self, vault: Vault, lost: Lost, actor: Actor) -> None:
        self.vault, self.actor = vault, actor
        self.catalogue: Catalogue = vault.bundle.catalogue
        self.erased = set(lost.erased)
        self.asked = list(lost.asked)
        self._prepare()
        self.counts = dict.fromkeys(Scope, 0)
        self.restricted = 0

    @property
    def anything(self) -> bool:
        """Whether any erasure is still nobody's."""
        return bool(self.erased or self.asked)

    def look(self, found: Sequence[Any]) -> None:
        """Look at some people, and ask for what is found."""
        keys = self.vault.keys.unwrap([(Slot(row.log_slot, row.log_generation), row.log_key) for row in found])
        asks: list[Erase] = []
        doubtful: list[Any] = []
        for row, key in zip(found, keys, strict=True):
            if key is None:
                continue  # going already: its leaf is refused
            mine = self._of(key)
            whole = subject_commitment(key) in self.erased
            if whole:
                self.erased.discard(subject_commitment(key))
            if not (whole or mine):
                continue
            wanted = [self._wanted(row.id, each) for each in mine]
            if whole or any(each is not None and each.scope is Scope.SUBJECT for each in wanted):
                asks.append(Erase(row.id, self.actor, cause=_cause_of_all(mine), again=True))
                continue
            doubtful += [row] if None in wanted else []
            # The category first: its fields go with it.
            asks += sorted((each for each in wanted if each is not None), key=lambda each: each.scope is Scope.FIELD)
        self._ask(asks)
        self._doubt(doubtful)

    def result(self) -> Again:
        """Say what was done."""
        whole, categories, fields = (self.counts[each] for each in (Scope.SUBJECT, Scope.CATEGORY, Scope.FIELD))
        return Again(whole, categories, fields, self.restricted, len(self.erased) + len(self.asked))

    def _prepare(self) -> None:
        self.messages = messages_of(each.entry_id for each in self.asked)
        self.pseudonyms = [each.sref for each in self.asked]

    def _of(self, log_key: bytes) -> list[Asked]:
        """Take out the entries that are about the person of a log key."""
        places = places_of(log_key, self.messages, self.pseudonyms)
        mine = [self.asked[place] for place in places]
        if places:
            self.asked = [each for place, each in enumerate(self.asked) if place not in places]
            self._prepare()
        return mine

    def _wanted(self, subject: bytes, asked: Asked) -> Erase | None:
        """Read what was asked for; None where the catalogue of these data does not know it."""
        scope = _scope_of(asked)
        if scope is None:
            return None
        category = field = 0
        try:
            if scope is Scope.CATEGORY:
                category = self.catalogue.category(asked.names[0].partition(":")[2]).id
            elif scope is Scope.FIELD:
                found = self.catalogue.field(asked.names[0])
                category, field = found.category_id, found.id
        except (UnknownCategory, UnknownField, IndexError):
            return None
        return Erase(subject, self.actor, scope, category, field, _cause_of(asked), again=True)

    def _ask(self, asks: Sequence[Erase]) -> None:
        # One scope at a time: a field goes with its category, and a category that is asked for twice is one.
        for scope in Scope:
            some = list(dict.fromkeys(each for each in asks if each.scope is scope))
            for answer in erase(self.vault, some) if some else ():
                if isinstance(answer, Requested):
                    self.counts[scope] += answer.entry is not None
                elif not isinstance(answer, NothingToErase | UnknownReference):
                    raise answer

    def _doubt(self, people: Sequence[Any]) -> None:
        """Restrict people of whom something was erased that these data have no name for: an officer decides."""
        active = [row for row in people if row.state == ACTIVE]
        if not active:
            return
        ids = [row.id for row in active]
        with self.vault.unit() as uow:
            known = reindex.in_doubt(uow.conn, ids)
            fresh = [row for row in active if row.id not in known]
            if fresh:
                subjects = {"subjects": padded([row.id for row in fresh])}
                uow.conn.execute(_RESTRICT, subjects)
                uow.conn.execute(delete(_TOKEN).where(_TOKEN.c.subject_id.in_(subjects["subjects"])))
                rows = [restrictions.as_row(uow, row.id, row.shard, "", Ground.RESTORED, self.actor) for row in fresh]
                insert_rows(uow.conn, _RESTRICTION, rows)
                uow.commit()
                self.restricted += len(fresh)


def _scope_of(asked: Asked) -> Scope | None:
    return next((each for each in Scope if f"erasure.{each}" in asked.rules), None)


def _cause_of(asked: Asked) -> Cause:
    return Cause.RETENTION if f"erasure.{Cause.RETENTION}" in asked.rules else Cause.REQUEST


def _cause_of_all(asked: Sequence[Asked]) -> Cause:
    """Return why somebody was erased as a whole; their own wish where nothing is left that says."""
    whole = [_cause_of(each) for each in asked if _scope_of(each) is Scope.SUBJECT]
    return Cause.RETENTION if whole and Cause.REQUEST not in whole else Cause.REQUEST
