"""A person's requests: each with how far it is, what was decided, and what it led to, to be taken along."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from starlette.responses import Response

from api.packages.archive import answer_of, zipped
from api.packages.handing import file_of
from api.packages.sealed import InvalidKey
from api.pages import render, terms
from api.portal.call import Call, elsewhere, person
from api.portal.words import ABOUT, STANDS
from api.problems import Problem
from policies.rights import Right
from vault.erasure import certificates
from vault.errors import UnknownErasure, UnknownRequest
from vault.requests import delivering, handling, records
from vault.requests.records import Request, Step, Wanted
from vault.requests.states import Move, State, moves_from
from vault.requests.steps import DECIDED, by_person
from vault.unit import UnitOfWork

MOST_SHOWN: Final = 50
MOST_PACKAGES: Final = 10  # in five minutes

_WITH_PACKAGE: Final = frozenset({Right.ACCESS, Right.PORTABILITY})
_FETCHABLE: Final = frozenset({State.READY, State.DELIVERED})
ASKED: Final = frozenset({State.ACKNOWLEDGED, State.IDENTITY_CHECK})
_REFUSED: Final = frozenset({records.Outcome.REFUSED, records.Outcome.PARTIALLY_GRANTED})
# What officers weigh among themselves is none of the person's steps until it is decided.
_INTERNAL: Final = frozenset({Move.PROPOSE_REFUSAL, Move.REJECT_REFUSAL})
# How far along each state is, of received, identity, work, answer, closed.
_PHASES: Final = (
    frozenset({State.RECEIVED, State.ACKNOWLEDGED}),
    frozenset({State.IDENTITY_CHECK, State.IDENTITY_FAILED}),
    frozenset(
        {
            State.SCOPING, State.COLLECTING, State.OFFICER_REVIEW, State.ON_HOLD, State.REFUSAL_PROPOSED, State.HOLD_CHECK,
            State.DRY_RUN, State.SECOND_APPROVAL,
        }
    ),
    frozenset({State.READY, State.EXECUTED, State.RECIPIENTS_NOTIFIED, State.BACKUPS_EXPIRED, State.REFUSED}),
    frozenset({State.DELIVERED, State.CERTIFIED, State.CLOSED, State.WITHDRAWN, State.DUPLICATE}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """One request as its person sees it. `phase` counts from 0; `ground` says why it was refused, wholly or in part.

    `received` and `due` are days where its law is counted. `is_asked`: it came in by somebody else's hand, and waits for the person's word that it is theirs.
    """

    request: Request
    received: date
    due: date
    stands: str
    phase: int
    steps: tuple[Step, ...]
    ground: str
    kept: tuple[str, ...]
    has_package: bool
    has_certificate: bool
    has_answer: bool
    is_asked: bool
    may_withdraw: bool


def requests_page(call: Call) -> Response:
    """Show the person's requests, those that are open first, and the rights there are."""
    with call.vault.unit() as uow:
        found = sorted(_mine(uow, call), key=lambda each: (not each.is_open, -each.clock.received_at))[:MOST_SHOWN]
        shown = [_progress(uow, call, each) for each in found]
    return call.page("me_requests.html", shown=shown, rights=list(Right), about=ABOUT)


def withdraw(call: Call) -> Response:
    """Take a request back."""
    request = _named(call)
    handling.advance(call.vault, request.id, Move.WITHDRAW, by_person(call.vault), brand=call.visitor.brand)
    return elsewhere("/requests", "withdrawn")


def confirm(call: Call) -> Response:
    """Take the person's word that a request which somebody handed in for them is theirs."""
    handling.confirm(call.vault, _named(call).id, by_person(call.vault), call.visitor.brand)
    return elsewhere("/requests", "confirmed")


def disown(call: Call) -> Response:
    """Take the person's word that it is not, and end it."""
    handling.disown(call.vault, _named(call).id, by_person(call.vault), call.visitor.brand)
    return elsewhere("/requests", "disowned")


