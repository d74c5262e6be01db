"""Consent events from bodies, for every route that takes consents in."""

from api.bodies.consents import ConsentGiven
from vault.consents import ConsentAct, ConsentEvent, Notice


def event_given(body: ConsentGiven) -> ConsentEvent:
    """Shape a given consent from its body."""
    return ConsentEvent(
        body.purpose,
        ConsentAct.GIVEN,
        body.channel,
        Notice(body.notice.id, body.notice.version, body.notice.language),
        body.place,
        body.collector,
        body.event_at,
        body.jurisdiction,
    )
