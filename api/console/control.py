"""Control: budgets and honey, erasures and epochs, emergencies, and who the officers are."""

from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.policy import signature_of
from api.console.visit import PREFIX, Visit
from api.keepers import keeper_of
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports.lines import vouched
from audit.search import Sought, search
from vault import budgetraises, officers, systems
from vault.erasure import holds, progress
from vault.errors import UnknownCase, VaultError
from vault.governance import breakglass, cases
from vault.governance.cases import Case, Finding, State, Step
from vault.signin import codes, passkeys

BUDGETS: Final = f"{PREFIX}/budgets"
CASES: Final = f"{PREFIX}/break-glass"
_MOST_ALERTS: Final = 20
_MOST_DONE: Final = 200


def budgets_page(visit: Visit) -> Response:
    """Show every system's limits, the raises that wait or run, and whom a honey subject froze."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
        proposals = budgetraises.listed(conn)
        (upto, *_) = vouched(conn)
        frozen = search(conn, upto, Sought(act=Act.SYSTEM_FROZEN), None, _MOST_ALERTS).lines
    return visit.page("budgets.html", systems=found, proposals=proposals, frozen=frozen)


def budgets(visit: Visit) -> Response:
    """Approve or withdraw a raise."""
    step, identifier = visit.form.get("step"), visit.form.get("proposal", "")
    if step not in {"approve", "withdraw"}:
        raise Problem("bad_request")
    with visit.vault.unit() as uow:
        act = budgetraises.approve if step == "approve" else budgetraises.withdraw
        act(uow, identifier, visit.officer)
        uow.commit()
    return visit.go(BUDGETS)


def erasures_page(visit: Visit) -> Response:
    """Show where erasures stand, what is held, and which epochs ended how."""
    vault = visit.vault
    found = sorted(progress.listed(vault, done=True), key=lambda each: -each.requested_at)[:_MOST_DONE]
    try:
        ended = list(reversed(keeper_of(visit.services.settings).history(0)))
        keys = vault.keys.status()
    except VaultError:  # sealed, or the holder is away: the rest of the page stands
        ended, keys = [], None
    return visit.page("erasures.html", erasures=found, holds=holds.listed(vault), ended=ended, keys=keys)


def cases_page(visit: Visit) -> Response:
    """List the emergencies, without whom they are about."""
    with visit.vault.reading() as conn:
        found = cases.listed(conn)
    return visit.page("cases.html", cases=[(each, _state(each, visit.now)) for each in found], steps=Step)


def case_page(visit: Visit) -> Response:
    """Show one emergency: who asked for which fields, and the text that the next step signs. Not whom, and not why."""
    found = _case(visit)
    texts = {
        step.value: cases.message(visit.vault.deployment, found.id, found.digest, step).decode("ascii")
        for step in (Step.APPROVE, Step.REFUSE)
    }
    texts |= {
        finding.value: cases.message(visit.vault.deployment, found.id, found.digest, Step.REVIEW, finding).decode(
            "ascii"
        )
        for finding in Finding
    }
    return visit.page("case.html", case=found, state=_state(found, visit.now), texts=texts, steps=Step, reason=None)


def case(visit: Visit) -> Response:
    """Read the reason before deciding, or take a step by a signature that was made elsewhere."""
    found, step = _case(visit), visit.form.get("step", "")
    if step == "read":
        return _read(visit, found)
    made = signature_of(visit.form)
    if step == "approve":
        breakglass.approve(visit.vault, found.id, visit.officer.id, lambda _: made)
    elif step == "refuse":
        breakglass.refuse(visit.vault, found.id, visit.officer.id, lambda _: made)
    elif step in {each.value for each in Finding}:
        breakglass.review(visit.vault, found.id, Finding(step), visit.officer.id, lambda _: made)
    else:
        raise Problem("bad_request")
    return visit.go(f"{CASES}/{found.name}")


def officers_page(visit: Visit) -> Response:
    """List the officers and how they come in."""
    with visit.vault.reading() as conn:
        found = officers.listed(conn)
        held = {each.id: len(passkeys.of(conn, each.id)) for each in found}
    coded = {each.id: codes.is_set_up(visit.vault, each.id) for each in found}
    return visit.page("officers.html", officers=found, held=held, coded=coded, founders=officers.FOUNDERS)


def _read(visit: Visit, found: Case) -> Response:
    """Show why it was asked for. Recorded before, as it may say something of the person."""
    visit.unsealed()
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=(f"case:{found.name}",), n=1))
    with visit.vault.reading() as conn:
        asked = cases.opened(visit.vault, conn, found)
    return visit.page(
        "case.html", case=found, state=_state(found, visit.now), texts={}, steps=Step, reason=asked.reason
    )


def _state(case: Case, now: int) -> str:
    over = case.state is State.APPROVED and case.expires_at is not None and case.expires_at <= now
    return "over" if over else case.state.value


def _case(visit: Visit) -> Case:
    try:
        identifier = bytes.fromhex(filters.word(visit.params, "id"))
        with visit.vault.reading() as conn:
            return cases.get(conn, identifier)
    except (UnknownCase, ValueError):
        raise Problem("not_found") from None
