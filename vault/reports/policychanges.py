"""Who changed the rules, and what moved: each version of the period, what is different, and what a replay turns.

The replay puts the decisions of the 30 days before the period's end to the version and to the one it followed, as
`vault.governance.replays` does: what flips in every way the request can have been, or in some.
"""

import re
from dataclasses import dataclass
from typing import Final

from audit.entry import Act, Outcome
from audit.reports.asked import Asked
from audit.reports.lines import told
from audit.reports.table import Body, Cell, Column, Kind, Table
from policies.bundle import Bundle, parse_bundle
from policies.difference import differences
from policies.errors import InvalidBundle
from policies.replay import Replay, Verdict
from vault.governance import replays, versions
from vault.governance.versions import State, Version
from vault.reports.view import View

COLUMNS: Final = (
    Column("version", Kind.NUMBER),
    Column("hash"),
    Column("name"),
    Column("state"),
    Column("proposed", Kind.TIME),
    Column("author"),
    Column("approver"),
    Column("changed", Kind.TIME),
    Column("follows", Kind.NUMBER),
    Column("differences"),
    Column("decisions_turned", Kind.COUNT),
    Column("decisions_perhaps_turned", Kind.COUNT),
    Column("differences_fr"),  # last, so that who reads the others by their place still does
)
REPLAYED_DAYS: Final = 30
MOST_REPLAYED: Final = 8  # versions, the newest; older ones are listed without a replay
_FIRST: Final = ("the first", "la première version")
_UNREADABLE: Final = ("the stored bundle does not stand", "ce qui en est conservé ne peut pas être lu")
_NOTHING_BEFORE: Final = ("the version before does not stand", "la version précédente ne peut pas être lue")
_NO_DIFFERENCE: Final = ("none", "aucune")
_SPACES: Final = re.compile(r"[^\S\u00a0\u202f]+")  # French sets spaces that do not break
_DAY: Final = 86_400
_STOOD: Final = frozenset({State.ACTIVE, State.RETIRED})
_ACTS: Final = frozenset(
    {Act.POLICY_PROPOSED, Act.POLICY_SIGNED, Act.POLICY_REFUSED, Act.POLICY_ACTIVATED, Act.POLICY_CHANGED}
)


@dataclass(slots=True)
class _Compared:
    """One version, what it followed, what differs in English and in French, and the machine that replays through both."""

    version: Version
    follows: int
    words: tuple[str, str]
    machine: Replay | None
    turned: int = 0
    perhaps: int = 0


def policy_changes(view: View) -> Body:
    """List the versions proposed in the period or moved in it, oldest first."""
    asked = view.asked
    every = versions.listed(view.conn)
    wanted = [
        each for each in every if any(asked.since <= at < asked.until for at in (each.proposed_at, each.changed_at))
    ]
    compared = [_compare(view, each, every, replayed=each in wanted[-MOST_REPLAYED:]) for each in wanted]
    _replay(view, compared)
    table = Table(COLUMNS, asked.most)
    for each in compared:
        version, signers = each.version, each.version.signers
        table.add(
            version.number,
            version.hash.hex()[:16],
            version.name,
            version.state.value,
            told(version.proposed_at),
            signers.get("author", ""),
            signers.get("approver", ""),
            told(version.changed_at),
            each.follows,
            each.words[0],
            each.turned,
            each.perhaps,
            each.words[1],
        )
    acts: dict[str, Cell] = {}
    for line in view.concerned(_ACTS):
        name = line.content["act"] + ("" if line.content["out"] == Outcome.ALLOW else ".turned_away")
        acts[name] = int(acts.get(name, 0)) + 1  # type: ignore[arg-type]  # whole numbers only
    notes = (
        (
            f"Decisions are those of the {REPLAYED_DAYS} days before the period's end; refusals by floors are not replayed.",
            (
                f"Les décisions sont celles des {REPLAYED_DAYS} jours précédant la fin de la période\u00a0; les refus des planchers "
                "ne sont pas rejoués."
            ),
        ),
        (
            f"Of more than {MOST_REPLAYED} versions the newest are replayed.",
            f"Au-delà de {MOST_REPLAYED} versions, seules les plus récentes sont rejouées.",
        ),
    )
    return table.body(sorted(acts.items()), notes)


def _compare(view: View, version: Version, every: list[Version], *, replayed: bool) -> _Compared:
    before = [each for each in every if each.number < version.number and each.state in _STOOD]
    new = _bundle(view, version)
    if new is None:
        return _Compared(version, before[-1].number if before else 0, _UNREADABLE, None)
    if not before:
        return _Compared(version, 0, _FIRST, None)
    old = _bundle(view, before[-1])
    if old is None:
        return _Compared(version, before[-1].number, _NOTHING_BEFORE, None)
    english = "; ".join(" ".join(each.text().split()) for each in differences(old, new))
    french = "; ".join(_SPACES.sub(" ", each.text()).strip() for each in differences(old, new, "fr"))
    # A title that changed in French alone is a difference in French alone.
    words = (english or _NO_DIFFERENCE[0], french or _NO_DIFFERENCE[1])
    return _Compared(version, before[-1].number, words, Replay(old, new) if replayed else None)


def _bundle(view: View, version: Version) -> Bundle | None:
    try:
        return parse_bundle(*versions.stored(view.conn, version.number))
    except InvalidBundle:
        return None


def _replay(view: View, compared: list[_Compared]) -> None:
    machines = [(each, each.machine) for each in compared if each.machine is not None]
    if not machines:
        return
    until = view.asked.until
    month = Asked(max(0, until - REPLAYED_DAYS * _DAY), until, view.asked.brand, view.asked.system)
    brands = view.actors.brands
    for line in view.concerned(replays.ACTS, month):
        if not line.content.get("fld"):
            continue
        for record in replays.records(line.content, brands):
            for each, machine in machines:
                verdict = machine.answer(record).verdict
                each.turned += verdict is Verdict.FLIPS
                each.perhaps += verdict is Verdict.MAY_FLIP
