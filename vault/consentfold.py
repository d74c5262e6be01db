"""The projection of consent events, as a pure fold: what holds after an event, from what held before it.

Two rules decide what an event does to the state:

* a restriction (withdrawal, refusal, objection, expiry, …) takes effect whenever it arrives, however late;
* a permission (consent, lifted objection) takes effect only if it is not older than what it would replace.

So neither a lagging clock nor a late import can undo what somebody refused. A weaker restriction never takes the place
of a stronger one: what was withdrawn does not become "expired", which would say less.

Where the purpose has a channel, what stands covers contact points (`points`). A later consent on the same text adds
points and lasts no longer than the earlier one; on another text it replaces it, so that no address is carried forward
to words its owner was not shown. A restriction that names points takes those away, and falls on the whole purpose when
none is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from policies.model import ConsentStatus
from vault.consentevents import ConsentAct, Source, Who

STANDS: Final = frozenset({ConsentStatus.GIVEN, ConsentStatus.GUARDED})
_LAPSED: Final = STANDS | {ConsentStatus.EXPIRED, ConsentStatus.NEEDS_RENEWAL, ConsentStatus.REQUESTED}
_FINAL: Final = frozenset({ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED})
_PERMISSIONS: Final = frozenset(
    {ConsentAct.GIVEN, ConsentAct.RENEWED, ConsentAct.OBJECTION_LIFTED, ConsentAct.ESTABLISHED, ConsentAct.REQUESTED}
)
# A consent may be renewed from here: not from a withdrawal, which only a consent given anew replaces.
RENEWABLE: Final = STANDS | {ConsentStatus.EXPIRED, ConsentStatus.NEEDS_RENEWAL}


@dataclass(slots=True)
class Projected:
    """What holds for one subject, brand and purpose: the columns of `consent_state`. `epoch` counts the events."""

    state: str = ConsentStatus.NONE
    since_at: int = 0
    until_at: int | None = None
    epoch: int = 0
    event_id: bytes = b""
    notice_version: int = 0
    points: str = ""


def fold(state: Projected, event: Mapping[str, Any]) -> None:
    """Apply one event (a row of `consent_event`) to the state."""
    act = ConsentAct(event["state"])
    # A time ahead of our clock counts as now, or the withdrawal that follows could look older than it.
    since = min(event["event_at"], event["recorded_at"])
    if state.epoch == 0:
        state.event_id = event["id"]
    state.epoch += 1
    if act in _PERMISSIONS and since < state.since_at:
        return
    following = _following(act, event, ConsentStatus(state.state))
    if following is None:
        return
    left = _left(state, event) if act not in _PERMISSIONS else ""
    if left:
        state.points = left
    elif following in STANDS:
        _stand(state, following, event)
    else:
        state.state, state.until_at, state.points = following, event["valid_until"], ""
        state.notice_version = event["notice_version"]
    # A late restriction must not make the state look old again: an older permission could then replace it.
    state.since_at = max(since, state.since_at)
    state.event_id = event["id"]


def points_of(text: str) -> tuple[str, ...]:
    """Read the contact points of a row."""
    return tuple(text.split())


def _following(act: ConsentAct, event: Mapping[str, Any], held: ConsentStatus) -> ConsentStatus | None:
    """Return the status an event leads to, or None where it changes nothing."""
    match act:
        case ConsentAct.GIVEN | ConsentAct.RENEWED:
            return ConsentStatus.GUARDED if event["actor"] == Who.GUARDIAN else ConsentStatus.GIVEN
        case ConsentAct.WITHDRAWN:
            return ConsentStatus.WITHDRAWN
        case ConsentAct.OBJECTED:
            return ConsentStatus.OBJECTED
        case ConsentAct.OBJECTION_LIFTED:
            return ConsentStatus.NONE if held is ConsentStatus.OBJECTED else None
        case ConsentAct.REFUSED:
            return None if held in _FINAL else ConsentStatus.REFUSED
        case ConsentAct.REQUESTED:
            return ConsentStatus.REQUESTED if held is ConsentStatus.NONE else None
        case ConsentAct.EXPIRED:
            return ConsentStatus.EXPIRED if held in STANDS else None
        case ConsentAct.INVALIDATED if event["source"] in {Source.NOTICE, Source.MAJORITY}:
            return ConsentStatus.NEEDS_RENEWAL if held in STANDS else None
        case ConsentAct.INVALIDATED:
            return ConsentStatus.INVALIDATED if held in _LAPSED else None
        case ConsentAct.ENDED:
            return None if held in _FINAL else ConsentStatus.ENDED
        case ConsentAct.ESTABLISHED:
            return ConsentStatus.NONE if held is ConsentStatus.ENDED else None


def _left(state: Projected, event: Mapping[str, Any]) -> str:
    """Return the points that still stand after a restriction that names some; "" if it falls on the whole."""
    if not event["points"] or state.state not in STANDS:
        return ""
    return " ".join(sorted(set(points_of(state.points)) - set(points_of(event["points"]))))


def _stand(state: Projected, following: ConsentStatus, event: Mapping[str, Any]) -> None:
    before, named = set(points_of(state.points)), set(points_of(event["points"]))
    until, shown = event["valid_until"], event["notice_version"]
    if state.state == following and state.notice_version == shown and not before <= named:
        named |= before
        until = min((each for each in (until, state.until_at) if each is not None), default=None)
    state.state, state.until_at, state.notice_version = following, until, shown
    state.points = " ".join(sorted(named))
