"""The victims: processes that write to a vault as fast as they can and note each act once it is acknowledged.

Run as a script this is the *breeder*: it imports the project once, then forks a writing process for each line on its
standard input, so that a round costs a fork and not a start of Python. A writer opens database and keystore itself,
after the fork, and writes from several threads until somebody kills it.

A note is one line appended by one `write`, after the commit was acknowledged: SIGKILL loses none that was written.
"""

import ctypes
import itertools
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from api import bundles, pipeline
from api.authn.dpop import Proof
from api.client.identity import Identity
from api.looks import Call, Look
from api.oauth.clients import ClientCredential
from api.oauth.issue import TokenRequest, issue_tokens
from api.rar import Disclosure
from policies.levels import Level
from policies.model import Wanted
from vault import amendments, consents, evidence, subjects, tokens
from vault.consents import Change, ConsentAct, ConsentEvent, Notice
from vault.errors import StoreUnavailable, VaultError
from vault.keys.local import KeyFileProvider
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, open_vault
from vault.subjects import Holding, NewSubject
from vault.tokens import Credential
from vault.unit import execute

BRAND, SYSTEM, ISSUER = "aurelle", "aurelle-pos", "https://vault.example"
PURPOSE, TOGGLED = "clienteling.aftercare", "marketing.email"
THREADS = 3
MOST_USES = 3
_JKT = "J" * 43

_fresh = itertools.count()


def fresh_bytes(count):
    return os.urandom(count)


def given(purpose, notice):
    return ConsentEvent(purpose, ConsentAct.GIVEN, "boutique", Notice(notice, 1, "fr"))


def withdrawn(purpose):
    return ConsentEvent(purpose, ConsentAct.WITHDRAWN, "boutique")


def ring(number):
    return {"value": str(40 + number % 40), "system": "eu"}


class Writer:
    """One thread's work: its own subjects, so that what each must hold is known without asking the others."""

    def __init__(self, vault, identity, note, name):
        self.vault, self.identity, self.note, self.name = vault, identity, note, name
        self._count = itertools.count()

    def step(self):
        """One person's day: registered, amended, asked, shown, counted down."""
        first, *_ = self._register(1 + next(self._count) % 3)
        token = self._issue(first)
        self._redeem(token, first)
        self._amend(first, 1)
        self._consent(first, ConsentAct.GIVEN)
        self._redeem(token, first)
        self._amend(first, 2)
        self._consent(first, ConsentAct.WITHDRAWN)

    def _do(self, batch, items, told):
        for answer in execute(self.vault, batch, items):
            if isinstance(answer, list):  # a bulk answer of the pipeline
                (answer,) = answer  # noqa: PLW2901
            if isinstance(answer, VaultError):
                self.note({"act": "error", "code": answer.code, "text": str(answer)})
                raise answer
            yield told(answer)

    def _register(self, count):
        people, numbers = [], []
        for _ in range(count):
            number = f"{self.name}-{next(self._count)}"
            numbers.append(number)
            fields = {"client_number": number, "ring_size": ring(0), "phone": ["+33639981234"], "profession": "n0"}
            people.append(NewSubject(SYSTEM, "fr", (Holding(BRAND, fields, (given("clienteling", "clienteling"),)),)))
        known = list(self._do(subjects.ingest, people, lambda answer: answer))
        for each, number in zip(known, numbers, strict=True):
            note = {"act": "register", "reference": each.references[BRAND], "number": number}
            self.note(note | {"entry": each.entry.hex(), "subject": each.subject.hex()})
        return [each.references[BRAND] for each in known]

    def _amend(self, reference, number):
        changes = {"profession": f"n{number}", "ring_size": ring(number)}
        order = amendments.Update(reference, BRAND, SYSTEM, number, set=changes)
        for answer in self._do(amendments.update, [order], lambda answer: answer):
            entries = [each.hex() for each in answer.entries]
            self.note({"act": "amend", "reference": reference, "version": answer.version, "entries": entries})

    def _consent(self, reference, act):
        event = given(TOGGLED, "marketing_email") if act is ConsentAct.GIVEN else withdrawn(TOGGLED)
        change = Change(reference, BRAND, SYSTEM, event)
        for answer in self._do(consents.record, [change], lambda answer: answer):
            note = {"act": "consent", "reference": reference, "event": answer.event_id.hex(), "epoch": answer.epoch}
            self.note(note | {"entry": answer.entry.hex(), "state": answer.state.value})

    def _issue(self, reference):
        now = self.vault.clock.now()
        assertion = self.identity.assertion(ISSUER, now, fresh_bytes(16).hex())
        wanted = (Wanted("ring_size", Level.RAW), Wanted("phone", Level.MASKED))
        asked = Disclosure((reference,), True, PURPOSE, wanted, MOST_USES, "", "advisor-1")
        request = TokenRequest(
            ClientCredential(SYSTEM, assertion, ISSUER, "request"),
            Proof(_JKT, fresh_bytes(16), now + 60),
            frozenset(),
            asked,
        )
        (answer,) = self._do(issue_tokens, [request], lambda answer: answer)
        token_hash = tokens.hash_of(answer["access_token"])
        self.note({"act": "token", "token": token_hash.hex(), "reference": reference})
        return token_hash

    def _redeem(self, token_hash, reference):
        now = self.vault.clock.now()
        credential = Credential(token_hash, _JKT, fresh_bytes(16), now + 60, nonced=True)
        call = Call(credential, "request", (Look(reference, None),))
        (answer,) = self._do(pipeline.disclosures, [call], lambda answer: answer)
        shown = {each["name"]: each["value"] for each in answer["fields"]}
        note = {"act": "disclose", "token": token_hash.hex(), "reference": reference, "entry": answer["entry"]}
        self.note(note | {"ring": shown["ring_size"], "receipt": answer["receipt"]})


