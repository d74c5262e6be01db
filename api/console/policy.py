"""The policy: each rule in words, the versions with their signatures, what moves from one to the next, and what it turns.

What a draft would have answered to the last weeks' decisions is computed while the reader waits (`vault.governance.replays`).
A version takes effect by two officers' own keys, which are never here: the page shows the text to sign and takes the
signature that was made elsewhere.
"""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.signing import signature_of
from api.console.visit import PREFIX, Visit
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports.table import Cell, few
from policies.bundle import Bundle, parse_bundle
from policies.conditions import words_of
from policies.difference import differences
from policies.errors import InvalidBundle
from policies.phrases import wording
from policies.replay import Recorded, Verdict
from policies.replay import Replayed as Answer
from policies.rules import Rule
from vault.errors import UnknownVersion
from vault.governance import replays, versions
from vault.governance.signatures import Signed
from vault.governance.versions import State, Version
from vault.governance.versionsigning import Part, said_of, version_of

PATH: Final = f"{PREFIX}/policy"
DAYS: Final = (7, 30, 90)
_DAY: Final = 86_400
_MOST_FLIPS: Final = 200  # kinds of decision on a page; all are in `ecrin policy replay`


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found, as a page shows it: counts of a few are not told."""

    days: int
    report: replays.Report

    @property
    def counts(self) -> list[tuple[str, Cell]]:
        """Return how many fields came out how, in a fixed order."""
        return [(each.value, few(self.report.fields.get(each, 0))) for each in Verdict]

    @property
    def flips(self) -> list[tuple[Recorded, Answer, Cell]]:
        """Return the kinds of decision that come out otherwise, the most frequent first."""
        return [(flip.record, flip.replayed, few(count)) for flip, count in self.report.flips[:_MOST_FLIPS]]

    @property
    def more(self) -> bool:
        """Whether there are more kinds than are shown."""
        return len(self.report.flips) > _MOST_FLIPS or self.report.untold > 0


def page(visit: Visit) -> Response:
    """Show the rules in force and the versions."""
    bundle = visit.vault.bundle
    with visit.vault.reading() as conn:
        found = list(reversed(versions.listed(conn)))
    return visit.page(
        "policy.html", rules=rules_of(bundle, visit.tag), versions=found, hash=bundle.hash.hex(), name=bundle.name
    )


def version_page(visit: Visit) -> Response:
    """Show one version, and what it changes."""
    return _shown(visit, _version(visit))


def replay(visit: Visit) -> Response:
    """Put the decisions of the last weeks to a version, beside the policy in force, and show what comes out otherwise."""
    found, days = _version(visit), filters.number(visit.form, "days") or 0
    if days not in DAYS:
        raise Problem("bad_request")
    with visit.vault.reading() as conn:
        draft = parse_bundle(*versions.stored(conn, found.number))
    report = replays.replay(visit.vault, draft, visit.now - days * _DAY)
    said = ("policy.replayed", *said_of(found.number, found.hash))
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=said, n=report.entries))
    return _shown(visit, found, Replayed(days, report))


def version(visit: Visit) -> Response:
    """Take an approver's signature over a version or its refusal; or put an approved one in force."""
    found = _version(visit)
    step = visit.form.get("step", "")
    if step == "activate":
        versions.activate(visit.vault, found.number, visit.actor)
    elif step in {"approve", "refuse"}:
        made = signature_of(visit.form)
        act = versions.approve if step == "approve" else versions.refuse
        act(visit.vault, found.number, visit.officer.id, lambda _: made)
    else:
        raise Problem("bad_request")
    return visit.go(f"{PATH}/{found.number}", done=step)


def rules_of(bundle: Bundle, language: str) -> list[tuple[Rule, tuple[str, ...]]]:
    """Return each rule of a bundle with its conditions in words of the language."""
    spoken = wording(language, bundle.catalogue.categories)
    return [(rule, words_of(rule, spoken)) for rule in bundle.rules.rules.values()]


def _shown(visit: Visit, found: Version, replayed: Replayed | None = None) -> Response:
    vault = visit.vault
    changes, findings, rules = [], [], []
    try:
        with vault.reading() as conn:
            name, files = versions.stored(conn, found.number)
        bundle = parse_bundle(name, files)
        changes, rules = list(differences(vault.bundle, bundle, visit.tag)), rules_of(bundle, visit.tag)
    except InvalidBundle as error:
        findings = list(error.findings)
    texts = {
        part.value: Signed(version_of(found.number, found.hash), part, "", 0).text(vault.deployment).decode("ascii")
        for part in (Part.APPROVER, Part.REFUSAL)
    }
    return visit.page(
        "version.html", version=found, changes=changes, findings=findings, rules=rules, texts=texts, states=State,
        replayed=replayed, days=DAYS, action=f"{PATH}/{found.number}",
    )  # fmt: skip


def _version(visit: Visit) -> Version:
    number = filters.number(visit.params, "number")
    try:
        with visit.vault.reading() as conn:
            return versions.get(conn, number or 0)
    except UnknownVersion:
        raise Problem("not_found") from None
