"""What a person wrote into a request: sealed under a data key of its own, that under a leaf of its own.

The leaf is destroyed when the request is over, and with the person: so nothing of it can be read in any backup after the
next change of the epoch, and no rest of it outlives an erasure. Rows hold ciphertext, padded so that its length says
little.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, bindparam, select, update

from vault import leftleaves, ownleaf
from vault.errors import InvalidFields
from vault.keys.message import bind
from vault.keys.service import Slot
from vault.ownleaf import Sealed
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

LONGEST_WORDS: Final = 4_000
LONGEST_AGENT: Final = 200
LARGEST: Final = 32_768  # bytes of everything together

_BUCKET: Final = 512
_LABEL: Final = b"ecrin/request/content/v1"

_REQUEST: Final = metadata.tables["subject_request"]


@dataclass(frozen=True, slots=True)
class Content:
    """What was written. `values` are new values by field name, `key` is a public JWK to seal the answer to."""

    words: str = field(default="", repr=False)
    values: Mapping[str, object] = field(default_factory=dict, repr=False)
    agent: str = field(default="", repr=False)
    key: Mapping[str, object] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)  # of officers
    answer: str = field(default="", repr=False)  # to the person, in words: of what only somebody can decide

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return self == Content()

    def problems(self) -> list[tuple[str, str]]:
        """Return what is wrong with it as (member, reason)."""
        found = []
        if len(self.words) > LONGEST_WORDS:
            found.append(("words", "too_long"))
        if len(self.answer) > LONGEST_WORDS:
            found.append(("answer", "too_long"))
        if len(self.agent) > LONGEST_AGENT:
            found.append(("agent", "too_long"))
        if len(_encoded(self)) > LARGEST:
            found.append(("content", "too_long"))
        return found


def seal(uow: UnitOfWork, contents: Sequence[tuple[bytes, bytes, Content]]) -> list[Sealed | None]:
    """Seal the content of requests, given as (subject, request, content); None where there is none.

    Raises `InvalidFields`, and `LeavesExhausted` when leaves run out.
    """
    full = [place for place, (_, _, content) in enumerate(contents) if not content.is_empty]
    answers: list[Sealed | None] = [None] * len(contents)
    messages = []
    for subject, request, content in [contents[place] for place in full]:
        if problems := content.problems():
            raise InvalidFields(tuple(problems))
        messages.append((_context(uow.vault, subject, request), _encoded(content)))
    for place, sealed in zip(full, ownleaf.seal(uow, messages) if messages else (), strict=True):
        answers[place] = sealed
    return answers


def opened(vault: Vault, subject: bytes, request: bytes, sealed: Sealed) -> Content | None:
    """Open content; None where its key is gone. Raises `IntegrityFailure` for what was altered.

    Whoever calls this has recorded who reads it, durably, before.
    """
    found = ownleaf.opened(vault, _context(vault, subject, request), sealed)
    if found is None:
        return None
    plain: dict[str, Any] = orjson.loads(found)
    return Content(**plain | {"notes": tuple(plain["notes"])})


def stored(uow: UnitOfWork, request: bytes) -> Sealed | None:
    """Read the sealed content of a request, or None where there is none any more."""
    columns = (_REQUEST.c.content, _REQUEST.c.content_slot, _REQUEST.c.content_generation)
    row = uow.conn.execute(select(*columns).where(_REQUEST.c.id == request)).one_or_none()
    return None if row is None or row.content is None else Sealed(row.content, Slot(row[1], row[2]))


def columns(sealed: Sealed | None) -> dict[str, Any]:
    """Return the columns that hold sealed content."""
    if sealed is None:
        return {"content": None, "content_slot": None, "content_generation": None}
    return {
        "content": sealed.blob,
        "content_slot": sealed.slot.number,
        "content_generation": sealed.slot.generation,
    }


def forget(uow: UnitOfWork, requests: Collection[bytes]) -> None:
    """Drop the content of requests and leave its leaves, which the next epoch change destroys."""
    if requests:
        _forget(uow, _REQUEST.c.id.in_(bindparam("which", expanding=True)), requests)


def forget_people(uow: UnitOfWork, subjects: Collection[bytes]) -> None:
    """Drop the content of every request of these subjects: they are being erased."""
    if subjects:
        _forget(uow, _REQUEST.c.subject_id.in_(bindparam("which", expanding=True)), subjects)


def _forget(uow: UnitOfWork, these: ColumnElement[bool], keys: Collection[bytes]) -> None:
    which = {"which": padded(sorted(keys))}
    held = (these, _REQUEST.c.content.is_not(None))
    # Locked: a re-keying in between would leave the leaf before us, and we the wrong one.
    leaves = select(_REQUEST.c.content_slot, _REQUEST.c.content_generation).where(*held).with_for_update()
    leftleaves.leave(uow, [Slot(*row) for row in uow.conn.execute(leaves, which)])
    uow.conn.execute(update(_REQUEST).where(*held).values(**columns(None)), which)


def _encoded(content: Content) -> bytes:
    plain = orjson.dumps(asdict(content))
    return plain + b" " * (-len(plain) % _BUCKET)  # JSON does not mind blanks


def _context(vault: Vault, subject: bytes, request: bytes) -> bytes:
    # Bound to the request and its subject: a row copied beside another one opens for nobody.
    return bind(_LABEL, vault.deployment.encode(), subject, request)
