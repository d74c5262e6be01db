"""Consent events from bodies, for every route that takes consents in."""

from typing import Final

from api.bodies.consents import ConsentEventTold, ConsentGiven, NoticeShown, WithdrawConsent
from vault.consents import ConsentAct, ConsentEvent, Method, Notice, Source, Who

_BY_THE_BRAND: Final = frozenset({"invalidated", "established", "ended"})


def event_given(body: ConsentGiven, *, renewal: bool = False) -> ConsentEvent:
    """Shape a given consent from its body."""
    return ConsentEvent(
        body.purpose,
        ConsentAct.RENEWED if renewal else ConsentAct.GIVEN,
        body.channel,
        _notice(body.notice),
        body.place,
        body.collector,
        body.event_at,
        body.jurisdiction,
        Method(body.method),
        body.explicit,
        Who(body.actor),
        evidence_hash=_hash(body.evidence_hash),
        contact=body.contact,
    )


def event_withdrawn(body: WithdrawConsent) -> ConsentEvent:
    """Shape a withdrawal from its body."""
    return _told(body, ConsentAct.WITHDRAWN)


def event_told(body: ConsentEventTold) -> ConsentEvent:
    """Shape any other event from its body."""
    source = Source.BRAND if body.event in _BY_THE_BRAND else Source.PERSON
    return _told(body, ConsentAct(body.event), None if body.notice is None else _notice(body.notice), source)


def _told(
    body: WithdrawConsent, act: ConsentAct, notice: Notice | None = None, source: Source = Source.PERSON
) -> ConsentEvent:
    return ConsentEvent(
        body.purpose,
        act,
        body.channel,
        notice,
        body.place,
        body.collector,
        body.event_at,
        method=Method(body.method),
        actor=Who(body.actor),
        source=source,
        evidence_hash=_hash(body.evidence_hash),
        contact=body.contact,
    )


def _notice(shown: NoticeShown) -> Notice:
    return Notice(shown.id, shown.version, shown.language)


def _hash(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
