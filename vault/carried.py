"""Objections that come with an address: what the suppression list says of one that a brand brings in again.

Each is an event like any other, so that floors, tokens and history need to know nothing of the list. A later word of the
person's own wins: a consent that was given after the day of the no. One that comes with an import does not; rows of a
list are no word of anybody, whatever times are in them, and a consent is recorded by itself when somebody gives it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from policies.bundle import Bundle
from policies.model import ConsentStatus
from vault import suppression
from vault.consentevents import ConsentAct, ConsentEvent, Method, Source, Who
from vault.consentfold import STANDS, Projected
from vault.consentrecording import Recording
from vault.locked import Locked
from vault.search import Indexed
from vault.suppression import NOES, Said
from vault.unit import UnitOfWork

CHANNEL: Final = "vault"


def to_new(
    uow: UnitOfWork, recording: Recording, person: Locked, brand: str, said: Mapping[str, int], *, listed: bool
) -> list[Said]:
    """Carry objections over to somebody who is only now taken in, `listed` by an import or not.

    Returns the consents of theirs that answer a no: those that came later.
    """
    answers = []
    for purpose, day in sorted(said.items()):
        held = recording.held(person.subject, brand, purpose)
        if held is not None and not listed and _answered(held, day):
            answers.append(Said(person.subject, brand, purpose, frozenset(held.points.split())))
        else:
            recording.add(person, brand, uow.vault.deployment, _objection(purpose))
    return answers


def to_known(uow: UnitOfWork, bundle: Bundle, people: Mapping[bytes, Locked], arriving: Sequence[Indexed]) -> None:
    """Weigh new addresses of people who are here: what the list says of these, and what they said no to themselves."""
    came = [each for each in arriving if suppression.is_address(each.field)]
    if not came:
        return
    met = suppression.met(uow, bundle, came)
    recording = Recording(uow, bundle)
    recording.load({each.subject for each in came})
    own = {(each.subject, each.brand): recording.refused(each.subject, each.brand) for each in came}
    for (subject, brand), purposes in met.items():
        for purpose, day in sorted(purposes.items()):
            held = recording.held(subject, brand, purpose)
            if held is None or not (held.state in NOES or _answered(held, day)):
                recording.add(people[subject], brand, uow.vault.deployment, _objection(purpose))
    recording.flush()
    entries = []
    for each in came:
        at = (each.subject, each.brand)
        refused = {leaf for purpose in own[at] for leaf in bundle.purposes.soliciting(purpose)}
        entries.append((each, refused - met.get(at, {}).keys()))
    suppression.enter(uow, bundle, entries)


def _answered(held: Projected, day: int) -> bool:
    """Whether what stands was given after the day of the no."""
    return ConsentStatus(held.state) in STANDS and held.since_at >= day


def _objection(purpose: str) -> ConsentEvent:
    return ConsentEvent(
        purpose, ConsentAct.OBJECTED, CHANNEL, method=Method.RULE, actor=Who.SYSTEM, source=Source.SUPPRESSION
    )
