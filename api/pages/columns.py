"""Words for what reports call by names: filters, columns, totals, and the codes that stand in their cells."""

import re
from collections.abc import Mapping
from typing import Final

from api.packages.words import BASES, SAFEGUARDS
from api.pages import terms
from api.pages.language import N_, Language
from api.pages.words import ACTS, LEVELS, OUTCOMES, STATES
from audit.reports.lines import second
from audit.reports.table import Cell

FILTER: Final[Mapping[str, str]] = {
    "since": N_("From"),
    "until": N_("Until"),
    "brand": N_("Brand"),
    "system": N_("System"),
    "purpose": N_("Purpose"),
    "reference": N_("Reference"),
    "staff": N_("Member of staff"),
    "token": N_("Hash of the token"),
    "upto": N_("Entries of the log, at most"),
}

COLUMNS: Final[Mapping[str, str]] = {
    "act": N_("Act"),
    "actor": N_("Who"),
    "approver": N_("Approver"),
    "assessed": N_("Assessed"),
    "assessment": N_("Assessment"),
    "author": N_("Author"),
    "bases": N_("Grounds"),
    "basis": N_("Ground"),
    "brand": N_("Brand"),
    "categories": N_("Categories"),
    "category": N_("Category"),
    "ceiling": N_("Ceiling"),
    "changed": N_("Changed"),
    "channel": N_("Channel"),
    "collector": N_("Collected by"),
    "contact": N_("Contact"),
    "controller": N_("Controller"),
    "country": N_("Country"),
    "counts_from": N_("Counts from"),
    "decisions_perhaps_turned": N_("Decisions perhaps turned"),
    "decisions_turned": N_("Decisions turned"),
    "declared_not_used": N_("Declared, not used"),
    "differences": N_("Differences"),
    "disclosures": N_("Disclosures"),
    "due_now": N_("Due now"),
    "due_until_end": N_("Due until the end"),
    "entry": N_("Entry"),
    "event": N_("Event"),
    "events": N_("Events"),
    "evidence_hash": N_("Hash of the evidence"),
    "field": N_("Field"),
    "fields": N_("Fields"),
    "first": N_("First"),
    "follows": N_("Follows"),
    "free_to_go": N_("Free to go"),
    "hash": N_("Hash"),
    "held": N_("Held"),
    "highest_used": N_("Highest used"),
    "index": N_("Number"),
    "jurisdiction": N_("Law"),
    "kept_by_law": N_("Kept by law"),
    "last": N_("Last"),
    "last_use": N_("Last use"),
    "last_used": N_("Last used"),
    "law": N_("Law"),
    "level": N_("Level"),
    "method": N_("Method"),
    "minors": N_("Minors"),
    "name": N_("Name"),
    "notice": N_("Notice"),
    "notice_as_shown": N_("Notice as shown"),
    "notice_hash": N_("Hash of the notice"),
    "oldest_due": N_("Oldest due"),
    "outcome": N_("Outcome"),
    "people": N_("People"),
    "people_special": N_("People, special categories"),
    "place": N_("Place"),
    "proposal": N_("Proposal"),
    "proposed": N_("Proposed"),
    "purpose": N_("Purpose"),
    "purpose_version": N_("Version of the purpose"),
    "recipient": N_("Recipient"),
    "recipients": N_("Recipients"),
    "recorded": N_("Recorded"),
    "refusals": N_("Refusals"),
    "retention": N_("Retention"),
    "role": N_("Role"),
    "rule": N_("Rule"),
    "rules": N_("Rules"),
    "safeguard": N_("Safeguard"),
    "seen": N_("Seen"),
    "sensitivity": N_("Sensitivity"),
    "severity": N_("Severity"),
    "source": N_("Source"),
    "special": N_("Special"),
    "special_categories": N_("Special categories"),
    "staff": N_("Staff"),
    "state": N_("State"),
    "subject": N_("Person"),
    "system": N_("System"),
    "systems": N_("Systems"),
    "through": N_("Through"),
    "time": N_("When"),
    "title": N_("Title"),
    "transfers": N_("Transfers"),
    "used_not_declared": N_("Used, not declared"),
    "uses": N_("Uses"),
    "usual": N_("Usual"),
    "valid_until": N_("Valid until"),
    "version": N_("Version"),
    "way": N_("Way"),
    "when": N_("When"),
    "why": N_("Why"),
    "about": N_("About"),
    "without_ground": N_("Without ground"),
    "activities": N_("Activities"),
    "activities_used_and_not_declared": N_("Activities used and not declared"),
    "grants": N_("Grants"),
    "dormant_or_low": N_("Dormant or low"),
    "flows_without_ground": N_("Flows without ground"),
    "records_given_out": N_("Records given out"),
    "records_with_raw_values": N_("Records in full"),
    "tokens_alive": N_("Tokens alive"),
    "tokens_dead": N_("Tokens dead"),
    "refused": N_("refused"),
    "restricted": N_("Restricted"),
    "searches": N_("Searches"),
    "allow": N_("allowed"),
    "deny": N_("refused"),
    "error": N_("failed"),
    "closed": N_("Closed"),
    "days_left": N_("Days left"),
    "days_taken": N_("Days taken"),
    "due": N_("Due"),
    "extended": N_("Extended"),
    "generalised": LEVELS["generalised"],
    "given_out_generalised": N_("Given out generalised"),
    "given_out_masked": N_("Given out masked"),
    "given_out_predicate": N_("Given out as yes or no"),
    "given_out_presence": N_("Given out as presence"),
    "given_out_raw": N_("Given out in full"),
    "ground": N_("Reason"),
    "id": N_("Request"),
    "masked": LEVELS["masked"],
    "overdue": N_("Overdue"),
    "owner": N_("In whose hands"),
    "people_generalised": N_("People, generalised"),
    "people_masked": N_("People, masked"),
    "people_predicate": N_("People, yes or no"),
    "people_presence": N_("People, presence"),
    "people_raw": N_("People, in full"),
    "predicate": LEVELS["predicate"],
    "presence": LEVELS["presence"],
    "raw": LEVELS["raw"],
    "received": N_("Received"),
    "right": N_("Right"),
    # Totals, beside those that are named as a column is.
    "first_use": N_("First use"),
    "fullest_hour": N_("Fullest hour"),
    "fullest_hour_looks": N_("Looks in the fullest hour"),
    "fullest_hour_usually": N_("Looks in the fullest hour, usually"),
    "high_highlights": N_("Highlights, high"),
    "hours_left": N_("Hours left"),
    "known_since": N_("Known since"),
    "low_highlights": N_("Highlights, low"),
    "median_days": N_("Days taken, median"),
    "medium_highlights": N_("Highlights, medium"),
    "notify_by": N_("Notify by"),
    "open": N_("Open"),
    "outcome_duplicate": N_("Ended as duplicates"),
    "outcome_granted": N_("Ended granted"),
    "outcome_open": N_("Not ended yet"),
    "outcome_partially_granted": N_("Ended granted in part"),
    "outcome_refused": N_("Ended refused"),
    "outcome_unverified": N_("Ended without an identity"),
    "outcome_withdrawn": N_("Ended withdrawn"),
    "p90_days": N_("Days taken, nine in ten"),
    "people_not_found_any_more": N_("Records of people not found any more"),
    "policy_version": N_("Version of the policy"),
}

