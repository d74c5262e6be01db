"""The naive path: the same checks, tables, rules and cryptography as Ecrin's, one ORM session per request, no batching.

What a capable team writes first: a FastAPI route, a SQLModel session, one row after the other, one commit. Refusals
are bare errors here; the benchmark only sends what is granted.
"""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select, update

from api import bootstrap
from api.authn.credential import Bearer
from api.authn.nonce import Nonces
from api.bodies.disclosures import Disclose
from api.oauth.detail import read as read_detail
from api.rates import Rates
from api.services import Services
from api.settings import load
from audit import ledger, receipt
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.receipt import Promised, Receipt
from policies import transforms
from policies.catalogue import FieldKind
from policies.decision import decide, mint
from policies.model import Caller, ConsentStatus, DecisionRequest, SubjectFacts
from vault import envelope, references, values
from vault.compartments import domain
from vault.envelope import FieldContext
from vault.governance.watch import BundleWatch
from vault.keys.service import SigningKey, Slot
from vault.store.tables import (
    AccessToken,
    Compartment,
    ConsentState,
    FieldValue,
    Relation,
    SeenProof,
    Subject,
    System,
    TokenSubject,
)


@asynccontextmanager
async def _lifespan(app):
    settings = load()
    vault = bootstrap.open_from(settings)
    app.state.services = Services(
        settings, vault, None, Nonces(vault), Rates(1_000_000, monotonic), BundleWatch(vault, lambda _: None)
    )
    yield
    app.state.services.vault.close()


app = FastAPI(openapi_url=None, lifespan=_lifespan)


@app.exception_handler(OperationalError)
async def _busy(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a busy SQLite as a service would: the caller keeps its connection and may try again."""
    return JSONResponse({"error": "busy"}, 503)


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {}


@app.post("/v1/disclosures")
def disclose(credential: Bearer, body: Disclose) -> dict[str, object]:
    vault = app.state.services.vault
    bundle, now = vault.bundle, vault.clock.now()
    with Session(vault.engine) as session:
        token = session.get(AccessToken, credential.token_hash)
        if token is None or token.revoked or token.expires_at <= now or token.jkt != credential.jkt:
            raise HTTPException(401)
        system = session.get(System, token.system_id)
        if system.status != "active" or system.epoch != token.system_epoch:
            raise HTTPException(401)
        session.add(SeenProof(hash=credential.proof_hash, expires_at=credential.proof_expires_at))
        session.flush()

        named = session.exec(select(TokenSubject).where(TokenSubject.token_hash == token.hash)).one()
        subject = session.get(Subject, named.subject_id)
        relation = session.get(Relation, (subject.id, system.brand))
        states = session.exec(
            select(ConsentState).where(ConsentState.subject_id == subject.id, ConsentState.brand == system.brand)
        ).all()
        epochs = {state.purpose: state.epoch for state in states}
        path = bundle.purposes.path(token.purpose)
        if subject.epoch != named.subject_epoch or sum(epochs.get(p.key, 0) for p in path) != named.consent_epoch:
            raise HTTPException(401)

        detail = read_detail(token.detail)
        caller = Caller(system.id, system.brand, frozenset(system.purposes.split()), detail.staffed)
        facts = SubjectFacts(
            known_to_brand=relation is not None,
            erased=subject.state != "active",
            restricted=subject.restricted,
            minor=subject.minor,
            region=subject.region,
            consents={
                state.purpose: ConsentStatus.EXPIRED
                if state.state == "given" and state.until_at is not None and state.until_at <= now
                else ConsentStatus(state.state)
                for state in states
            },
        )
        decision = decide(DecisionRequest(caller, facts, token.purpose, detail.wanted), bundle)
        grant = mint(decision, caller, token.purpose, subject.id)
        taken = session.exec(
            update(TokenSubject)
            .where(
                TokenSubject.token_hash == token.hash,
                TokenSubject.subject_id == subject.id,
                TokenSubject.uses_left > 0,
            )
            .values(uses_left=TokenSubject.uses_left - 1)
        )
        if taken.rowcount != 1:
            raise HTTPException(403)

        wanted = {each.field.id: each for each in grant.fields}
        rows = session.exec(
            select(FieldValue).where(
                FieldValue.subject_id == subject.id,
                FieldValue.category_id.in_({each.field.category_id for each in grant.fields}),
                FieldValue.field_id.in_(wanted),
                FieldValue.current,
                FieldValue.holder == system.brand,
            )
        ).all()
        leaves = {
            each.category_id: Slot(each.slot, each.generation)
            for each in session.exec(select(Compartment).where(Compartment.subject_id == subject.id))
        }
        sealed = [(row, leaves[row.category_id], row.envelope) for row in rows]
        sealed_reference = relation.reference_sealed

        (log_key,) = vault.keys.unwrap([(Slot(subject.log_slot, subject.log_generation), subject.log_key)])
        entry_id = vault.entropy.bytes(16)
        fields = tuple(f"{answer.wanted.field}:{answer.granted}" for answer in decision.answers if answer.granted)
        policies = tuple(dict.fromkeys(name for answer in decision.answers for name in answer.policies))
        actor = Actor(ActorKind.SYSTEM, system.id)
        entry = Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, actor, fields, token.purpose, decision.basis, policies)
        logged = encode(entry, entry_id, now, sref(log_key, entry_id))
        session.flush()
        appended = ledger.append(session.connection(), 0, [(entry_id, logged)], now)
        purpose, brand, subject_id = token.purpose, system.brand, subject.id
        rows = [(row.category_id, row.field_id, row.item, row.schema_version, row.version, row.holder) for row in rows]
        session.commit()

    today = datetime.fromtimestamp(now, UTC).date()
    deks = vault.keys.unwrap([(slot, each[envelope.WRAPPED]) for _, slot, each in sealed])
    found: dict[int, list[object]] = {}
    for (category, field, item, schema, version, holder), (_, _, each), dek in zip(rows, sealed, deks, strict=True):
        context = FieldContext(domain(vault.deployment, holder), subject_id, category, field, item, schema, version)
        value = values.decode(envelope.open_(each, dek, context)).value
        granted = wanted[field]
        shown = transforms.apply(granted.field, granted.level, granted.predicate, value, today)
        found.setdefault(field, []).append({"item": item, "value": shown})
    answers = []
    for answer in decision.answers:
        field = bundle.catalogue.field(answer.wanted.field)
        value = found.get(field.id)
        if value is not None and field.kind is FieldKind.SINGLE:
            value = value[0]["value"]
        told = {"name": answer.wanted.field, "level": answer.granted, "policies": answer.told, "value": value}
        answers.append({**told, "decision": "granted" if answer.granted else "refused", "reason": answer.reason})
    (bits,) = vault.keys.open(f"relation/{brand}", [(subject_id, sealed_reference)])
    (signed,) = receipt.issue(
        [Receipt(vault.origin, (Promised(entry_id, appended.leaves[0]),), now)],
        vault.keys.public_key(SigningKey.RECEIPT),
        lambda messages: vault.keys.sign(SigningKey.RECEIPT, messages),
    )
    reference = references.encode(bits)
    return {"reference": reference, "purpose": purpose, "fields": answers, "entry": entry_id.hex(), "receipt": signed}
