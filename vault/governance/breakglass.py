"""Break-glass: access in an emergency, under two signatures, for minutes, loud, and looked at afterwards.

It goes the way of every disclosure: decided by the bundle under the purpose `break_glass`, its floors included (erased
and brand isolation among them), recorded before anything opens. What is special is who may use that purpose: no system
can be registered for it, so nothing but an open case leads here. Each step is an entry of a kind of its own, the
refused ones too, and `ecrin doctor` tells of every review that is overdue.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
from sqlalchemy import select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.decision import decide, mint
from policies.errors import PolicyError
from policies.model import Caller, Decision, DecisionRequest
from policies.purposes import BREAK_GLASS
from vault import disclosure, facts, officers, references
from vault.errors import (
    CaseClosed,
    IntegrityFailure,
    InvalidCase,
    NotSigned,
    Refused,
    UnknownCase,
    UnknownOfficer,
    UnknownReference,
)  # fmt: skip
from vault.governance import cases, officerkeys
from vault.governance.cases import Asked, Case, Finding, State, Step
from vault.governance.signatures import Sign, actor
from vault.officers import Role
from vault.revealed import Revealed
from vault.store.bulk import insert_rows
from vault.store.tables import BreakGlassCase
from vault.unit import UnitOfWork, Vault

_MAY: Final = {
    Step.ASK: {Role.COMPLIANCE, Role.OPERATOR, Role.APPROVER},
    Step.APPROVE: {Role.APPROVER, Role.COMPLIANCE},
    Step.REFUSE: {Role.APPROVER, Role.COMPLIANCE},
    Step.DISCLOSE: {Role.COMPLIANCE, Role.OPERATOR, Role.APPROVER},
    Step.REVIEW: {Role.APPROVER, Role.COMPLIANCE, Role.AUDITOR},
}
_ID_BYTES: Final = 16
_DENIED: Final = (
    CaseClosed, IntegrityFailure, InvalidCase, NotSigned, PolicyError, Refused, UnknownCase, UnknownOfficer, UnknownReference,
)  # fmt: skip


def ask(vault: Vault, asked: Asked, officer_id: str, sign: Sign) -> Case:
    """Open a case, signed by who asks; record `breakglass.asked`.

    Raises `InvalidCase`, `UnknownField`, `UnknownOfficer`, `NotSigned`. Whether the reference leads to anybody is not said.
    """
    # Why safe: 128 random bits name the case, and no signature under another one fits it.
    case_id = vault.entropy.bytes(_ID_BYTES)
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        asked.check(vault.bundle.catalogue)
        bearer = officers.get(uow.conn, asked.bearer)
        if bearer is None or bearer.status is not officers.OfficerStatus.ACTIVE or bearer.id in officers.FOUNDERS:
            raise UnknownOfficer("the officer who is to see it is not an active one")
        digest = asked.digest()
        row: dict[str, Any] = {"id": case_id, "state": State.ASKED.value, "brand": asked.brand, "digest": digest}
        row |= {"fields": asked.stored_fields(), "bearer": asked.bearer, "minutes": asked.minutes, "disclosures": 0}
        row |= {"sealed": cases.seal(vault.keys, case_id, asked), "asked_at": uow.now, "expires_at": None}
        signatures = _signed(uow, {}, case_id, digest, Step.ASK, officer_id, sign)
        insert_rows(uow.conn, BreakGlassCase, [row | {"signatures": signatures, "finding": ""}])
        fields = tuple(f"{each.field}:{each.level}" for each in asked.wanted)
        entry = Entry(Act.BREAKGLASS_ASKED, Outcome.ALLOW, actor(officer_id), fields, BREAK_GLASS, pol=_said(case_id))
        uow.record(entry)
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def approve(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> Case:
    """Approve a case as the second officer: its minutes begin. Records `breakglass.approved`. Raises as `ask`, `CaseClosed`."""
    return _decide(vault, case_id, officer_id, sign, Step.APPROVE)


def refuse(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> Case:
    """Refuse a case as the second officer. Records `breakglass.refused`. Raises as `approve`."""
    return _decide(vault, case_id, officer_id, sign, Step.REFUSE)


def disclose(vault: Vault, case_id: bytes, officer_id: str, sign: Sign) -> tuple[Decision, Revealed]:
    """Give the officer whom the case names what the bundle lets be seen of what it asks for. Loud.

    Records `breakglass.disclosed` before anything opens, or `breakglass.denied`. Raises `CaseClosed`, `NotSigned`,
    `UnknownReference` (also for who was erased or is another brand's), `Refused` where nothing may be seen.
    """
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.APPROVED or case.expires_at is None or uow.now >= case.expires_at:
            raise CaseClosed
        cases.check_signatures(vault, uow.conn, case)
        asked = cases.opened(vault, uow.conn, case)
        if officer_id != case.bearer:
            raise NotSigned("the case names another officer")
        _check(uow, case, Step.DISCLOSE, officer_id, sign)
        subject = references.locate(uow, [(case.brand, asked.reference)])[0]
        known = None if subject is None else facts.load(uow, case.brand, [subject])[0]
        if subject is None or known is None or known.facts.erased:
            raise UnknownReference
        caller = Caller(f"officer:{officer_id}", case.brand, frozenset({BREAK_GLASS}), staffed=True)
        decision = decide(DecisionRequest(caller, known.facts, BREAK_GLASS, case.wanted), vault.bundle)
        if not decision.granted:
            raise Refused("not_permitted")
        grant = mint(decision, caller, BREAK_GLASS, subject)
        selection = disclosure.select(uow, [grant])
        uow.conn.execute(
            update(BreakGlassCase)
            .where(col(BreakGlassCase.id) == case_id)
            .values(disclosures=col(BreakGlassCase.disclosures) + 1)
        )
        given = [each for each in decision.answers if each.granted is not None]
        fields = tuple(f"{each.wanted.field}:{each.granted}" for each in given)
        rules = tuple(rule for each in given for rule in each.policies)
        said = (*_said(case_id), *rules)
        entry = Entry(
            Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, actor(officer_id), fields, BREAK_GLASS, decision.basis, said
        )
        recorded = uow.record(entry, log_key=facts.log_keys(vault.keys, [known])[0])
        commit = uow.commit()
    return decision, disclosure.reveal(vault, commit, selection, [recorded])[0]


def review(vault: Vault, case_id: bytes, finding: Finding, officer_id: str, sign: Sign) -> Case:
    """Say afterwards whether a case was justified; by neither who asked nor who looked. Records `breakglass.reviewed`.

    Raises `CaseClosed` for what was not approved, runs still, or is reviewed; else as `approve`.
    """
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.APPROVED or case.expires_at is None or uow.now < case.expires_at:
            raise CaseClosed
        if officer_id in {case.steps[Step.ASK], case.bearer}:
            raise NotSigned("nobody reviews their own")
        _step(uow, case, Step.REVIEW, officer_id, sign, said=finding, state=State.REVIEWED, finding=finding)
        pol = (*_said(case_id), f"finding:{finding}")
        uow.record(Entry(Act.BREAKGLASS_REVIEWED, Outcome.ALLOW, actor(officer_id), pol=pol, n=case.disclosures))
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def _decide(vault: Vault, case_id: bytes, officer_id: str, sign: Sign, step: Step) -> Case:
    with _denials(vault, officer_id, case_id), vault.unit() as uow:
        case = cases.get(uow.conn, case_id)
        if case.state is not State.ASKED:
            raise CaseClosed
        cases.opened(vault, uow.conn, case)
        if officer_id in {case.steps[Step.ASK], case.bearer}:
            raise NotSigned("nobody approves their own")
        if step is Step.APPROVE:
            expires = uow.now + 60 * case.minutes
            _step(uow, case, step, officer_id, sign, state=State.APPROVED, expires_at=expires)
        else:
            _step(uow, case, step, officer_id, sign, state=State.REFUSED)
        act = Act.BREAKGLASS_APPROVED if step is Step.APPROVE else Act.BREAKGLASS_REFUSED
        pol = (*_said(case_id), f"minutes:{case.minutes}")
        uow.record(Entry(act, Outcome.ALLOW, actor(officer_id), pol=pol))
        made = cases.get(uow.conn, case_id)
        uow.commit()
    return made


def _step(
    uow: UnitOfWork, case: Case, step: Step, officer_id: str, sign: Sign, *, said: str = "", **changes: object
) -> None:
    stored = orjson.loads(
        uow.conn.scalar(select(col(BreakGlassCase.signatures)).where(col(BreakGlassCase.id) == case.id)) or "{}"
    )
    changes["signatures"] = _signed(uow, stored, case.id, case.digest, step, officer_id, sign, said)
    moved = uow.conn.execute(
        update(BreakGlassCase)
        .where(col(BreakGlassCase.id) == case.id, col(BreakGlassCase.state) == case.state.value)
        .values({name: str(value) if isinstance(value, State | Finding) else value for name, value in changes.items()})
    )
    if moved.rowcount != 1:
        raise CaseClosed  # somebody else was quicker


def _signed(
    uow: UnitOfWork, signatures: dict[str, Any], case_id: bytes, digest: bytes, step: Step, officer_id: str, sign: Sign,
    said: str = "",
) -> str:  # fmt: skip
    signer = officerkeys.signatory(uow.conn, officer_id)
    if officer_id in officers.FOUNDERS:
        raise NotSigned("a founder signs policy versions and nothing else")
    if signer.role not in _MAY[step]:
        raise NotSigned(f"the role {signer.role} does not cover this")
    text = cases.message(uow.vault.deployment, case_id, digest, step, said)
    signature = sign(text)
    signer.check(text, signature)
    return orjson.dumps(signatures | {step.value: [officer_id, signer.fingerprint, signature.hex()]}).decode()


def _check(uow: UnitOfWork, case: Case, step: Step, officer_id: str, sign: Sign) -> None:
    """Check who is there, and keep nothing: the entry says it."""
    _signed(uow, {}, case.id, case.digest, step, officer_id, sign)


def _said(case_id: bytes) -> tuple[str, ...]:
    return (f"case:{case_id.hex()}",)


@contextmanager
def _denials(vault: Vault, officer_id: str, case_id: bytes) -> Iterator[None]:
    """Record `breakglass.denied` for a step that was turned away, in a unit of its own."""
    if not officers.is_id(officer_id):
        raise UnknownOfficer
    try:
        yield
    except _DENIED as error:
        said = (*_said(case_id), f"breakglass.{error.code}")
        with vault.unit() as uow:
            uow.record(Entry(Act.BREAKGLASS_DENIED, Outcome.DENY, Actor(ActorKind.OFFICER, officer_id), pol=said))
            uow.commit()
        raise