def work(vault, identity, note, name, outlives_store):
    """Write until killed. A store that is gone is an answer too, where the round takes it away."""
    writer = Writer(vault, identity, note, name)
    while True:
        try:
            writer.step()
        except StoreUnavailable:
            if not outlives_store:
                return
            time.sleep(0.02)
        except VaultError:
            return


def sign(vault, pin, note):
    """Sign checkpoints all the time, as the service does each second: the pin is written while others are killed."""
    while True:
        try:
            for text in evidence.sign_checkpoints(vault, pin):
                note({"act": "checkpoint", "size": int(text.splitlines()[1])})
        except StoreUnavailable:
            time.sleep(0.02)
        except Exception as error:  # noqa: BLE001 - told to the checker, which accepts none
            note({"act": "error", "code": type(error).__name__, "text": str(error)})
            return
        time.sleep(0.005)


def noting(path):
    """Append one line per note. O_APPEND and one `write`: lines of several threads and processes never mix.

    SIGKILL may end a `write` between two pages of the file. So a note begins a line of its own: what is cut spoils no other.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return lambda note: os.write(file, b"\n" + json.dumps(note).encode() + b"\n")


def opened(order, bundle):
    place = Place(order["database"], Path(order["keystore"]), KeyFileProvider(Path(order["root"]), SystemEntropy()))
    return open_vault(place, bundle, clock=SystemClock(), entropy=SystemEntropy())


def victim(order, bundle):
    """The whole life of one writing process."""
    note = noting(order["notes"])
    vault = opened(order, bundle)
    # A slot taken here is used by nobody else, ever: not by a process started after this one was killed either.
    note({"act": "slots", "slots": [slot.number for slot in vault.keys.reserve(3)]})
    identity = Identity.load(SYSTEM, order["key"])
    stayer = order.get("outlives_store", False)
    threads = [
        threading.Thread(target=work, args=(vault, identity, note, f"{order['name']}-{each}", stayer), daemon=True)
        for each in range(THREADS)
    ]
    threads.append(threading.Thread(target=sign, args=(vault, Path(order["pin"]), note), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads[:THREADS]:
        thread.join()


def breed():
    """Fork a victim per line read; answer its process id. A line `{"reap": pid}` waits for that one."""
    bundle = bundles.load()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            print(json.dumps({"status": status}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _die_with_parent()
            code = 1
            try:
                victim(order, bundle)
                code = 0
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)


def _die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    breed()
