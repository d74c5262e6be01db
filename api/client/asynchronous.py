"""`AsyncEcrin`: the same client for asyncio programs."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
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


class AsyncEcrin:
    """One system's connection to one deployment, for use by many tasks of one event loop."""

    def __init__(
        self,
        base_url: str,
        identity: Identity,
        settings: Settings | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        keep_references_out()
        self._settings = settings or Settings(base_url)
        self._exchange = Exchange(identity, self._settings)
        self._http = httpx2.AsyncClient(
            base_url=self._settings.origin, timeout=self._settings.timeout, transport=transport, follow_redirects=False
        )

    def __repr__(self) -> str:
        return f"<AsyncEcrin {self._exchange.identity.client_id}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def for_staff(self, staff: str) -> Self:
        """Return this client acting for a member of staff, by the brand's pseudonym of them: each request says so.

        Both share connections and service tokens; close the first one. Raises `ValueError` for what is no pseudonym.
        """
        view = copy(self)
        view._exchange = self._exchange.for_staff(staff)  # noqa: SLF001 - its own kind
        return view

    async def authorise(
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
        return await self._run(
            verbs.authorise(self._exchange, subjects, purpose, fields, max_uses, reason, staff, as_known_on)
        )

    async def disclose(self, token: DisclosureToken, *, fields: Sequence[str] | None = None) -> Disclosure:
        """Redeem a token for its one subject; `fields` narrows to some of those granted."""
        return await self._run(verbs.disclose(self._exchange, token, fields))

    async def disclose_bulk(
        self, token: DisclosureToken, references: Sequence[str] | None = None, *, fields: Sequence[str] | None = None
    ) -> tuple[Disclosure, ...]:
        """Redeem a token for several of its subjects, by default all; `fields` narrows to some of those granted."""
        return await self._run(verbs.disclose_bulk(self._exchange, token, references or token.subjects, fields))

    async def narrow(
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
        return await self._run(
            verbs.narrow(self._exchange, token, fields, subjects, purpose, max_uses, actor_token, staff)
        )

    async def service_token(self, scope: str) -> str:
        """Return a service token of this system, for instance to be another's `actor_token`."""
        return await self._run(self._exchange.service_token(scope))

    async def create_subject(self, subject: Mapping[str, Any], *, key: str = "") -> SubjectRecord:
        """Register a person; `key` makes it safe to repeat across restarts of the caller."""
        return await self._run(verbs.create_subject(self._exchange, subject, self._key(key)))

    async def get_subject(self, reference: str) -> SubjectRecord:
        """Describe one of this brand's subjects."""
        return await self._run(verbs.get_subject(self._exchange, reference))

    async def update_subject(self, reference: str, etag: str, changes: Mapping[str, Any]) -> SubjectRecord:
        """Change fields if nothing changed since `etag`."""
        return await self._run(verbs.update_subject(self._exchange, reference, etag, changes))

    async def search(self, by: str, value: str) -> Found:
        """Find a person by an exact, searchable field."""
        return await self._run(verbs.search(self._exchange, by, value))

    async def give_consent(self, reference: str, evidence: Mapping[str, Any], *, key: str = "") -> ConsentRecord:
        """Record that a person agreed."""
        return await self._run(rights.give_consent(self._exchange, reference, evidence, self._key(key)))

    async def withdraw_consent(self, reference: str, evidence: Mapping[str, Any], *, key: str = "") -> ConsentRecord:
        """Record that a person withdrew."""
        return await self._run(rights.withdraw_consent(self._exchange, reference, evidence, self._key(key)))

    async def tell_consent(
        self, reference: str, event: str, evidence: Mapping[str, Any], *, key: str = ""
    ) -> ConsentRecord:
        """Record another event of a consent or of another basis: refused, objected, established, …."""
        return await self._run(rights.tell_consent(self._exchange, reference, event, evidence, self._key(key)))

    async def pass_signal(
        self, reference: str, sec_gpc: str, *, channel: str = "web", key: str = ""
    ) -> tuple[str, ...]:
        """Pass on the value of a browser's `Sec-GPC` header; return the purposes newly objected to."""
        return await self._run(rights.pass_signal(self._exchange, reference, sec_gpc, channel, self._key(key)))

    async def consent_history(self, reference: str) -> ConsentHistory:
        """Return the record of a person's consents at this brand, with its receipt."""
        return await self._run(rights.consent_history(self._exchange, reference))

    async def link_guardian(
        self, reference: str, guardian: str, *, proof: str, proof_hash: str, of_age_on: date, key: str = ""
    ) -> None:
        """Say who may consent for a minor, on what proof, and until which day."""
        steps = rights.link_guardian(self._exchange, reference, guardian, proof, proof_hash, of_age_on, self._key(key))
        await self._run(steps)

    async def end_guardian(self, reference: str, guardian: str, *, key: str = "") -> None:
        """End a link."""
        await self._run(rights.end_guardian(self._exchange, reference, guardian, self._key(key)))

    async def guardians_due(self) -> tuple[str, ...]:
        """List those come of age whose links wait for review."""
        return await self._run(rights.guardians_due(self._exchange))

    async def may_contact(self, reference: str, purpose: str, channel: str, *, staff: str = "") -> ContactGuidance:
        """Ask whether a person may be contacted now, and how. Never answers an address."""
        return await self._run(rights.may_contact(self._exchange, reference, purpose, channel, staff))

    async def note_contact(self, reference: str, kind: str, *, at: int | None = None, key: str = "") -> bool:
        """Note a contact; return whether it counts as one that the person made."""
        return await self._run(rights.note_contact(self._exchange, reference, kind, at, self._key(key)))

    async def restrict(self, reference: str, ground: str, *, key: str = "") -> None:
        """Restrict the processing of a person's data to legal claims."""
        await self._run(rights.restrict(self._exchange, reference, ground, self._key(key)))

    async def lift_restriction(self, reference: str, ground: str, *, informed: bool, key: str = "") -> None:
        """Lift what this brand restricted; `informed` says that the person was told before."""
        steps = rights.lift_restriction(self._exchange, reference, ground, informed=informed, key=self._key(key))
        await self._run(steps)

    async def hand_in_request(
        self, reference: str, right: str, details: Mapping[str, Any], *, key: str = ""
    ) -> RequestStanding:
        """Hand in what a person asked for by right; `details` are the rest of the body of `POST /v1/requests`."""
        steps = rights.hand_in_request(self._exchange, reference, right, details, self._key(key))
        return await self._run(steps)

    async def request_standing(self, request: str) -> RequestStanding:
        """Ask where a request stands."""
        return await self._run(rights.request_standing(self._exchange, request))

    async def withdraw_request(self, request: str, *, key: str = "") -> RequestStanding:
        """Take a request back at the person's word."""
        return await self._run(rights.withdraw_request(self._exchange, request, self._key(key)))

    async def import_rows(
        self, rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]], *, key: str
    ) -> AsyncIterator[RowResult]:
        """Import rows as they come, yielding each one's result. Run again with the same `key` to resume."""
        async for chunk in _chunks(rows):
            for result in await self._run(verbs.import_chunk(self._exchange, chunk, key)):
                yield result

    async def rotate_reference(self, reference: str, *, grace_seconds: int = 0, key: str = "") -> Rotated:
        """Replace a reference by a fresh one; the old one dies, or resolves for a grace."""
        return await self._run(verbs.rotate_reference(self._exchange, reference, grace_seconds, self._key(key)))

    async def may(self, reference: str, purpose: str, fields: verbs.Wants, *, staff: bool = False) -> bool:
        """Ask whether every field would be granted at its level, without data."""
        return await self._run(verbs.may(self._exchange, reference, purpose, fields, staff=staff))

    async def attest(
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
        return await self._run(verbs.attest(self._exchange, token, audience, key, seconds, reference, fields))

    async def status_list(self, uri: str) -> str:
        """Fetch a whole status list, to check attestations with."""
        return await self._run(verbs.status_list(self._exchange, uri))

    async def issuer_keys(self) -> Mapping[str, Any]:
        """Return the keys that check attestations. Compare them with those you got another way."""
        return await self._run(verbs.issuer_keys(self._exchange))

    async def checkpoint(self) -> str:
        """Return the newest signed checkpoint of the audit log."""
        return await self._run(verbs.checkpoint(self._exchange))

    async def verifier_keys(self) -> VerifierKeys:
        """Return the keys that check checkpoints and receipts. Compare them with those you got another way."""
        return await self._run(verbs.verifier_keys(self._exchange))

    async def proof(self, entry_id: str) -> str | None:
        """Return the proof that a receipt's entry is in the audit log, or None."""
        return await self._run(verbs.proof(self._exchange, entry_id))

    def _key(self, key: str) -> str:
        """Return the key of a write, a fresh one where the caller has none."""
        return key or self._settings.fresh()

    async def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    reply = await self._send(call)
                except EcrinUnreachable as lost:
                    call = steps.throw(lost)
                else:
                    call = steps.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _send(self, call: Call) -> Reply:
        if call.after:
            await asyncio.sleep(call.after)
        try:
            response = await self._http.request(
                call.method, call.path, content=call.content, headers=dict(call.headers)
            )
        except httpx2.HTTPError:
            # A transport error's text and request carry the URL and headers: none of it goes on.
            raise EcrinUnreachable("no complete answer from the server") from None
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)


async def _chunks(rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """Cut rows into bodies, from an ordinary iterable or an asynchronous one."""
    if isinstance(rows, Iterable):
        for chunk in verbs.chunks(rows):
            yield chunk
        return
    cutter = verbs.Cutter()
    async for row in rows:
        if full := cutter.add(row):
            yield full
    if rest := cutter.rest():
        yield rest
