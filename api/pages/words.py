"""Words for what the vault calls by codes: roles, states, failures, and the acts of the log, each in plain language."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from api.pages import terms
from api.pages.language import N_, Language
from audit.reports.lines import second
from audit.reports.table import few

ROLES: Final[Mapping[str, str]] = {
    "compliance": N_("compliance"), "auditor": N_("auditor"), "operator": N_("operator"), "approver": N_("approver"),
}  # fmt: skip

LEVELS: Final[Mapping[str, str]] = {
    "presence": N_("presence"), "predicate": N_("yes or no"), "generalised": N_("generalised"), "masked": N_("masked"),
    "raw": N_("in full"),
}  # fmt: skip

METHODS: Final[Mapping[str, str]] = {"passkey": N_("a passkey"), "code": N_("password and code")}

NEWS: Final[Mapping[str, str]] = {
    "tried": N_("A try in your name failed"),
    "half_proven": N_("Your password was right, and the code was not"),
    "passkey_added": N_("A passkey was added"),
    "passkey_removed": N_("A passkey was removed"),
    "password_changed": N_("Your password was changed"),
    "code_set_up": N_("Password and code were set up"),
    "invited": N_("An operator made a set-up code for you"),
    "key_registered": N_("An operator gave you another key to sign with"),
}

FAILURES: Final[Mapping[str, tuple[str, str]]] = {
    "not_found": (N_("Nothing here"), N_("There is no such page, or nothing under this name.")),
    "forbidden": (N_("Not for your role"), N_("Your role does not open this page. The attempt is in the log.")),
    "session_over": (N_("Your session is over"), N_("It was ended, went unused for too long, or came to its limit. Nothing was done.")),
    "foreign_form": (N_("Not from our pages"), N_("This form did not come from a page of the console at its own address. Nothing was done.")),
    "stale_form": (N_("From an earlier session"), N_("The page was opened before you last signed in. Open it anew; nothing was done.")),
    "sealed": (N_("The vault is sealed"), N_("Nothing that needs its keys can be done or seen until an operator unseals it.")),
    "key_holder_unavailable": (N_("The keys do not answer"), N_("The key holder does not answer. Nothing was done.")),
    "too_many_requests": (N_("Too many tries"), N_("From here it was tried too often. Wait five minutes.")),
    "conflict": (N_("Somebody was quicker"), N_("It has changed since the page was shown. Look again; nothing was done.")),
    "not_signed": (N_("Not signed"), N_("The signature is not of your key over this text, or this is not yours to sign. Nothing was done.")),
    "case_closed": (N_("The case has moved on"), N_("The case is no longer in the state that this needs. Nothing was done.")),
    "case_running": (N_("The case runs still"), N_("It is reviewed when its minutes are over. Nothing was done.")),
    "letter_waiting": (N_("The letter has not gone"), N_("The letter with the number of the certificate has not gone, and an address is on file. Wait, or say that the number is told in another way. Nothing was done.")),
    "not_allowed": (N_("Not yours to do"), N_("Your role does not cover this, or it takes somebody else than who proposed it.")),
    "illegal_move": (N_("The request has moved on"), N_("The request is no longer in the state that this needs. Nothing was done.")),
    "link_refused": (N_("This link opens nothing"), N_("It was used, is older than a week, was replaced by a newer one, or is not complete. Ask the maison for another.")),
    "bad_key": (N_("Not a key to seal to"), N_("It takes a public key as JSON (JWK): P-256, P-384, P-521, X25519, or RSA of 2048 bits or more. Nothing was given out.")),
    "unconfirmed": (N_("Not confirmed"), N_("What cannot be undone takes the tick that you have read what it destroys. Nothing was done.")),
    "body_too_large": (N_("Too large"), N_("What was sent is larger than this page takes. Nothing was kept.")),
    "unknown_officer": (N_("No key of yours"), N_("No key of yours is registered, or you may not sign. Nothing was done.")),
    "unknown_version": (N_("The version has moved on"), N_("The version is no longer in the state that this needs. Nothing was done.")),
    "unknown_proposal": (N_("The proposal has moved on"), N_("The proposal is no longer in the state that this needs. Nothing was done.")),
    "method_not_allowed": (N_("Nothing here"), N_("There is no such page, or nothing under this name.")),
}  # fmt: skip
FAILURE: Final = (N_("That did not work"), N_("The request could not be carried out. Nothing was done."))

OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "allow": (N_("allowed"), "good"), "deny": (N_("refused"), "warn"), "error": (N_("failed"), "bad"),
}  # fmt: skip

STATES: Final[Mapping[str, tuple[str, str]]] = {
    "active": (N_("active"), "good"),
    "disabled": (N_("disabled"), "bad"),
    "draft": (N_("draft"), "warn"),
    "approved": (N_("approved"), "good"),
    "retired": (N_("retired"), "plain"),
    "refused": (N_("refused"), "bad"),
    "asked": (N_("waits for approval"), "warn"),
    "over": (N_("waits for review"), "warn"),
    "reviewed": (N_("reviewed"), "plain"),
    "proposed": (N_("proposed"), "warn"),
    "withdrawn": (N_("withdrawn"), "plain"),
    "expired": (N_("expired"), "plain"),
    "justified": (N_("justified"), "good"),
    "unjustified": (N_("not justified"), "bad"),
    "requested": (N_("requested"), "warn"),
    "waiting": (N_("waiting"), "warn"),
    "held": (N_("held"), "warn"),
    "partial": (N_("partly kept"), "warn"),
    "erased": (N_("erased"), "good"),
    "done": (N_("done"), "good"),
}  # fmt: skip

ACTS: Final[Mapping[str, str]] = {
    "subject.registered": N_("Person registered"),
    "subject.searched": N_("Person searched for"),
    "subject.listed": N_("People listed"),
    "subject.exported": N_("Person’s data exported"),
    "subject.erased": N_("Person erased"),
    "subject.restricted": N_("Processing restricted"),
    "subject.restriction_lifted": N_("Restriction lifted"),
    "reference.assigned": N_("Reference assigned"),
    "reference.read": N_("Reference read"),
    "reference.rotated": N_("Reference replaced"),
    "reference.joined": N_("Two brands’ people joined"),
    "field.written": N_("Fields written"),
    "field.disclosed": N_("Fields given out"),
    "field.denied": N_("Fields refused"),
    "field.deleted": N_("Fields deleted"),
    "field.evaluated": N_("Disclosure evaluated"),
    "consent.given": N_("Consent given"),
    "consent.withdrawn": N_("Consent withdrawn"),
    "consent.objected": N_("Objection raised"),
    "consent.objection_lifted": N_("Objection lifted"),
    "consent.requested": N_("Consent asked for"),
    "consent.refused": N_("Consent refused"),
    "consent.renewed": N_("Consent renewed"),
    "consent.expired": N_("Consent expired"),
    "consent.invalidated": N_("Consent invalidated"),
    "consent.exported": N_("Consent record exported"),
    "basis.established": N_("Legal basis established"),
    "basis.ended": N_("Legal basis ended"),
    "guardian.linked": N_("Guardian linked"),
    "guardian.ended": N_("Guardianship ended"),
    "guardian.matured": N_("Child came of age"),
    "guardian.listed": N_("Guardianships listed"),
    "contact.noted": N_("Contact noted"),
    "contact.evaluated": N_("Contact evaluated"),
    "token.issued": N_("Token issued"),
    "token.refused": N_("Token refused"),
    "token.revoked": N_("Token revoked"),
    "token.introspected": N_("Token looked up"),
    "token.exchanged": N_("Token exchanged"),
    "attestation.issued": N_("Attestation issued"),
    "join.proposed": N_("Join proposed"),
    "join.approved": N_("Join approved"),
    "join.withdrawn": N_("Join withdrawn"),
    "join.expired": N_("Join ran out"),
    "auth.succeeded": N_("Signed in"),
    "auth.failed": N_("Turned away"),
    "auth.ended": N_("Signed out"),
    "system.created": N_("System registered"),
    "system.disabled": N_("System disabled"),
    "system.key_rotated": N_("System’s key rotated"),
    "system.changed": N_("System changed"),
    "system.frozen": N_("System frozen"),
    "event.acknowledged": N_("Event acknowledged"),
    "budget.proposed": N_("Higher budget proposed"),
    "budget.raised": N_("Budget raised"),
    "budget.withdrawn": N_("Higher budget withdrawn"),
    "budget.lowered": N_("Budget lowered"),
    "budget.expired": N_("Higher budget ran out unapproved"),
    "officer.created": N_("Officer added"),
    "officer.role_changed": N_("Officer’s role changed"),
    "officer.key_registered": N_("Officer’s key registered"),
    "officer.disabled": N_("Officer disabled"),
    "officer.invited": N_("Officer given a set-up code"),
    "officer.credential_added": N_("Officer’s way in added"),
    "officer.credential_removed": N_("Officer’s way in removed"),
    "officer.credential_changed": N_("Officer’s way in changed"),
    "keys.sealed": N_("Vault sealed"),
    "keys.unsealed": N_("Vault unsealed"),
    "keys.secret_offered": N_("Share for unsealing given"),
    "keys.epoch_ended": N_("Key epoch ended"),
    "keys.rekeyed": N_("Keys replaced"),
    "keys.resealed": N_("Values sealed anew"),
    "keys.grown": N_("Keystore grown"),
    "keys.signer_drawn": N_("Signing key drawn"),
    "keys.reconciled": N_("Key holder’s count compared"),
    "erasure.requested": N_("Erasure requested"),
    "erasure.partial": N_("Erasure in part"),
    "category.erased": N_("Category erased"),
    "field.erased": N_("Field erased"),
    "hold.placed": N_("Hold placed"),
    "hold.released": N_("Hold released"),
    "policy.loaded": N_("Policy loaded"),
    "policy.changed": N_("Policy changed"),
    "policy.proposed": N_("Policy proposed"),
    "policy.signed": N_("Policy signed"),
    "policy.activated": N_("Policy put in force"),
    "policy.refused": N_("Policy refused"),
    "crowd.counted": N_("Groups counted"),
    "breakglass.asked": N_("Emergency access asked for"),
    "breakglass.approved": N_("Emergency access approved"),
    "breakglass.refused": N_("Emergency access refused"),
    "breakglass.disclosed": N_("Emergency access used"),
    "breakglass.denied": N_("Emergency access denied"),
    "breakglass.reviewed": N_("Emergency access reviewed"),
    "breakglass.shown": N_("Reason of an emergency read"),
    "breakglass.expired": N_("Emergency access ran out undecided"),
    "request.received": N_("Request received"),
    "request.advanced": N_("Request taken further"),
    "request.refused": N_("Request refused"),
    "request.withdrawn": N_("Request withdrawn"),
    "request.closed": N_("Request closed"),
    "request.denied": N_("Act on a request turned away"),
    "request.viewed": N_("Request looked at"),
    "request.listed": N_("Requests listed"),
    "request.code_sent": N_("One-time code sent"),
    "request.code_checked": N_("One-time code checked"),
    "request.letter_sent": N_("Letter on a request sent"),
    "import.started": N_("Import started"),
    "import.completed": N_("Import completed"),
    "deployment.initialised": N_("Deployment initialised"),
    "log.started": N_("Server started"),
    "log.heartbeat": N_("Heartbeat"),
    "log.clock": N_("Clock noted"),
    "log.scrubbed": N_("Log checked against its bytes"),
    "log.quorum_lost": N_("Witnesses lost"),
    "log.quorum_regained": N_("Witnesses back"),
    "audit.viewed": N_("Audit log looked at"),
    "audit.exported": N_("Audit log exported"),
    "report.saved": N_("Report filter saved"),
    "report.dropped": N_("Report filter deleted"),
    "alert.reviewed": N_("Alert decided on"),
    "log.succession": N_("Log carried on from another"),
    "log.key_added": N_("Key of the log added"),
    "log.key_retired": N_("Key of the log ended"),
    "log.pruned": N_("Old entries of the log pruned"),
    "detail.forgotten": N_("Details of entries deleted"),
    "deployment.backed_up": N_("Backup taken"),
    "deployment.restored": N_("Backup restored"),
    "erasure.carried": N_("Erasure carried over"),
}  # fmt: skip


_CONSENT_TONES: Final[Mapping[str, str]] = {"given": "good", "renewed": "good", "withdrawn": "warn", "objected": "warn"}


def filters(language: Language) -> dict[str, Callable[[Any], Any]]:
    """Return the filters by which templates speak of codes. A code without a word is shown as it is."""

    def word(words: Mapping[str, str]) -> Callable[[Any], str]:
        return lambda code: language.say(words.get(str(code), str(code).replace("_", " ")))

    def counted(count: object) -> str:
        return language.number(count) if isinstance(count, int) else str(count)

    def cell(value: object) -> str:
        if isinstance(value, bool):
            return language.say(N_("yes") if value else N_("no"))
        if isinstance(value, int):
            return language.number(value)
        return ", ".join(value) if isinstance(value, tuple) else str(value)

    return {
        "role": word(ROLES),
        "method": word(METHODS),
        "news": word(NEWS),
        "level": word(LEVELS),
        "act": word(ACTS),
        "outcome": word({code: text for code, (text, _) in OUTCOMES.items()}),
        "outcome_tone": lambda code: OUTCOMES.get(str(code), ("", "plain"))[1],
        "state": word({code: text for code, (text, _) in STATES.items()}),
        "state_tone": lambda code: STATES.get(str(code), ("", "plain"))[1],
        "failure_title": lambda code: language.say(FAILURES.get(str(code), FAILURE)[0]),
        "failure_text": lambda code: language.say(FAILURES.get(str(code), FAILURE)[1]),
        "right": word(terms.RIGHTS),
        "stage": word(terms.STAGES),
        "move": word(terms.MOVES),
        "phase": word(terms.PHASES),
        "ground": word(terms.GROUNDS),
        "cause": word(terms.CAUSES),
        "scope": word(terms.ERASED),
        "word": word(terms.SAID),
        "consent": word(terms.CONSENTS),
        "consent_tone": lambda code: _CONSENT_TONES.get(str(code), "plain"),
        "change": word(terms.CHANGES),
        "anomaly": word(terms.ANOMALIES),
        "severity": word(terms.SEVERITIES),
        "finding": word(terms.FINDINGS),
        "verdict": word(terms.VERDICTS),
        "running": word(terms.RUNNING),
        "answered": word({**LEVELS, "refused": OUTCOMES["deny"][0]}),
        "column": word(terms.COLUMNS),
        "done": lambda code: language.say(terms.DONE[code]) if code in terms.DONE else "",
        "limit": lambda spelt: terms.limit(language, spelt),
        "titled": lambda titles: titles.get(language.tag) or titles.get("en") or next(iter(titles.values()), ""),
        "few": lambda count: counted(few(count)),
        "counted": counted,
        "cell": cell,
        "clock": lambda at: language.moment(second(at)),
        "iso": lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
