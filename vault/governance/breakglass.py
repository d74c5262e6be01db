"""Break-glass: access in an emergency, under two signatures, for minutes, loud, and looked at afterwards.

It goes the way of every disclosure: decided by the bundle under the purpose `break_glass`, its floors included (erased
and brand isolation among them), recorded before anything opens. What is special is who may use that purpose: no system
can be registered for it, so nothing but an open case leads here. Each step is an entry of a kind of its own, the
refused ones too, and `ecrin doctor` tells of every review that is overdue.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from sqlalchemy import Connection, select, update

from audit.entry import Act, Entry, Outcome
from policies.decision import decide, mint
from policies.floors import TOO_FEW
from policies.model import Caller, Decision, DecisionRequest
from policies.purposes import BREAK_GLASS
from vault import disclosure, facts, officers, references
from vault.errors import (
    CaseClosed,
    CaseRunning,
    Conflict,
    NotSigned,
    Refused,
    TooFew,
    UnknownOfficer,
    UnknownReference,
    VaultError,
)
from vault.facts import Known
from vault.governance import beginning, cases, signatures
from vault.governance.beginning import Begun
from vault.governance.cases import CASE, WAITING_SECONDS, Asked, Case, Finding, State, Step
from vault.governance.signatures import Sign, actor
from vault.revealed import Revealed
from vault.store.bulk import insert_rows
from vault.store.tables import BreakGlassCase
from vault.unit import UnitOfWork, Vault, record_apart

_ID_BYTES: Final = 16
_TABLE: Final = BreakGlassCase.__table__  # type: ignore[attr-defined]


def ask(vault: Vault, asked: Asked, officer_id: str, sign: Sign, begun: Begun | None = None) -> Case:
    """Open a case, signed by who asks; record `breakglass.asked`. `begun` names it where its text was signed elsewhere.

    Raises `InvalidCase`, `UnknownField`, `UnknownOfficer`, `NotSigned`, `Conflict` for a case that is open already. Whether
    the reference leads to anybody is not said.
    """
    begun = begun or beginning.draw(vault)
    case_id = begun.id
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        _check(vault, uow.conn, asked)
        if uow.conn.scalar(select(_TABLE.c.id).where(_TABLE.c.id == case_id)) is not None:
            raise Conflict("break_glass_case")
        sealed, thing = cases.seal(uow, begun, asked)
        row: dict[str, Any] = {"id": case_id, "state": State.ASKED.value, "brand": asked.brand, "finding": ""}
        row |= {"fields": asked.stored_fields(), "bearer": asked.bearer, "minutes": asked.minutes, "disclosures": 0}
        row |= {"asked_at": uow.now, "expires_at": None, "closed_at": None}
        row |= sealed | {"subject_id": references.locate(uow, [(asked.brand, asked.reference)])[0]}
        insert_rows(uow.conn, BreakGlassCase, [row])
        fields = tuple(f"{each.field}:{each.level}" for each in asked.wanted)
        said = (*_said(case_id), *signatures.add(uow, thing, Step.ASK, officer_id, sign))
        uow.record(Entry(Act.BREAKGLASS_ASKED, Outcome.ALLOW, actor(officer_id), fields, BREAK_GLASS, pol=said))
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def text(vault: Vault, conn: Connection, asked: Asked, officer_id: str, begun: Begun) -> bytes:
    """Return what an officer signs to ask for a case. Raises as `ask` of what could not be asked for."""
    _check(vault, conn, asked)
    return signatures.next_text(conn, vault.deployment, cases.thing_of(begun, asked), Step.ASK, officer_id)


def show(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> tuple[Case, Asked]:
    """Give who decides or reviews what a case asks for and why. Records `breakglass.shown`, in the person's own log too.

    Raises `CaseClosed` when that is gone, `NotSigned`, `UnknownCase`, `UnknownOfficer`, `IntegrityFailure`.
    """
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        asked = cases.opened(vault, uow.conn, case)
        said = (*_said(case_id), *_sign(uow, case, Step.SHOW, officer_id, sign))
        known = _known(uow, asked)
        log_key = None if known is None else facts.log_keys(vault.keys, [known])[0]
        uow.record(Entry(Act.BREAKGLASS_SHOWN, Outcome.ALLOW, actor(officer_id), pol=said), log_key=log_key)
        uow.commit()
    return case, asked


def approve(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> Case:
    """Approve a case as the second officer: its minutes begin. Records `breakglass.approved`. Raises as `ask`, `CaseClosed`."""
    return _decide(vault, case_id, officer_id, sign, Step.APPROVE)


def refuse(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> Case:
    """Refuse a case as the second officer. Records `breakglass.refused`. Raises as `approve`."""
    return _decide(vault, case_id, officer_id, sign, Step.REFUSE)


def disclose(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> tuple[Decision, Revealed]:
    """Give the officer whom the case names what the bundle lets be seen of what it asks for. Loud.

    Records `breakglass.disclosed` before anything opens, or `breakglass.denied`; what then does not open leaves a second
    entry with the outcome `error`. Raises `CaseClosed`, `NotSigned`, `UnknownReference` (also for who was erased or is
    another brand's), `Refused` where nothing may be seen. A signature is good for one look.
    """
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.APPROVED or case.expires_at is None or uow.now >= case.expires_at:
            raise CaseClosed
        cases.check_signatures(vault, uow.conn, case)
        asked = cases.opened(vault, uow.conn, case)
        if officer_id != case.bearer:
            raise NotSigned("the case names another officer")
        signed = _sign(uow, case, Step.LOOK, officer_id, sign)
        known = _known(uow, asked)
        if known is None:
            raise UnknownReference
        caller = Caller(f"officer:{officer_id}", case.brand, frozenset({BREAK_GLASS}), staffed=True)
        decision = decide(DecisionRequest(caller, known.facts, BREAK_GLASS, case.wanted), vault.bundle)
        if not decision.granted:
            raise Refused("not_permitted")
        grant = mint(decision, caller, BREAK_GLASS, known.subject_id)
        selection = disclosure.select(uow, [grant])
        _change(uow, case, disclosures=_TABLE.c.disclosures + 1)
        log_key = facts.log_keys(vault.keys, [known])[0]
        rules = [rule for each in decision.answers if each.granted is not None for rule in each.policies]
        said = (*_said(case_id), *signed, *rules)
        # The case forgets its reason after a while; beside the look it stays as long as anybody may ask about the look.
        why = {"reason": asked.reason, "case": case.name}
        looked = _looked(Outcome.ALLOW, officer_id, decision, said, why=why)
        recorded = uow.record(looked, log_key=log_key)
        commit = uow.commit()
    try:
        (revealed,) = disclosure.reveal(vault, commit, selection, [recorded])
    except VaultError as error:
        record_apart(vault, [(_failed(case_id, officer_id, decision, None, error), log_key)])
        raise
    failures = [_failed(case_id, officer_id, decision, names, error) for names, error in revealed.failures()]
    record_apart(vault, [(each, log_key) for each in failures])
    return decision, revealed


def review(vault: Vault, case_id: bytes, finding: Finding, officer_id: str, sign: Sign) -> Case:
    """Say afterwards whether a case was justified; by neither who asked nor who looked. Records `breakglass.reviewed`.

    Raises `CaseClosed` for what was not approved or is reviewed, `CaseRunning` before its minutes are over; else as `approve`.
    """
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.APPROVED or case.expires_at is None:
            raise CaseClosed
        if uow.now < case.expires_at:
            raise CaseRunning("it is reviewed when its minutes are over")
        if officer_id == case.bearer:
            raise NotSigned("nobody reviews their own")
        signed = _sign(uow, case, Step(finding.value), officer_id, sign)
        _change(uow, case, state=State.REVIEWED.value, finding=finding.value, closed_at=uow.now)
        pol = (*_said(case_id), *signed, f"finding:{finding}")
        uow.record(Entry(Act.BREAKGLASS_REVIEWED, Outcome.ALLOW, actor(officer_id), pol=pol, n=case.disclosures))
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def _check(vault: Vault, conn: Connection, asked: Asked) -> None:
    asked.check(vault.bundle.catalogue)
    bearer = officers.get(conn, asked.bearer)
    if bearer is None or bearer.status is not officers.OfficerStatus.ACTIVE or bearer.id in officers.FOUNDERS:
        raise UnknownOfficer("the officer who is to see it is not an active one")


def _decide(vault: Vault, case_id: bytes, officer_id: str, sign: Sign, step: Step) -> Case:
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.ASKED or case.asked_at + WAITING_SECONDS <= uow.now:
            raise CaseClosed
        cases.opened(vault, uow.conn, case)
        if officer_id == case.bearer:
            raise NotSigned("nobody approves their own")
        signed = _sign(uow, case, step, officer_id, sign)
        if step is Step.APPROVE:
            cases.check_signatures(vault, uow.conn, case)
            _change(uow, case, state=State.APPROVED.value, expires_at=uow.now + 60 * case.minutes)
        else:
            _change(uow, case, state=State.REFUSED.value, closed_at=uow.now)
        act = Act.BREAKGLASS_APPROVED if step is Step.APPROVE else Act.BREAKGLASS_REFUSED
        pol = (*_said(case_id), *signed, f"minutes:{case.minutes}")
        uow.record(Entry(act, Outcome.ALLOW, actor(officer_id), pol=pol))
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def _sign(uow: UnitOfWork, case: Case, step: Step, officer_id: str, sign: Sign) -> tuple[str, ...]:
    return signatures.add(uow, signatures.said(uow.conn, CASE, case.name, Step.ASK), step, officer_id, sign)


def _change(uow: UnitOfWork, case: Case, **changes: object) -> None:
    unmoved = (_TABLE.c.id == case.id, _TABLE.c.state == case.state.value)
    if uow.conn.execute(update(_TABLE).where(*unmoved).values(**changes)).rowcount != 1:
        raise CaseClosed  # somebody else was quicker


def _known(uow: UnitOfWork, asked: Asked) -> Known | None:
    """Find the person; nobody where the reference leads nowhere, to another brand's, or to who is being erased."""
    subject = references.locate(uow, [(asked.brand, asked.reference)])[0]
    known = None if subject is None else facts.load(uow, asked.brand, [subject])[0]
    return None if known is None or known.facts.erased else known


def _looked(
    out: Outcome,
    officer_id: str,
    decision: Decision,
    said: tuple[str, ...],
    names: frozenset[str] | None = None,
    why: Mapping[str, str] | None = None,
) -> Entry:
    given = [
        each for each in decision.answers if each.granted is not None and (names is None or each.wanted.field in names)
    ]
    fields = tuple(f"{each.wanted.field}:{each.granted}" for each in given)
    act = Act.BREAKGLASS_DENIED if out is Outcome.DENY else Act.BREAKGLASS_DISCLOSED
    return Entry(act, out, actor(officer_id), fields, BREAK_GLASS, decision.basis, said, detail=why)


def _failed(
    case_id: bytes, officer_id: str, decision: Decision, names: frozenset[str] | None, error: VaultError
) -> Entry:
    """Build the entry of what was allowed and then failed or was held back, for the fields named or for all."""
    if isinstance(error, TooFew):
        return _looked(Outcome.DENY, officer_id, decision, (*_said(case_id), TOO_FEW.id), names)
    return _looked(Outcome.ERROR, officer_id, decision, (*_said(case_id), f"failed.{error.code}"), names)


def _said(case_id: bytes) -> tuple[str, ...]:
    return (f"case:{case_id[:_ID_BYTES].hex()}",)


def _denials(vault: Vault, officer_id: str, case_id: bytes) -> AbstractContextManager[None]:
    """Record `breakglass.denied` for a step that was turned away, in a unit of its own."""
    return signatures.denials(vault, Act.BREAKGLASS_DENIED, officer_id, _said(case_id))