_COLUMNS_OF: Final[Mapping[tuple[str, str], str]] = {("blast_radius", "system"): N_("State of the system")}

# What stands in a column, by its name; what a report says in a column of its own way, by report and name.
_CODES: Final[Mapping[str, Mapping[str, str]]] = {
    "act": ACTS,
    "ceiling": LEVELS,
    "country": {"unknown": N_("not known")},
    "counts_from": {"last write": N_("last written")},
    "differences": {
        "none": N_("none"),
        "the first": N_("the first version"),
        "the stored bundle does not stand": N_("what is stored of it cannot be read"),
        "the version before does not stand": N_("the version before cannot be read"),
    },
    "highest_used": LEVELS,
    "level": LEVELS,
    "outcome": {**{code: text for code, (text, _) in OUTCOMES.items()}, **terms.ENDS},
    "role": {"controller": N_("controller"), "processor": N_("processor"), "third_party": N_("third party")},
    "sensitivity": {**terms.SEVERITIES, "special": N_("special category")},
    "severity": {**terms.SEVERITIES, "none": N_("none")},
    "way": {"own systems": N_("own systems"), "named recipient": N_("named recipient")},
}
_CODES_OF: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("anomalies", "rule"): terms.ANOMALIES,
    ("blast_radius", "system"): {code: text for code, (text, _) in STATES.items()},
    ("consents", "state"): terms.CONSENTS,
    ("dormant", "proposal"): {
        "close": N_("close"),
        "drop the purpose": N_("drop the purpose"),
        "drop: no such purpose is in force": N_("drop: no such purpose is in force"),
    },
    ("policy_changes", "state"): {code: text for code, (text, _) in STATES.items()},
    ("refusals", "rule"): {"none named": N_("none named")},
    ("requests", "ground"): terms.GROUNDS,
    ("requests", "right"): terms.RIGHTS,
    ("requests", "source"): terms.SAID,
    ("requests", "state"): terms.STAGES,
}
_BOTH: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {"basis": BASES, "safeguard": SAFEGUARDS}
_UNTOLD: Final[Mapping[str, str]] = {"not counted": N_("not counted"), "too few": N_("too few")}
IN_ENGLISH: Final = frozenset({"differences"})
"""Columns of sentences that documents from before have in English only."""

