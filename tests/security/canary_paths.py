"""Every way by which a value can come near the service, with a canary on each.

`Prey` drives a running server over HTTP and keeps each exchange. An exchange is `meant` if its body is there to give
values back: a disclosure, or the row references of an import's own answer.
"""

import contextlib
import json
import socket
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import httpx2
from canary_hunter import ACCENTED, AMOUNT, DAY, WORD, clear, phone, word

from api.client.blocking import Ecrin
from api.client.errors import EcrinError
from api.client.exchange import Settings
from api.client.identity import Identity
from policies.levels import Level

SCOPES = frozenset({"lookup", "subject.write", "consent.write", "import"})


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as bytes on the wire would show it."""

    label: str
    status: int
    headers: str
    body: bytes
    meant: bool


@dataclass
class Recorder(httpx2.BaseTransport):
    """A transport that keeps what comes back."""

    inner: httpx2.HTTPTransport = field(default_factory=httpx2.HTTPTransport)
    exchanges: list = field(default_factory=list)

    def handle_request(self, request):
        response = self.inner.handle_request(request)
        response.read()
        path = urlsplit(str(request.url)).path
        meant = response.status_code == 200 and (path.startswith("/v1/disclosures") or path == "/v1/imports")
        headers = repr(response.headers.raw)
        self.exchanges.append(
            Exchange(f"{request.method} {path[:14]}", response.status_code, headers, response.content, meant)
        )
        return response

    def close(self):
        self.inner.close()


def everything():
    """Values for fields of every type, each with a canary where the type lets one in."""
    spend = {"amount": f"{AMOUNT}.37", "currency": "EUR"}
    return {
        "client_number": word("cn-"),
        "name": {
            "family": word().capitalize(),
            "given": word(),
            "middle": word(),
            "salutation": word(),
            "native": {"family": ACCENTED, "given": word(), "script": "Latn"},
        },
        "known_as": word(),
        "nationality": ["FR"],
        "profession": word(),
        "standing": "loyal",
        "identity_verified": True,
        "phone": [phone(), {"number": phone().replace("+33", "0"), "region": "FR"}],
        "email": [f"{word()}@example.com", f"{word().upper()}@Example.com"],
        "messaging_handle": [word("@")],
        "personal_assistant": word(),
        "postal_address": [{"lines": [word(), word()], "locality": word(), "region": word(), "country": "FR"}],
        "delivery_instructions": f"{word()}\n{ACCENTED}",
        "birth_date": f"{DAY}3",
        "important_dates": [{"occasion": "name_day", "date": f"{DAY}4", "about": word()}],
        "favourite_colours": [word(), word()],
        "dislikes": [word()],
        "languages": ["fr"],
        "ring_size": {"value": "52", "system": "eu"},
        "allergies": [{"family": "food", "substance": word()}],
        "purchases": [
            {"date": f"{DAY}5", "family": "watches", "product": word(), "serial": word(), "price": spend, "for": word()}
        ],
        "lifetime_spend": spend,
        "wish_list": [{"value": word(), "valid_from": "2020-01-01", "valid_until": "2199-12-31"}],
        "repairs": [{"opened": f"{DAY}6", "status": "in_work", "product": word(), "serial": word(), "work": word()}],
        "owned_pieces": [word()],
        "advisor_notes": [{"date": f"{DAY}7", "topic": "taste", "text": f"{word()} {word()}", "advisor": word()}],
        "visits": [{"date": f"{DAY}8", "boutique": word(), "occasion": "walk_in", "advisor": word()}],
        "advisor": word(),
        "preferred_boutique": word(),
        "gift_recipients": [word()],
        "companion_animals": [word()],
    }


def given(purpose, notice):
    shown = {"id": notice, "version": 1, "language": "fr"}
    return {"purpose": purpose, "notice": shown, "channel": "boutique", "place": clear(), "collector": clear()}


CONSENTS = (
    ("clienteling", "clienteling"),
    ("clienteling.hospitality", "hospitality"),
    ("marketing.email", "marketing_email"),
)


class Prey:
    """Two clients of one system (a second key for stolen tokens), and everything they try."""

    def __init__(self, url, identity: Identity, catalogue, purposes):
        self.url, self.identity, self.catalogue, self.purposes = url, identity, catalogue, purposes
        self.recorder = Recorder()
        self.client = Ecrin(url, identity, Settings(url, attempts=1), transport=self.recorder)
        self.errors = []
        self.reference = ""

    def run(self):
        for path in (
            self.subjects,
            self.disclosures,
            self.searches,
            self.consents,
            self.refused_values,
            self.imports,
            self.malformed_bodies,
            self.headers_and_urls,
            self.oauth,
            self.broken_http,
        ):
            try:
                path()
            except EcrinError as error:  # what had to succeed did not: its body says which member is wrong
                raise AssertionError(self.recorder.exchanges[-1]) from error
        self.client.close()

    @contextlib.contextmanager
    def may_fail(self):
        try:
            yield
        except EcrinError as error:
            self.errors.append(error)

    def send(self, method, path, content=None, headers=None, *, scope="subject.write", token=""):
        """Any request with a good token and proof, unless `headers` say otherwise."""
        exchange = self.client._exchange
        token = token or self.client._run(exchange.service_token(scope))
        given_headers = exchange.headers(token, method, path.partition("?")[0]) | (headers or {})
        if not isinstance(content, bytes):
            given_headers.setdefault("Content-Type", "application/json")
            content = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        request = httpx2.Request(method, self.url + path, content=content, headers=given_headers)
        return self.recorder.handle_request(request)

    # --- the ways

    def subjects(self):
        body = {"region": "fr", "fields": everything(), "consents": [given(*each) for each in CONSENTS]}
        key = word("key-")
        self.reference = self.client.create_subject(body, key=key).reference
        self.client.create_subject(body, key=key)  # replayed
        with self.may_fail():
            self.client.create_subject({"fields": {"profession": word()}}, key=key)  # another body
        changes = {
            "set": {"profession": word(), "client_number": word(), "email": [f"{word()}@example.com"]},
            "append": {"phone": [phone()], "advisor_notes": [{"date": f"{DAY}9", "topic": "taste", "text": word()}]},
            "correct": {"known_as": word()},
        }
        record = self.client.update_subject(self.reference, self.client.get_subject(self.reference).etag, changes)
        for item in range(1, 8):  # a list item is numbered by its compartment's count; one of these is the wish
            with self.may_fail():
                etag = self.client.get_subject(self.reference).etag
                self.client.update_subject(self.reference, etag, {"end": {"wish_list": [item]}})
        now = self.client.get_subject(self.reference)
        for wrong in (
            {"end": {"wish_list": [99]}},
            {"end": {word(): [1]}},
            {"correct": {word(): word()}},
            {"set": {"profession": [word()]}},
            {"append": {"profession": word()}},
            {"correct": {"phone": [{"item": 77, "value": phone()}]}},
            {word(): {"profession": word()}},
        ):
            with self.may_fail():
                self.client.update_subject(self.reference, now.etag, wrong)
        with self.may_fail():
            self.client.update_subject(self.reference, record.etag, {"set": {"profession": word()}})  # stale

    def disclosures(self):
        fields = list(everything())
        for purpose in self.purposes:
            for level in Level:
                wants = [self._want(name, level) for name in fields]
                with self.may_fail():
                    token = self.client.authorise(
                        self.reference, purpose, [want for want in wants if want], reason=word(), staff=word()
                    )
                    answer = self.client.disclose(token)
                    self.errors.append(repr(answer))
                    with self.may_fail():
                        self.client.disclose(token)  # its use is gone
        wants = [("name", "raw"), ("phone", "masked")]
        token = self.client.authorise([self.reference], "clienteling.in_store", wants, staff=word())
        self.client.disclose_bulk(token)
        for body in ({"fields": [word()]}, {"reference": word()}, {"references": [word()]}, {word(): word()}):
            self.send("POST", "/v1/disclosures", body, token=token.secret)
            self.send("POST", "/v1/disclosures/bulk", body, token=token.secret)

    def _want(self, name, level):
        if level is Level.PREDICATE:
            predicates = sorted(self.catalogue.field(name).predicates)
            return (name, "predicate", predicates[0]) if predicates else None
        return (name, level.value)

    def searches(self):
        challenge, token = self.recorder.exchanges[:2]  # the first proof has no nonce yet
        assert (challenge.status, token.status) == (400, 200)
        for by, value in (
            ("phone", phone()),
            ("email", f"{word()}@example.com"),
            ("client_number", word()),
            ("email", word()),
            ("phone", word()),
            ("profession", word()),
            (word(), word()),
            ("birth_date", f"{DAY}3"),
        ):
            with self.may_fail():
                self.client.search(by, value)
        number = word("hit-")
        self.client.create_subject({"fields": {"client_number": number}})
        assert self.client.search("client_number", number).candidates

    def consents(self):
        event = given("marketing.email", "marketing_email")
        self.client.give_consent(self.reference, event)
        for wrong in (
            event | {"purpose": word()},
            event | {"channel": clear()},
            event | {"channel": f"{word()} {word()}"},
            event | {"notice": {"id": word(), "version": 1, "language": "fr"}},
            event | {"place": f"{word()} {word()}"},
            event | {"collector": f"{word()}@example.com"},
            event | {"jurisdiction": word()},
            event | {"event_at": word()},
            event | {word(): word()},
        ):
            with self.may_fail():
                self.client.give_consent(self.reference, {**wrong, "place": clear()} if "place" not in wrong else wrong)
        withdrawal = {"purpose": "marketing.email", "channel": "boutique", "place": clear(), "collector": clear()}
        self.client.withdraw_consent(self.reference, withdrawal)
        with self.may_fail():
            self.client.withdraw_consent(word(), withdrawal)

    def refused_values(self):
        """For each field of the catalogue: what its type must refuse, and canaries as names of members."""
        for name in self.catalogue.fields:
            for value in (
                {word(): word()},
                [[word()]],
                [{word(): word()}],
                word() * 40,
                [word() * 40],
                {"value": word(), "valid_from": word()},
                {"value": word(), "system": word()},
                {"amount": word(), "currency": word()},
                {"family": word(), "date": word(), "lines": [word()], word(): 1},
                {"number": word(), "region": word()},
            ):
                with self.may_fail():
                    self.client.create_subject({"fields": {name: value}})
        for body in (
            {"fields": {word(): word()}},
            {"fields": {"profession": word()}, word(): word()},
            {"fields": {"profession": word()}, "region": word()},
            {"fields": word()},
            {"fields": {"profession": word(), "phone": [word()], word(): 1}},
            {"fields": {"profession": word()}, "consents": [{word(): word()}]},
            [word()],
            word(),
        ):
            self.send("POST", "/v1/subjects", body)

    def imports(self):
        rows = [
            {"ref": word("row-"), "fields": everything(), "consents": [given(*CONSENTS[0])]},
            {"ref": word("row-"), "fields": {"email": [word()]}},
            {"ref": word("row-"), "fields": {word(): word()}},
            {"ref": word("row-"), word(): word()},
            {"ref": "row-plain", "holdings": [{"brand": word(), "fields": {"profession": word()}}]},
            {word(): word()},
        ]
        key = word("import-")
        list(self.client.import_rows(rows, key=key))
        list(self.client.import_rows(rows, key=key))  # resumed
        list(self.client.import_rows([rows[0] | {"fields": {"profession": word()}}], key=key))  # other content
        headers = {"Idempotency-Key": word(), "Content-Type": "application/x-ndjson"}
        broken = [f'{{"ref": "{word()}', word(), f'["{word()}"]', f'{{"ref": {{"{word()}": 1}}}}', "\xff" + word()]
        self.send("POST", "/v1/imports", "\n".join(broken).encode("latin-1"), headers, scope="import")
        csv = {"Idempotency-Key": word(), "Content-Type": "text/csv"}
        good = f"ref,profession,phone,name.family,email\n{word()},{word()},{phone()},{word()},{word()}@example.com\n"
        for content in (
            good,
            good + f"{word()},{word()},{word()},{word()},{word()}\n{word()},{word()}\n",
            f"ref,{word()}\n1,{word()}\n",
            f'ref,profession\n1,"{word()}',
            f"{word()}",
        ):
            self.send("POST", "/v1/imports", content.encode(), csv | {"Idempotency-Key": word()}, scope="import")
        self.send("POST", "/v1/imports", good.encode(), {"Content-Type": "text/csv"}, scope="import")
        self.send("POST", "/v1/imports", good.encode(), csv | {"Content-Type": f"text/{word()}"}, scope="import")
        self.send("POST", "/v1/imports", (f"ref,profession\n1,{word()}" + WORD * 30_000).encode(), csv, scope="import")

    def malformed_bodies(self):
        for path in ("/v1/subjects", "/v1/subjects/search", "/v1/consents", "/v1/consents/withdraw", "/v1/disclosures"):
            for content in (
                f'{{"fields": "{word()}'.encode(),
                f'{{"fields": {word()}}}'.encode(),
                word().encode() + b"\xff\xfe",
                b'{"fields": {"profession": "' + word().encode() + b'\xc3"}}',
                f'"{word()}"'.encode(),
                f'{{"{word()}": NaN}}'.encode(),
                f'{{"by": "phone", "value": {{"{word()}": 1}}}}'.encode(),
                b"[" * 3000 + word().encode(),
                (f'{{"fields": {{"profession": "{word()}"}}, "x": "' + WORD * 120_000 + '"}').encode(),
            ):
                for kind in ("application/json", f"text/{word()}", "application/x-www-form-urlencoded"):
                    scope = "lookup" if "search" in path else "consent.write" if "consent" in path else "subject.write"
                    self.send("POST", path, content, {"Content-Type": kind}, scope=scope)

    def headers_and_urls(self):
        marks = ("User-Agent", "X-Request-Id", "Referer", "Cookie", "Accept-Language", "X-Forwarded-For", "Forwarded",
                 "traceparent", "Origin", "Idempotency-Key", "If-Match", "Host", "X-" + word())  # fmt: skip
        body = {"fields": {"profession": word()}}
        for name in marks:
            self.send("POST", "/v1/subjects", body, {name: word()})
            self.send("PATCH", f"/v1/subjects/{self.reference}", {"set": {"profession": word()}}, {name: word()})
        self.send("POST", "/v1/subjects", body, {"Idempotency-Key": word() * 40})
        for path in (
            f"/v1/subjects/{word()}",
            f"/v1/subjects/{self.reference}?email={word()}@example.com",
            f"/v1/subjects?phone=%2B33{phone()[3:]}",
            f"/{word()}/{word()}?{word()}={word()}",
            f"/v1/subjects/%22{word()}%0a{word()}",
            f"/audit/{word()}",
            f"/audit/checkpoint?{word()}",
            f"/healthz?{word()}",
        ):
            for method in ("GET", "POST", "PATCH", "DELETE", word().upper()):
                self.send(method, path, b"" if method == "GET" else {"x": word()}, {"If-Match": '"1"'}, scope="lookup")

    def oauth(self):
        entry = {
            "type": "urn:ecrin:disclosure:v1",
            "subject": self.reference,
            "purpose": "clienteling.in_store",
            "fields": [{"name": "phone", "level": "raw"}],
        }
        details = [
            word(),
            f'[{{"{word()}": 1}}]',
            *(json.dumps([entry | wrong]) for wrong in (
                {"type": word()},
                {"subject": word()},
                {"purpose": word()},
                {"purpose": word() + "." + word()},
                {"fields": [{"name": word(), "level": "raw"}]},
                {"fields": [{"name": "phone", "level": word()}]},
                {"fields": [{"name": "birth_date", "level": "predicate", "predicate": word()}]},
                {"fields": [{word(): word()}]},
                {"reason": word() * 30},
                {"staff": f"{word()} {word()}"},
                {"max_uses": word()},
                {word(): word()},
            )),
        ]  # fmt: skip
        for grant in (
            *({"authorization_details": each} for each in details),
            {"scope": word()},
            {"scope": f"lookup {word()}"},
        ):
            with self.may_fail():
                self.client._run(self.client._exchange.token(grant))
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        stranger = Identity(word(), self.identity.key, word())
        assertions = (word(), f"{word()}.{word()}.{word()}", stranger.assertion(self.url, 0, word()))
        for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
            for assertion in assertions:
                for form in (
                    {"grant_type": word(), "scope": word()},
                    {"grant_type": "client_credentials", "client_id": word(), "client_secret": word()},
                    {"grant_type": "client_credentials", "token": word(), "token_type_hint": word()},
                    {word(): word()},
                ):
                    form = {"client_assertion_type": kind, "client_assertion": assertion, **form}  # noqa: PLW2901
                    headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": word(), "Authorization": ""}
                    self.send("POST", path, urlencode(form).encode(), headers)
            self.send("POST", path, word().encode() + b"=%ff&" + word().encode(), {"Content-Type": f"text/{word()}"})
        for authorization, proof in ((f"DPoP {word()}", word()), (f"Bearer {word()}", ""), (word(), f"{word()}.x.y")):
            headers = {"Authorization": authorization, "DPoP": proof}
            self.send("POST", "/v1/subjects", {"fields": {"profession": word()}}, headers)
            self.send("POST", "/v1/disclosures", {}, headers)

    def broken_http(self):
        """What the HTTP parser itself refuses, and a caller that hangs up in the middle of a body."""
        place = urlsplit(self.url)
        for raw in (
            f"{word()} / HTTP/9.9\r\n\r\n",
            f"GET /{word()} HTTP/1.1\r\n{word()}\r\n\r\n",
            f"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nContent-Length: {word()}\r\n\r\n{word()}",
            f"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{word()}",
            f"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{word()}\r\n",
            f"GET / HTTP/1.1\r\nHost: x\r\nX: {word() * 9000}\r\n\r\n",
        ):
            with socket.create_connection((place.hostname, place.port), 5) as conn, contextlib.suppress(OSError):
                conn.sendall(raw.encode())
                conn.shutdown(socket.SHUT_WR)
                body = b""
                while piece := conn.recv(65536):
                    body += piece
                self.recorder.exchanges.append(Exchange("broken http", 0, "", body, meant=False))
