"""Global Privacy Control: a browser's `Sec-GPC: 1` as an objection (W3C GPC; 11 CCR § 7025).

It objects to every purpose that the bundle marks `gpc`, without a check of identity or a question back. Repeated, it
adds nothing. A person who consents after the signal does so knowing of the conflict, and is not overruled by the same
browser's next request: only an objection that no later consent answers stands.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, select

from audit.entry import Asker
from policies.model import ConsentStatus
from vault import locked
from vault.consentevents import ConsentAct, ConsentEvent, Method, Source
from vault.consents import Recording
from vault.errors import UnknownReference, VaultError
from vault.locked import Locked
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

_EVENT = metadata.tables["consent_event"]
_SIGNALLED: Final = select(_EVENT.c.subject_id, _EVENT.c.brand, _EVENT.c.purpose).where(
    _EVENT.c.subject_id.in_(bindparam("subjects", expanding=True)), _EVENT.c.source == Source.GPC.value
)
_CONSENTED: Final = frozenset({ConsentStatus.GIVEN, ConsentStatus.GUARDED})


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that a brand's site received from the browser of the person behind a reference."""

    reference: str = field(repr=False)
    brand: str
    system_id: str
    channel: str
    on: bool = True
    asker: Asker | None = None  # who stands behind the system, if it named them


def receive(uow: UnitOfWork, signals: Sequence[Signal]) -> list[tuple[str, ...] | VaultError]:
    """Record objections; returns per signal the purposes it newly objected to. An item fails with `UnknownReference`."""
    bundle = uow.vault.bundle
    marked = [each.key for each in bundle.purposes.every if each.gpc]
    recording = Recording(uow, bundle)
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in signals])
    subjects = {row.subject for row in rows if isinstance(row, Locked)}
    recording.load(subjects)
    before = _signalled(uow, subjects)
    outcomes: list[tuple[str, ...] | VaultError] = []
    for signal, row in zip(signals, rows, strict=True):
        if isinstance(row, UnknownReference):
            outcomes.append(row)
            continue
        objected = []
        for purpose in marked if signal.on else ():
            at = (row.subject, signal.brand, purpose)
            status = recording.status(*at)
            if status is ConsentStatus.OBJECTED or (at in before and status in _CONSENTED):
                continue
            event = ConsentEvent(purpose, ConsentAct.OBJECTED, signal.channel, method=Method.SIGNAL, source=Source.GPC)
            recording.add(row, signal.brand, signal.system_id, event, asker=signal.asker)
            before.add(at)
            objected.append(purpose)
        outcomes.append(tuple(objected))
    recording.flush()
    return outcomes


record = settled(receive)


def _signalled(uow: UnitOfWork, subjects: Collection[bytes]) -> set[tuple[bytes, str, str]]:
    if not subjects:
        return set()
    found = uow.conn.execute(_SIGNALLED, {"subjects": padded(sorted(subjects))})
    return {(row.subject_id, row.brand, row.purpose) for row in found}