_TURNED_AWAY: Final = ".turned_away"
_LAST: Final = "last_"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LOWER: Final = "lower to "
_AT_MOST: Final = "at most "
_DAYS: Final = re.compile(r"(?P<rule>[0-9]+) days|(?P<law>.+) \((?P<days>[0-9]+) days\)")


def column(language: Language, name: str, report: str = "") -> str:
    """Name a column or a total, of a report. A name without words of ours is shown as it is."""
    if (report, name) in _COLUMNS_OF:
        return language.say(_COLUMNS_OF[report, name])
    if name in COLUMNS:
        return language.say(COLUMNS[name])
    if (act := name.removesuffix(_TURNED_AWAY)) != name and act in ACTS:
        return language.say(N_("%(act)s: turned away")) % {"act": language.say(ACTS[act])}
    if (act := name.removeprefix(_LAST)) != name and act in ACTS:
        return language.say(N_("%(act)s: last time")) % {"act": language.say(ACTS[act])}
    return language.say(ACTS.get(name, name.replace("_", " ")))


def asked(language: Language, name: str, value: str) -> tuple[str, str]:
    """Say a word of the filter and what it is set to."""
    return language.say(FILTER.get(name, name)), moment(language, value)


def moment(language: Language, value: str) -> str:
    """Write a time that is spelt as in the log; what is none is written as it is."""
    return language.moment(second(value)) if _TIME.fullmatch(value) else value


def cell(language: Language, report: str, name: str, value: Cell) -> str:
    """Say what stands in a column of a report, or is one of its totals. What is no code of ours is shown as it is."""
    if isinstance(value, bool):
        return language.say(N_("yes") if value else N_("no"))
    if isinstance(value, int):
        # A highlight that no single entry shows has no number of one.
        return "–" if name == "entry" and value < 0 else language.number(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    if name in _BOTH and value in _BOTH[name]:
        return _BOTH[name][value][language.tag]
    codes = _CODES_OF.get((report, name)) or _CODES.get(name, _UNTOLD)
    return language.say(codes[value]) if value in codes else _phrase(language, report, value)


def _phrase(language: Language, report: str, value: str) -> str:
    """Say what a report makes up of a word and of something that is told with it."""
    if report == "dormant" and value.startswith(_LOWER):
        level = value.removeprefix(_LOWER)
        return language.say(N_("lower to: %(level)s")) % {"level": language.say(LEVELS.get(level, level))}
    if report == "blast_radius" and value.startswith(_AT_MOST):
        return language.say(N_("at most %(count)s")) % {"count": value.removeprefix(_AT_MOST)}
    if report == "retention" and (match := _DAYS.fullmatch(value)):
        count = int(match["rule"] or match["days"])
        days = language.say_many(N_("%(num)s day"), N_("%(num)s days"), count) % {"num": language.number(count)}
        return days if match["law"] is None else f"{match['law']} ({days})"
    return moment(language, value)
