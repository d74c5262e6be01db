"""Terms of requests, consents and reports, as people say them. Codes stay what they are in the register and the log."""

from collections.abc import Mapping
from typing import Final

from api.pages.language import N_, Language

RIGHTS: Final[Mapping[str, str]] = {
    "access": N_("Access"),
    "portability": N_("Portability"),
    "rectification": N_("Rectification"),
    "erasure": N_("Erasure"),
    "restriction": N_("Restriction"),
    "objection": N_("Objection"),
    "consent_withdrawal": N_("Withdrawal of consent"),
    "decision_review": N_("Review of an automated decision"),
    "complaint": N_("Complaint"),
}

STAGES: Final[Mapping[str, str]] = {
    "received": N_("received"),
    "acknowledged": N_("acknowledged"),
    "identity_check": N_("identity being checked"),
    "identity_failed": N_("identity not shown"),
    "scoping": N_("being scoped"),
    "collecting": N_("being gathered"),
    "officer_review": N_("in review"),
    "ready": N_("ready"),
    "delivered": N_("delivered"),
    "closed": N_("closed"),
    "on_hold": N_("on hold"),
    "refusal_proposed": N_("refusal proposed"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "duplicate": N_("duplicate"),
    "hold_check": N_("holds being checked"),
    "dry_run": N_("rehearsed"),
    "second_approval": N_("waits for a second officer"),
    "executed": N_("carried out"),
    "recipients_notified": N_("recipients told"),
    "backups_expired": N_("backups expired"),
    "certified": N_("certified"),
}

MOVES: Final[Mapping[str, str]] = {
    "receive": N_("Receive"),
    "acknowledge": N_("Acknowledge"),
    "ask_identity": N_("Ask who it is"),
    "accept_identity": N_("Identity shown"),
    "fail_identity": N_("Identity not shown"),
    "collect": N_("Begin to gather"),
    "review": N_("Hand to review"),
    "prepare": N_("Prepare the package"),
    "carry_out": N_("Carry out"),
    "deliver": N_("Deliver"),
    "close": N_("Close"),
    "halt": N_("Put on hold"),
    "resume": N_("Go on"),
    "extend": N_("Take more time"),
    "propose_refusal": N_("Propose to refuse"),
    "confirm_refusal": N_("Confirm the refusal"),
    "confirm_partial": N_("Confirm in part"),
    "reject_refusal": N_("Turn the refusal down"),
    "withdraw": N_("Withdraw"),
    "check_holds": N_("Check holds"),
    "rehearse": N_("Rehearse"),
    "approve": N_("Approve"),
    "execute": N_("Execute"),
    "note_notified": N_("Recipients told"),
    "note_expired": N_("Backups expired"),
    "certify": N_("Certify"),
}

PHASES: Final[Mapping[str, str]] = {
    "summary": N_("Summary"),
    "identity": N_("Identity"),
    "work": N_("Work"),
    "answer": N_("Answer"),
    "steps": N_("Steps"),
}

CAUSES: Final[Mapping[str, str]] = {"request": N_("on request"), "retention": N_("its time is over")}
ERASED: Final[Mapping[str, str]] = {
    "subject": N_("the person"), "category": N_("a category"), "field": N_("a field"),
}  # fmt: skip

SAID: Final[Mapping[str, str]] = {
    "brand": N_("a brand"),
    "portal": N_("the portal"),
    "officer": N_("an officer"),
    "self": N_("the person"),
    "agent": N_("an agent"),
    "guardian": N_("a guardian"),
    "none": N_("not shown"),
    "purchase": N_("knew of a purchase"),
    "code": N_("returned a code"),
    "signed_in": N_("signed in at the brand"),
    "document": N_("showed a document"),
}

CONSENTS: Final[Mapping[str, str]] = {
    "given": N_("given"),
    "withdrawn": N_("withdrawn"),
    "objected": N_("objected"),
    "requested": N_("asked for"),
    "refused": N_("refused"),
    "expired": N_("expired"),
    "invalidated": N_("invalidated"),
    "renewed": N_("renewed"),
    "established": N_("established"),
    "ended": N_("ended"),
    "objection_lifted": N_("objection lifted"),
}

ANOMALIES: Final[Mapping[str, str]] = {
    "volume": N_("Volume"),
    "new_field": N_("A field never given before"),
    "refusals_then_look": N_("Refused until it worked"),
    "vain_searches": N_("Searches in vain"),
    "failed_authentication": N_("Failed to authenticate"),
    "night": N_("By night"),
    "emergency_not_reviewed": N_("Emergency without a review"),
    "honey": N_("Somebody who does not exist"),
    "undeclared_field": N_("A field its purpose does not open"),
    "look_before_erasure": N_("Looked at just before an erasure"),
    "heartbeat_gap": N_("No sign of life"),
    "keys_unexplained": N_("Keys that the log does not explain"),
}
SEVERITIES: Final[Mapping[str, str]] = {"high": N_("high"), "medium": N_("medium"), "low": N_("low")}
FINDINGS: Final[Mapping[str, str]] = {
    "explained": N_("it was that day’s work"),
    "mistaken": N_("the rule was mistaken"),
    "dealt_with": N_("it was wrong, and dealt with"),
}

RUNNING: Final[Mapping[str, str]] = {
    "queued": N_("waits"), "running": N_("is being made"), "done": N_("made"), "failed": N_("could not be made"),
}  # fmt: skip

VERDICTS: Final[Mapping[str, str]] = {
    "same": N_("come out the same"),
    "flips": N_("come out otherwise"),
    "may_flip": N_("perhaps otherwise"),
    "floor": N_("refused by a floor"),
    "unknown": N_("decided by another version"),
}

CHANGES: Final[Mapping[str, str]] = {
    "added": N_("added"),
    "removed": N_("removed"),
    "changed": N_("changed"),
}

PARTS: Final[Mapping[str, str]] = {
    "rule": N_("rule"),
    "purpose": N_("purpose"),
    "jurisdiction": N_("jurisdiction"),
    "file": N_("file"),
    "category": N_("category"),
    "field": N_("field"),
    "notice": N_("notice"),
}

HELD_FOR: Final[Mapping[str, str]] = {
    "legal_claim": N_("a legal claim"),
    "authority_order": N_("an authority’s order"),
    "dispute": N_("a dispute"),
    "fraud_inquiry": N_("an inquiry into fraud"),
    "product_safety": N_("safety of a product"),
}

GROUNDS: Final[Mapping[str, str]] = {
    "suspected_fraud": N_("Suspected fraud"),
    "insuf_verification": N_("Identity not shown"),
    "no_match": N_("Nobody found"),
    "claim_not_covered": N_("Not covered by the law"),
    "outside_jurisdiction": N_("Another law"),
    "too_many_requests": N_("Too many requests"),
    "other": N_("Another ground"),
    "unfounded": N_("Manifestly unfounded or excessive"),
    "legal_obligation": N_("Legal obligation"),
    "legal_claims": N_("Legal claims"),
    "public_health": N_("Public health"),
    "archives": N_("Archives and research"),
    "expression": N_("Freedom of expression"),
    "rights_of_others": N_("Rights of others"),
    "compelling_grounds": N_("Compelling grounds"),
}

ENDS: Final[Mapping[str, str]] = {
    "granted": N_("granted"),
    "partially_granted": N_("granted in part"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "duplicate": N_("duplicate"),
    "unverified": N_("identity not shown"),
}

# What the form before a page did, as the page says it.
DONE: Final[Mapping[str, str]] = {
    "approve": N_("Approved."),
    "refuse": N_("Refused."),
    "activate": N_("It is in force. Every server takes it up within a second or two."),
    "withdraw": N_("Withdrawn."),
    "justified": N_("Reviewed: it was justified."),
    "unjustified": N_("Reviewed: it was not justified."),
    "proposed": N_("Proposed. It waits for another officer."),
    "asked": N_("Asked. It waits for another officer, for a day."),
    "discarded": N_("Discarded."),
    "kept": N_("The filter is kept."),
    "forgotten": N_("The filter is kept no longer."),
    "decided": N_("Your decision is on record."),
    "noted": N_("The note is kept."),
    "stepped": N_("Done. The step is on record."),
}

SCOPES: Final[Mapping[str, str]] = {
    "system": N_("The system"), "staff": N_("Each member of staff"), "purpose": N_("Each purpose"),
}  # fmt: skip
QUOTAS: Final[Mapping[str, str]] = {
    "people/second": N_("%(quota)s people a second"),
    "people/minute": N_("%(quota)s people a minute"),
    "people/hour": N_("%(quota)s people an hour"),
    "people/day": N_("%(quota)s people a day"),
    "weight/second": N_("a weight of %(quota)s a second"),
    "weight/minute": N_("a weight of %(quota)s a minute"),
    "weight/hour": N_("a weight of %(quota)s an hour"),
    "weight/day": N_("a weight of %(quota)s a day"),
}


def limit(language: Language, spelt: str) -> str:
    """Say a limit of a budget, spelt as `vault.budgetlimits` has it, in a language."""
    scope, measure, rest = spelt.split(":")
    quota, _, window = rest.partition("/")
    kind, _, purpose = scope.partition("=")
    words = language.say(QUOTAS[f"{measure}/{window}"]) % {"quota": language.number(int(quota))}
    return f"{purpose or language.say(SCOPES[kind])}{language.say(N_(': '))}{words}"
