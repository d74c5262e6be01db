"""Issues attestations: a disclosure like any other, whose values leave as an SD-JWT for one audience and one key.

The token is looked at, decided, charged, counted and logged exactly as by a disclosure (`api.pipeline`); a second entry
says that an attestation was made of it. Only predicates and generalised values may go in: what is shown offline cannot
be called back, and two who are shown the same value must not learn that it is one person's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api import jws, pipeline, trail
from api.attestation import sdjwt, statuslist
from api.looks import Call, Given, Look
from audit.entry import Act, Entry, Outcome
from policies.levels import Level
from vault import attestations, signers
from vault.attestations import NewAttestation, Place
from vault.errors import NothingToAttest, VaultError
from vault.signers import SignedAs
from vault.unit import Commit, Finish, UnitOfWork

ATTESTED: Final = frozenset({Level.PREDICATE, Level.GENERALISED})


@dataclass(frozen=True, slots=True)
class Attest:
    """An attestation asked for: whom about, for whom, bound to which public key (a JWK), for how many seconds."""

    reference: str | None = field(repr=False)
    fields: tuple[str, ...] | None
    audience: str
    key: Mapping[str, str] = field(repr=False)
    seconds: int
    issuer: str
    public_url: str


def attest(uow: UnitOfWork, calls: Sequence[Call[Attest]]) -> Finish[dict[str, Any]]:
    """Issue a batch of attestations: the answer or an error each."""
    looks: list[Call[tuple[Look, ...]]] = [
        Call(c.credential, c.request_id, (Look(c.asked.reference, c.asked.fields, ATTESTED),)) for c in calls
    ]
    disclose, given = pipeline.looked(uow, looks)
    found = [(place, each) for place, each in enumerate(given) if each is not None]
    entered = attestations.enter(uow, [_entry(uow, calls[place].asked, each) for place, each in found])
    signer = signers.opened(uow, SignedAs.ATTESTATION) if found else None
    for (_, each), req in zip(found, trail.request_macs(uow, [calls[at].request_id for at, _ in found]), strict=True):
        rules = Entry(
            Act.ATTESTATION_ISSUED,
            Outcome.ALLOW,
            trail.looker_of(each.session),
            pur=each.session.purpose,
            req=req,
        )
        uow.record(rules, log_key=each.log_key)
    places = dict(zip([place for place, _ in found], entered, strict=True))

    def finish(commit: Commit) -> list[dict[str, Any] | VaultError]:
        answers: list[dict[str, Any] | VaultError] = []
        for place, outcome in enumerate(disclose(commit)):
            told = outcome if isinstance(outcome, VaultError) else outcome[0]
            if isinstance(told, VaultError) or signer is None or place not in places:
                answers.append(told if isinstance(told, VaultError) else NothingToAttest())
                continue
            hidden = _claims(given[place], told["fields"])
            if not hidden:
                answers.append(NothingToAttest())
                continue
            asked = calls[place].asked
            members, disclosures = sdjwt.conceal(hidden, uow.vault.entropy.bytes)
            payload = _payload(asked, str(told["purpose"]), places[place], uow.now) | members
            jwt = jws.signed(jws.unsigned(sdjwt.TYPE, signer.kid, payload), signer.sign)
            answers.append(
                {
                    "reference": told["reference"],
                    "attestation": sdjwt.combined(jwt, disclosures),
                    "claims": sorted(hidden),
                    "expires_at": payload["exp"],
                    "entry": told["entry"],
                    "receipt": told["receipt"],
                }
            )
        return answers

    return finish


def _entry(uow: UnitOfWork, asked: Attest, given: Given) -> NewAttestation:
    session = given.session
    return NewAttestation(
        given.named.subject_id,
        session.system.brand,
        session.purpose,
        session.system.id,
        session.system.epoch,
        given.named.subject_epoch,
        given.named.consent_epoch,
        uow.now + asked.seconds,
    )


def _claims(given: Given | None, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Name what was given: a generalised value by its field, a predicate by field and predicate. No value, no claim."""
    claims: dict[str, Any] = {}
    for answer, each in zip(() if given is None else given.decision.answers, told, strict=True):
        wanted, value = answer.wanted, each["value"]
        if each["level"] in ATTESTED and value is not None:
            name = f"{wanted.field}.{wanted.predicate}" if each["level"] is Level.PREDICATE else wanted.field
            # Of a list the values alone: the numbers of its items would be one more thing to recognise a person by.
            claims[name] = [item["value"] for item in value] if isinstance(value, list) else value
    return claims


def _payload(asked: Attest, purpose: str, place: Place, now: int) -> dict[str, Any]:
    where = {"idx": place.index, "uri": f"{asked.public_url}{statuslist.PATH}/{place.list}"}
    return {
        "iss": asked.issuer,
        "aud": asked.audience,
        "iat": now,
        "exp": now + asked.seconds,
        "purpose": purpose,
        "cnf": {"jwk": dict(asked.key)},
        "status": {"status_list": where},
    }
