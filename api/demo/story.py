"""The story of one client, played against a running server by ordinary OAuth clients over HTTP.

Every step checks what it tells: `play` either returns or raises `StoryBroken`, so the same code prints the story for a
person and asserts it for `make demo`. It may be played again on kept data: the import is then found done, and consent
is given anew before it is withdrawn again.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from api.client.answers import Disclosure, DisclosureToken, Granted, VerifierKeys
from api.client.blocking import Ecrin
from api.client.errors import EcrinProblem
from api.client.identity import Identity
from api.client.receipts import verify_receipt
from api.demo import tampering
from api.demo.group import IMPORT_KEY, SIZE, Group, consent
from api.demo.narrator import Narrator
from api.demo.people import DAY
from api.demo.systems import AURELLE, MIGRATION, VANTIER

STRANGER: Final = "ref_00000000000000000000000000"  # well-formed, and nobody's
STAFF: Final = "advisor-PAR1-1"
ASKED: Final = (
    ("phone", "masked"),
    ("birth_date", "generalised"),
    ("ring_size", "raw"),
    ("lifetime_spend", "raw"),
    ("allergies", "raw"),
)
GIVEN: Final = {
    "phone": "masked",
    "birth_date": "generalised",
    "ring_size": "raw",
    "lifetime_spend": "generalised",
    "allergies": None,
}
CHECKPOINT_PATIENCE: Final = 15.0  # seconds; the server signs one each second


class StoryBroken(Exception):
    """Something the story promises did not happen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the boutique has in hand after its first disclosure."""

    token: DisclosureToken = field(repr=False)
    keys: VerifierKeys


@dataclass(slots=True)
class Story:
    """One telling: where the server is, who plays, and the data file that an outsider gets a copy of.

    Without `database` (PostgreSQL, or a server elsewhere) the chapter on the log checks receipts and checkpoint only.
    """

    base_url: str
    identities: Mapping[str, Identity]
    narrator: Narrator
    database: Path | None = None
    size: int = SIZE
    group: Group = field(default_factory=Group)

    def play(self) -> None:
        """Play all chapters in order."""
        with (
            Ecrin(self.base_url, self.identities[MIGRATION.id]) as migration,
            Ecrin(self.base_url, self.identities[AURELLE.id]) as aurelle,
            Ecrin(self.base_url, self.identities[VANTIER.id]) as vantier,
        ):
            self._import(migration)
            reference = self._recognise(aurelle)
            seen = self._just_enough(aurelle, reference)
            self._sister(vantier, reference)
            self._withdraw(aurelle, reference, seen)
            self._stolen(aurelle, reference)
            self._log(aurelle, seen)

    def _import(self, migration: Ecrin) -> None:
        self.narrator.chapter("The group's migration brings its clients in")
        began = time.monotonic()
        counts: dict[str, int] = {}
        with self.narrator.progress(self.size, "importing") as advance:
            for result in migration.import_rows(self.group.rows(self.size), key=IMPORT_KEY):
                advance()
                if result.code:
                    raise StoryBroken(f"{result.ref} was refused: {result.code} {dict(result.fields)}")
                counts[result.status] = counts.get(result.status, 0) + 1
        took = time.monotonic() - began
        self._hold(sum(counts.values()) == self.size, "every row is answered")
        done = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
        self.narrator.fact(f"{self.size:,} synthetic clients of three maisons: {done}", f"{took:.1f} s over HTTP")

    def _recognise(self, aurelle: Ecrin) -> str:
        self.narrator.chapter("Paris: a client enters Aurelle, and gives her phone number")
        found = aurelle.search("phone", self.group.person(1).phones[0])
        self._hold(len(found.candidates) == 1 and not found.more, "exactly one client has this number")
        reference = found.candidates[0].reference
        self.narrator.fact("The boutique finds her and stores", reference)
        self.narrator.aside(
            "a pseudonym for this maison alone: no name, no number, nothing that leads to another maison"
        )
        person = self.group.person(1)
        evidence = consent("clienteling", person, DAY)
        del evidence["event_at"]  # now: a consent dated before a withdrawal would not undo it
        recorded = aurelle.give_consent(reference, evidence)
        self._hold(recorded.state == "given", "consent is on record")
        self.narrator.fact("She agrees to be advised personally", f"notice clienteling v1, event {recorded.event[:8]}…")
        return reference

    def _just_enough(self, aurelle: Ecrin, reference: str) -> Seen:
        self.narrator.chapter("Her ring comes in for repair: the boutique asks for just enough")
        token = aurelle.authorise(
            reference, "clienteling.aftercare", ASKED, max_uses=2, reason="ring to be resized", staff=STAFF
        )
        keys = aurelle.verifier_keys()
        answer = aurelle.disclose(token)
        self.narrator.answers(token, answer)
        fields = self.group.fields(self.group.person(1), "aurelle")
        self._check_answer(answer, fields)
        granted: dict[str, Granted] = {item.name: item for item in token.fields}
        self._hold(
            {name: item.level for name, item in granted.items()} == GIVEN, "granted as far as allowed, no further"
        )
        self._hold(granted["allergies"].reason == "consent_required", "a refusal says why, and nothing about her")
        receipt = verify_receipt(answer.receipt, keys.receipt)
        self._hold(receipt.origin == keys.origin, "the receipt is signed by this deployment")
        self.narrator.fact("A signed receipt promises the log entry", f"{receipt.entry_id[:16]}…")
        return Seen(token, keys)

    def _check_answer(self, answer: Disclosure, fields: Mapping[str, Any]) -> None:
        levels = {name: item.level for name, item in answer.fields.items()}
        wanted = {name: level for name, level in GIVEN.items() if level is not None}
        self._hold(levels == wanted, "the disclosure gives what the token grants, and nothing else")
        self._hold(answer.value("ring_size") == fields["ring_size"], "the ring size is the one imported")
        shown = str([answer.value(name) for name in ("phone", "birth_date", "lifetime_spend")])
        hidden = (fields["phone"][0], fields["birth_date"], fields["lifetime_spend"]["amount"])
        self._hold(not any(value in shown for value in hidden), "what is masked or generalised shows no value")
        self._hold(fields["birth_date"][5:7] in str(answer.value("birth_date")), "the birthday shows its month")

    def _sister(self, vantier: Ecrin, reference: str) -> None:
        self.narrator.chapter("Geneva: Vantier, the sister maison, knows her too")
        found = vantier.search("phone", self.group.person(1).phones[0])
        self._hold(len(found.candidates) == 1, "the sister maison finds her")
        other = found.candidates[0].reference
        self._hold(other != reference, "and holds another reference")
        self.narrator.fact("For the same person it stores", other)
        refused, unknown = (self._refusal(vantier.get_subject, name) for name in (reference, STRANGER))
        self._hold(
            (refused.status, refused.code, refused.title) == (unknown.status, unknown.code, unknown.title),
            "the other maison's reference is as unknown as an invented one",
        )
        wants = [("phone", "masked")]
        denied, nothing = (
            self._refusal(vantier.authorise, name, "clienteling.aftercare", wants) for name in (reference, STRANGER)
        )
        self._hold((denied.status, denied.code) == (nothing.status, nothing.code), "nor can it ask anything about it")
        self.narrator.fact("With Aurelle's reference it gets", f"{refused.status} {refused.code}, as for nobody at all")

    def _withdraw(self, aurelle: Ecrin, reference: str, seen: Seen) -> None:
        self.narrator.chapter("She changes her mind")
        evidence = {"purpose": "clienteling", "channel": "in_store", "place": "PAR1", "collector": STAFF}
        recorded = aurelle.withdraw_consent(reference, evidence)
        self._hold(recorded.state == "withdrawn", "withdrawal is on record")
        refused = self._refusal(aurelle.disclose, seen.token)
        self.narrator.fact("The same token, with a use left, is now refused", f"{refused.status} {refused.code}")
        self._hold(refused.status in {401, 403}, "a token does not outlive its consent")

    def _stolen(self, aurelle: Ecrin, reference: str) -> None:
        self.narrator.chapter("The repair goes on by contract; somebody steals the token on the way")
        wants = [("name", "masked"), ("ring_size", "raw"), ("repairs", "raw")]
        token = aurelle.authorise(reference, "service.repair", wants, reason="ring to be resized", staff=STAFF)
        with Ecrin(self.base_url, self.identities[AURELLE.id]) as thief:  # same system, but not the key in its memory
            refused = self._refusal(thief.disclose, token)
        self._hold(refused.status == 401, "a token without its key opens nothing")  # noqa: PLR2004
        self.narrator.fact("Without the key it is bound to", f"{refused.status} {refused.code}")
        answer = aurelle.disclose(token)
        self._hold(answer.fields["ring_size"].level == "raw", "its owner still can")
        self.narrator.fact("Its owner redeems it", f"ring size {answer.value('ring_size')['value']}, for the workshop")

    def _log(self, aurelle: Ecrin, seen: Seen) -> None:
        self.narrator.chapter("An outsider checks the log")
        if self.database is None:
            self._hold(aurelle.checkpoint().startswith(seen.keys.origin), "a signed checkpoint is published")
            self.narrator.fact("Signed checkpoint", "published; verify with `ecrin audit verify`")
            return
        with tempfile.TemporaryDirectory(prefix="ecrin-demo-") as folder:
            evidence = self._evidence(aurelle, self.database, Path(folder), seen.keys)
            opinion = tampering.verify(evidence)
            self._hold(opinion.verdict == 0, f"the log verifies (verdict {opinion.verdict}, {opinion.findings})")
            self.narrator.fact("Every entry, every checkpoint", f"{opinion.size:,} entries verified from stored bytes")
            index = opinion.size // 2
            tampering.flip_one_byte(evidence.copy, index)
            opinion = tampering.verify(evidence)
        named = [sentence for at, sentence in opinion.findings if at == index]
        self._hold(opinion.verdict == 1 and bool(named), "one flipped byte is found and named")
        self.narrator.fact("One byte flipped in a copy", named[0])

    def _evidence(self, aurelle: Ecrin, database: Path, folder: Path, keys: VerifierKeys) -> tampering.Evidence:
        """Copy the file once a checkpoint covers all that happened so far."""
        until = time.monotonic() + CHECKPOINT_PATIENCE
        while True:
            copy = tampering.copy_of(database, folder / "copy.db")
            checkpoint = aurelle.checkpoint()
            if int(checkpoint.split("\n")[1]) >= tampering.entries(copy):
                # Copied anew: the checkpoint may be of a later state than the copy just counted.
                return tampering.Evidence(tampering.copy_of(database, copy), keys.log, checkpoint)
            self._hold(time.monotonic() < until, "a checkpoint covers the log soon")
            time.sleep(0.2)

    def _refusal(self, act: Any, *arguments: Any) -> EcrinProblem:
        """Do what must be refused, and return the refusal."""
        try:
            act(*arguments)
        except EcrinProblem as refused:
            return refused
        raise StoryBroken(f"{act.__name__} was not refused")

    def _hold(self, holds: bool, promise: str) -> None:
        if not holds:
            raise StoryBroken(promise)
        self.narrator.held(promise)
