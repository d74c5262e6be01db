"""`Ecrin`: the client for ordinary, blocking programs."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import date
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from api.client import rights, verbs
from api.client.answers import (
    ConsentHistory,
    ConsentRecord,
    ContactGuidance,
    Disclosure,
    DisclosureToken,
    Found,
    IssuedAttestation,
    RequestStanding,
    Rotated,
    RowResult,
    SubjectRecord,
    VerifierKeys,
)
from api.client.errors import EcrinUnreachable
from api.client.exchange import Exchange, Settings
from api.client.identity import Identity
from api.client.requestlog import keep_references_out
from api.client.wire import Call, Reply, Steps

T = TypeVar("T")


class Ecrin:
    """One system's connection to one deployment. Hides tokens, proofs and retries; use as a context manager.

    Not for use from several threads at once: give each its own (they may share an `Identity`).
    """

    def __init__(
        self,
        base_url: str,
        identity: Identity,
        settings: Settings | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        keep_references_out()
        self._settings = settings or Settings(base_url)
        self._exchange = Exchange(identity, self._settings)
        self._http = httpx2.Client(
            base_url=self._settings.origin, timeout=self._settings.timeout, transport=transport, follow_redirects=False
        )

    def __repr__(self) -> str:
        return f"<Ecrin {self._exchange.identity.client_id}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def for_staff(self, staff: str) -> Self:
        """Return this client acting for a member of staff, by the brand's pseudonym of them: each request says so.

        Both share connections and service tokens; close the first one. Raises `ValueError` for what is no pseudonym.
        """
        view = copy(self)
        view._exchange = self._exchange.for_staff(staff)  # noqa: SLF001 - its own kind
        return view

    def authorise(
        self,
        subjects: verbs.Subjects,
        purpose: str,
        fields: verbs.Wants,
        *,
        max_uses: int = 1,
        reason: str = "",
        staff: str = "",
        as_known_on: date | None = None,
    ) -> DisclosureToken:
        """Obtain a disclosure token for one reference, or for up to 500 of them."""
        return self._run(
            verbs.authorise(self._exchange, subjects, purpose, fields, max_uses, reason, staff, as_known_on)
        )

    def disclose(self, token: DisclosureToken, *, fields: Sequence[str] | None = None) -> Disclosure:
        """Redeem a token for its one subject; `fields` narrows to some of those granted."""
        return self._run(verbs.disclose(self._exchange, token, fields))

    def disclose_bulk(
        self, token: DisclosureToken, references: Sequence[str] | None = None, *, fields: Sequence[str] | None = None
    ) -> tuple[Disclosure, ...]:
        """Redeem a token for several of its subjects, by default all; `fields` narrows to some of those granted."""
        return self._run(verbs.disclose_bulk(self._exchange, token, references or token.subjects, fields))

    def narrow(
        self,
        token: DisclosureToken,
        fields: verbs.Wants,
        *,
        subjects: verbs.Subjects | None = None,
        purpose: str = "",
        max_uses: int = 1,
        actor_token: str = "",
        staff: str = "",
    ) -> DisclosureToken:
        """Make a narrower token from one, for oneself or for the system whose service token `actor_token` is.

        Its uses are taken from `token`; subjects and purpose are its own unless named.
        """
        return self._run(verbs.narrow(self._exchange, token, fields, subjects, purpose, max_uses, actor_token, staff))

    def service_token(self, scope: str) -> str:
        """Return a service token of this system, for instance to be another's `actor_token`."""
        return self._run(self._exchange.service_token(scope))

    def create_subject(self, subject: Mapping[str, Any], *, key: str = "") -> SubjectRecord:
        """Register a person; `key` makes it safe to repeat across restarts of the caller."""
        return self._run(verbs.create_subject(self._exchange, subject, self._key(key)))

    def get_subject(self, reference: str) -> SubjectRecord:
        """Describe one of this brand's subjects."""
        return self._run(verbs.get_subject(self._exchange, reference))

    def update_subject(self, reference: str, etag: str, changes: Mapping[str, Any]) -> SubjectRecord:
        """Change fields if nothing changed since `etag`."""
        return self._run(verbs.update_subject(self._exchange, reference, etag, changes))

    def search(self, by: str, value: str) -> Found:
        """Find a person by an exact, searchable field."""
        return self._run(verbs.search(self._exchange, by, value))

    def give_consent(self, reference: str, evidence: Mapping[str, Any], *, key: str = "") -> ConsentRecord:
        """Record that a person agreed."""
        return self._run(rights.give_consent(self._exchange, reference, evidence, self._key(key)))

    def withdraw_consent(self, reference: str, evidence: Mapping[str, Any], *, key: str = "") -> ConsentRecord:
        """Record that a person withdrew."""
        return self._run(rights.withdraw_consent(self._exchange, reference, evidence, self._key(key)))

    def tell_consent(self, reference: str, event: str, evidence: Mapping[str, Any], *, key: str = "") -> ConsentRecord:
        """Record another event of a consent or of another basis: refused, objected, established, …."""
        return self._run(rights.tell_consent(self._exchange, reference, event, evidence, self._key(key)))

    def pass_signal(self, reference: str, sec_gpc: str, *, channel: str = "web", key: str = "") -> tuple[str, ...]:
        """Pass on the value of a browser's `Sec-GPC` header; return the purposes newly objected to."""
        return self._run(rights.pass_signal(self._exchange, reference, sec_gpc, channel, self._key(key)))

    def consent_history(self, reference: str) -> ConsentHistory:
        """Return the record of a person's consents at this brand, with its receipt."""
        return self._run(rights.consent_history(self._exchange, reference))

    def link_guardian(
        self, reference: str, guardian: str, *, proof: str, proof_hash: str, of_age_on: date, key: str = ""
    ) -> None:
        """Say who may consent for a minor, on what proof, and until which day."""
        steps = rights.link_guardian(self._exchange, reference, guardian, proof, proof_hash, of_age_on, self._key(key))
        self._run(steps)

    def end_guardian(self, reference: str, guardian: str, *, key: str = "") -> None:
        """End a link."""
        self._run(rights.end_guardian(self._exchange, reference, guardian, self._key(key)))

    def guardians_due(self) -> tuple[str, ...]:
        """List those come of age whose links wait for review."""
        return self._run(rights.guardians_due(self._exchange))

    def may_contact(self, reference: str, purpose: str, channel: str, *, staff: str = "") -> ContactGuidance:
        """Ask whether a person may be contacted now, and how. Never answers an address."""
        return self._run(rights.may_contact(self._exchange, reference, purpose, channel, staff))

    def note_contact(self, reference: str, kind: str, *, at: int | None = None, key: str = "") -> bool:
        """Note a contact; return whether it counts as one that the person made."""
        return self._run(rights.note_contact(self._exchange, reference, kind, at, self._key(key)))

    def restrict(self, reference: str, ground: str, *, key: str = "") -> None:
        """Restrict the processing of a person's data to legal claims."""
        self._run(rights.restrict(self._exchange, reference, ground, self._key(key)))

    def lift_restriction(self, reference: str, ground: str, *, informed: bool, key: str = "") -> None:
        """Lift what this brand restricted; `informed` says that the person was told before."""
        steps = rights.lift_restriction(self._exchange, reference, ground, informed=informed, key=self._key(key))
        self._run(steps)

    def hand_in_request(
        self, reference: str, right: str, details: Mapping[str, Any], *, key: str = ""
    ) -> RequestStanding:
        """Hand in what a person asked for by right; `details` are the rest of the body of `POST /v1/requests`."""
        steps = rights.hand_in_request(self._exchange, reference, right, details, self._key(key))
        return self._run(steps)

    def request_standing(self, request: str) -> RequestStanding:
        """Ask where a request stands."""
        return self._run(rights.request_standing(self._exchange, request))

    def withdraw_request(self, request: str, *, key: str = "") -> RequestStanding:
        """Take a request back at the person's word."""
        return self._run(rights.withdraw_request(self._exchange, request, self._key(key)))

    def import_rows(self, rows: Iterable[Mapping[str, Any]], *, key: str) -> Iterator[RowResult]:
        """Import rows as they come, yielding each one's result. Run again with the same `key` to resume."""
        for chunk in verbs.chunks(rows):
            yield from self._run(verbs.import_chunk(self._exchange, chunk, key))

    def rotate_reference(self, reference: str, *, grace_seconds: int = 0, key: str = "") -> Rotated:
        """Replace a reference by a fresh one; the old one dies, or resolves for a grace."""
        return self._run(verbs.rotate_reference(self._exchange, reference, grace_seconds, self._key(key)))

    def may(self, reference: str, purpose: str, fields: verbs.Wants, *, staff: bool = False) -> bool:
        """Ask whether every field would be granted at its level, without data."""
        return self._run(verbs.may(self._exchange, reference, purpose, fields, staff=staff))

    def attest(
        self,
        token: DisclosureToken,
        audience: str,
        key: Mapping[str, str],
        *,
        seconds: int = 3600,
        reference: str = "",
        fields: Sequence[str] | None = None,
    ) -> IssuedAttestation:
        """Have fields of a token attested to one audience, bound to a public JWK; `fields` narrows to some of them."""
        return self._run(verbs.attest(self._exchange, token, audience, key, seconds, reference, fields))

    def status_list(self, uri: str) -> str:
        """Fetch a whole status list, to check attestations with."""
        return self._run(verbs.status_list(self._exchange, uri))

    def issuer_keys(self) -> Mapping[str, Any]:
        """Return the keys that check attestations. Compare them with those you got another way."""
        return self._run(verbs.issuer_keys(self._exchange))

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint of the audit log."""
        return self._run(verbs.checkpoint(self._exchange))

    def verifier_keys(self) -> VerifierKeys:
        """Return the keys that check checkpoints and receipts. Compare them with those you got another way."""
        return self._run(verbs.verifier_keys(self._exchange))

    def proof(self, entry_id: str) -> str | None:
        """Return the proof that a receipt's entry is in the audit log, or None: what `ReceiptBook.check` asks for."""
        return self._run(verbs.proof(self._exchange, entry_id))

    def _key(self, key: str) -> str:
        """Return the key of a write, a fresh one where the caller has none."""
        return key or self._settings.fresh()

    def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    reply = self._send(call)
                except EcrinUnreachable as lost:
                    call = steps.throw(lost)
                else:
                    call = steps.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    def _send(self, call: Call) -> Reply:
        if call.after:
            time.sleep(call.after)
        try:
            response = self._http.request(call.method, call.path, content=call.content, headers=dict(call.headers))
        except httpx2.HTTPError:
            # A transport error's text and request carry the URL and headers: none of it goes on.
            raise EcrinUnreachable("no complete answer from the server") from None
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)