def answer(call: Call) -> Response:
    """Show the answer of whoever decided, in words, or give it to be taken along, signed."""
    call.bounded("package", MOST_PACKAGES)
    request, text = delivering.answered(call.vault, _named(call).id, by_person(call.vault))
    if call.form.get("take") == "on":
        return render.download(answer_of(call.vault, request, text), f"{request.name}.zip")
    return call.page("me_answer.html", request=request, text=text)


def package(call: Call) -> Response:
    """Give the person the package of a request of theirs that is ready. It is made now, and kept nowhere."""
    call.bounded("package", MOST_PACKAGES)
    gathered, written = delivering.hand_over(call.vault, _named(call).id, by_person(call.vault))
    try:
        content, name = file_of(call.vault, gathered, written.key)
    except InvalidKey:
        raise Problem("bad_request") from None
    return render.download(content, name)


def certificate(call: Call) -> Response:
    """Give the person the certificates of what was erased on a request of theirs, with the key that they verify under."""
    request = _named(call)
    notes = _certificates(call, request)
    if not notes:
        raise Problem("not_found")
    return _along(call, request, notes)


def erased_page(call: Call) -> Response:
    """Ask for the number of a request, of whom there is no record any more that could be signed in to."""
    return call.page("me_erased.html", failed=False)


def erased(call: Call) -> Response:
    """Give the certificates of a request to whoever has its number: 128 random bits that were told to the person.

    A certificate names nobody. What is not carried out yet, and what there never was, is one answer.
    """
    notes: list[str] = []
    try:
        request, _ = handling.history(call.vault, records.identifier("".join(call.form.get("request", "").split())))
        notes = _certificates(call, request)
    except UnknownRequest:
        pass
    return _along(call, request, notes) if notes else call.page("me_erased.html", 404, failed=True)


def _along(call: Call, request: Request, notes: list[str]) -> Response:
    files = {f"certificate-{number}.note": note.encode() for number, note in enumerate(notes, 1)}
    files["certificate.vkey"] = f"{certificates.verifier_key(call.vault)}\n".encode()
    return render.download(zipped(files), f"{request.name}.zip")


def _named(call: Call) -> Request:
    """Return the request that a form names, if it is the person's; any other is one answer."""
    request_id = records.identifier(call.form.get("request", ""))
    with call.vault.unit() as uow:
        for each in _mine(uow, call):
            if each.id == request_id:
                return each
    raise UnknownRequest


def _mine(uow: UnitOfWork, call: Call) -> list[Request]:
    me = person(uow, call)
    return records.listed(uow.conn, Wanted(brand=call.visitor.brand, subject=me.subject))


def _certificates(call: Call, request: Request) -> list[str]:
    try:
        return [certificates.certificate(call.vault, each.hex()) for each in request.erasures]
    except UnknownErasure:
        return []


def _progress(uow: UnitOfWork, call: Call, request: Request) -> Progress:
    say, bundle = call.language.say, call.vault.bundle
    refused = request.outcome in _REFUSED and request.ground is not None
    steps = tuple(each for each in records.steps(uow.conn, request.id) if each.move not in _INTERNAL)
    kept = [bundle.catalogue.category(each).title.get(call.tag, each) for each in request.kept] if refused else []
    rights = uow.vault.bundle.rights
    return Progress(
        request,
        request.received_on(rights),
        request.last_day(rights, uow.now),
        say(STANDS[request.state]),
        next(number for number, states in enumerate(_PHASES) if request.state in states),
        steps,
        say(terms.GROUNDS[request.ground]) if refused and request.ground is not None else "",
        tuple(kept),
        request.right in _WITH_PACKAGE and request.state in _FETCHABLE,
        bool(request.erasures) and bool(_certificates(call, request)),
        request.right in DECIDED and request.state in _FETCHABLE and request.has_content,
        request.state in ASKED,
        Move.WITHDRAW in moves_from(request.right, request.state),
    )
