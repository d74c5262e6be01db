"""Control: budgets and honey, erasures and epochs, emergencies, and who the officers are."""

from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from api.console import filters
from api.console.signing import signature_of
from api.console.visit import PREFIX, Visit
from api.keepers import keeper_of
from api.problems import Problem
from audit.entry import Act
from audit.reports.lines import vouched
from audit.search import search
from audit.selection import Filter
from vault import budgetraises, officers, systems
from vault.budgetraises import Proposal
from vault.erasure import holds, progress
from vault.errors import UnknownCase, VaultError
from vault.governance import breakglass, cases, desk, signatures
from vault.governance.cases import CASE, Case, Finding, State, Step
from vault.governance.desk import Elsewhere
from vault.governance.proposals import WAITING_SECONDS, Part
from vault.governance.proposals import State as Waiting
from vault.governance.signatures import Signed
from vault.officers import Role
from vault.signin import codes, passkeys

RUN: Final = frozenset({Role.COMPLIANCE, Role.APPROVER, Role.OPERATOR})
BUDGETS: Final = f"{PREFIX}/budgets"
CASES: Final = f"{PREFIX}/break-glass"
OFFICERS: Final = f"{PREFIX}/officers"
PAGE: Final = 50
_MOST_ALERTS: Final = 20
_MOST_DONE: Final = 200


def budgets_page(visit: Visit) -> Response:
    """Show every system's limits, the raises that wait or run, and whom a honey subject froze."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
        proposals = budgetraises.listed(conn)
        (upto, *_) = vouched(conn)
        frozen = search(conn, upto, Filter(acts=(Act.SYSTEM_FROZEN,)), None, _MOST_ALERTS).lines
        texts = _raise_texts(visit, conn, [each for each in proposals if _is_alive(each, visit.now)])
    return visit.page(
        "budgets.html",
        systems=found,
        proposals=proposals,
        frozen=frozen,
        texts=texts,
        proposes=visit.officer.role in RUN,
    )


def budgets(visit: Visit) -> Response:
    """Approve or withdraw a raise, by a signature that was made elsewhere."""
    step, identifier = visit.form.get("step"), visit.form.get("thing", "")
    if step not in {"approve", "withdraw"}:
        raise Problem("bad_request")
    made = signature_of(visit.form)
    act = budgetraises.approve if step == "approve" else budgetraises.withdraw
    act(visit.vault, identifier, visit.officer.id, lambda _: made)
    return visit.go(BUDGETS, done=step)


def erasures_page(visit: Visit) -> Response:
    """Show where erasures stand, what is held, and which epochs ended how."""
    vault = visit.vault
    found = sorted(progress.listed(vault, done=True), key=lambda each: -each.requested_at)[:_MOST_DONE]
    try:
        ended = list(reversed(keeper_of(visit.services.settings).history(0)))
        keys = vault.keys.status()
    except VaultError:  # sealed, or the holder is away: the rest of the page stands
        ended, keys = [], None
    catalogue = vault.bundle.catalogue
    titles = {each.name: each.title for each in catalogue.categories}
    titles |= {name: each.title for name, each in catalogue.fields.items()}
    return visit.page("erasures.html", erasures=found, holds=holds.listed(vault), ended=ended, keys=keys, titles=titles)


def cases_page(visit: Visit) -> Response:
    """List the emergencies, without whom they are about."""
    with visit.vault.reading() as conn:
        found = cases.listed(conn)
    shown = [(each, _state(each, visit.now)) for each in found]
    return visit.page("cases.html", cases=shown, steps=Step, asks=visit.officer.role in RUN)


def case_page(visit: Visit) -> Response:
    """Show one emergency: who asked for which fields, and the text that the next step signs. Not whom, and not why."""
    return _case_shown(visit, _case(visit), None)


def case(visit: Visit) -> Response:
    """Read the reason before deciding, or take a step: by a signature that was made elsewhere."""
    found, step = _case(visit), visit.form.get("step", "")
    made = signature_of(visit.form)
    if step == Step.SHOW:
        return _case_shown(visit, *_read(visit, found, made))
    if step == "approve":
        breakglass.approve(visit.vault, found.id, visit.officer.id, lambda _: made)
    elif step == "refuse":
        breakglass.refuse(visit.vault, found.id, visit.officer.id, lambda _: made)
    elif step in {each.value for each in Finding}:
        breakglass.review(visit.vault, found.id, Finding(step), visit.officer.id, lambda _: made)
    else:
        raise Problem("bad_request")
    return visit.go(f"{CASES}/{found.name}", done=step)


def officers_page(visit: Visit) -> Response:
    """List the officers and how they come in, a page at a time."""
    # By number and not by the last one's name: addresses stay in histories.
    skip = filters.number(visit.query, "after") or 0
    with visit.vault.reading() as conn:
        found = officers.listed(conn, skip, PAGE + 1)  # one more than a page: whether there is another
        held, coded = passkeys.counted(conn), codes.everybody(conn)
    return visit.page(
        "officers.html", officers=found[:PAGE], held=held, coded=coded, founders=officers.FOUNDERS,
        first=filters.link(OFFICERS, {}) if skip else None,
        onward=filters.link(OFFICERS, {"after": skip + PAGE}) if len(found) > PAGE else None,
    )  # fmt: skip


def _read(visit: Visit, found: Case, made: bytes) -> tuple[Case, str]:
    """Return why it was asked for. Recorded before, as it may say something of the person; whom it names stays here."""
    read, asked = breakglass.show(visit.unsealed(), found.id, visit.officer.id, lambda _: made)
    return read, asked.reason


def _case_shown(visit: Visit, found: Case, reason: str | None) -> Response:
    texts = {}
    if visit.officer.role in {Role.COMPLIANCE, Role.APPROVER}:
        acts = [each for each in Elsewhere if each.startswith(f"{CASE.name}.") and each is not Elsewhere.CASE_LOOK]
        with visit.vault.reading() as conn:
            texts = {each.partition(".")[2]: _text(visit, conn, each, found.name) for each in acts}
    return visit.page("case.html", case=found, state=_state(found, visit.now), texts=texts, steps=Step, reason=reason)


def _raise_texts(visit: Visit, conn: Connection, proposals: list[Proposal]) -> dict[str, dict[str, str]]:
    """Return the texts that this officer could sign now of each raise, by its id and the step."""
    officer = visit.officer
    if officer.role is Role.AUDITOR or not proposals:
        return {}
    things = signatures.things(conn, budgetraises.RAISES.matter, [each.id for each in proposals], Part.PROPOSE)
    number = signatures.next_number(conn, officer.id)
    texts = {}
    for each in proposals:
        decides = officer.role in {Role.COMPLIANCE, Role.APPROVER} and officer.id != each.proposed_by
        parts = [Part.APPROVE] if decides and each.state is Waiting.PROPOSED else []
        signed = [
            Signed(things[each.id], part, officer.id, number) for part in (*parts, Part.WITHDRAW) if each.id in things
        ]
        texts[each.id] = {one.part: one.text(visit.vault.deployment).decode("ascii") for one in signed}
    return texts


def _is_alive(proposal: Proposal, now: int) -> bool:
    """Tell what waits or runs from what is over, of which there are more with every month."""
    if proposal.state is Waiting.APPROVED:
        return proposal.until_at is not None and proposal.until_at > now
    return proposal.state is Waiting.PROPOSED and proposal.proposed_at + WAITING_SECONDS > now


def _text(visit: Visit, conn: Connection, act: Elsewhere, on: str) -> str:
    return desk.text(visit.vault, conn, act, on, visit.officer.id).decode("ascii")


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
