"""The acts: every event that an entry can be about, with its stable code."""

from enum import StrEnum
from typing import Self


class Act(StrEnum):
    """The closed list of events, `object.past_verb`. `code` is stable, for alert rules and exports.

    A code is never given to another event. Letters: S subjects, F fields, C consent, T tokens, A authentication,
    I identities of systems and officers, G budgets, N events told to systems, K the keys and their seal, E erasures,
    H holds, P policies, X break-glass, B bulk import, D requests of data subjects,
    R filters and plans of reports, L log and deployment.
    """

    code: str

    def __new__(cls, value: str, code: str = "") -> Self:
        """Build a member whose value is the event name alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.code = code
        return member

    SUBJECT_REGISTERED = "subject.registered", "S01"
    SUBJECT_SEARCHED = "subject.searched", "S02"
    SUBJECT_LISTED = "subject.listed", "S03"
    SUBJECT_EXPORTED = "subject.exported", "S04"
    SUBJECT_ERASED = "subject.erased", "S05"
    SUBJECT_RESTRICTED = "subject.restricted", "S06"
    REFERENCE_ASSIGNED = "reference.assigned", "S07"
    REFERENCE_READ = "reference.read", "S08"
    REFERENCE_ROTATED = "reference.rotated", "S09"
    REFERENCE_JOINED = "reference.joined", "S10"

    FIELD_WRITTEN = "field.written", "F01"
    FIELD_DISCLOSED = "field.disclosed", "F02"
    FIELD_DENIED = "field.denied", "F03"
    FIELD_DELETED = "field.deleted", "F04"
    FIELD_EVALUATED = "field.evaluated", "F05"

    CONSENT_GIVEN = "consent.given", "C01"
    CONSENT_WITHDRAWN = "consent.withdrawn", "C02"
    CONSENT_OBJECTED = "consent.objected", "C03"
    CONSENT_OBJECTION_LIFTED = "consent.objection_lifted", "C04"
    CONSENT_REQUESTED = "consent.requested", "C05"
    CONSENT_REFUSED = "consent.refused", "C06"
    CONSENT_RENEWED = "consent.renewed", "C07"
    CONSENT_EXPIRED = "consent.expired", "C08"
    CONSENT_INVALIDATED = "consent.invalidated", "C09"
    BASIS_ESTABLISHED = "basis.established", "C10"
    BASIS_ENDED = "basis.ended", "C11"
    GUARDIAN_LINKED = "guardian.linked", "C12"
    GUARDIAN_ENDED = "guardian.ended", "C13"
    GUARDIAN_MATURED = "guardian.matured", "C14"
    GUARDIAN_LISTED = "guardian.listed", "C15"
    CONTACT_NOTED = "contact.noted", "C16"
    CONSENT_EXPORTED = "consent.exported", "C17"
    CONTACT_EVALUATED = "contact.evaluated", "C18"

    TOKEN_ISSUED = "token.issued", "T01"
    TOKEN_REFUSED = "token.refused", "T02"
    TOKEN_REVOKED = "token.revoked", "T03"
    TOKEN_INTROSPECTED = "token.introspected", "T04"
    TOKEN_EXCHANGED = "token.exchanged", "T05"
    ATTESTATION_ISSUED = "attestation.issued", "T06"

    JOIN_PROPOSED = "join.proposed", "S11"
    JOIN_APPROVED = "join.approved", "S12"
    JOIN_WITHDRAWN = "join.withdrawn", "S13"
    JOIN_EXPIRED = "join.expired", "S15"

    SUBJECT_RESTRICTION_LIFTED = "subject.restriction_lifted", "S14"

    AUTH_SUCCEEDED = "auth.succeeded", "A01"
    AUTH_FAILED = "auth.failed", "A02"
    AUTH_ENDED = "auth.ended", "A03"

    SYSTEM_CREATED = "system.created", "I01"
    SYSTEM_DISABLED = "system.disabled", "I02"
    SYSTEM_KEY_ROTATED = "system.key_rotated", "I03"
    SYSTEM_CHANGED = "system.changed", "I04"
    SYSTEM_FROZEN = "system.frozen", "I09"
    EVENT_ACKNOWLEDGED = "event.acknowledged", "N01"

    BUDGET_PROPOSED = "budget.proposed", "G01"
    BUDGET_RAISED = "budget.raised", "G02"
    BUDGET_WITHDRAWN = "budget.withdrawn", "G03"
    BUDGET_LOWERED = "budget.lowered", "G04"
    BUDGET_EXPIRED = "budget.expired", "G05"

    OFFICER_CREATED = "officer.created", "I05"
    OFFICER_ROLE_CHANGED = "officer.role_changed", "I06"
    OFFICER_KEY_REGISTERED = "officer.key_registered", "I10"
    OFFICER_DISABLED = "officer.disabled", "I11"
    OFFICER_INVITED = "officer.invited", "I12"
    OFFICER_CREDENTIAL_ADDED = "officer.credential_added", "I13"
    OFFICER_CREDENTIAL_REMOVED = "officer.credential_removed", "I14"
    OFFICER_CREDENTIAL_CHANGED = "officer.credential_changed", "I15"

    KEYS_SEALED = "keys.sealed", "K01"
    KEYS_UNSEALED = "keys.unsealed", "K02"
    KEYS_SECRET_OFFERED = "keys.secret_offered", "K03"
    KEYS_EPOCH_ENDED = "keys.epoch_ended", "K04"
    KEYS_REKEYED = "keys.rekeyed", "K05"
    KEYS_RESEALED = "keys.resealed", "K06"
    KEYS_GROWN = "keys.grown", "K07"
    KEYS_SIGNER_DRAWN = "keys.signer_drawn", "K20"
    KEYS_RECONCILED = "keys.reconciled", "K21"

    ERASURE_REQUESTED = "erasure.requested", "E01"
    ERASURE_PARTIAL = "erasure.partial", "E02"
    CATEGORY_ERASED = "category.erased", "E03"
    FIELD_ERASED = "field.erased", "E04"
    HOLD_PLACED = "hold.placed", "H01"
    HOLD_RELEASED = "hold.released", "H02"

    REQUEST_RECEIVED = "request.received", "D01"
    REQUEST_ADVANCED = "request.advanced", "D02"
    REQUEST_REFUSED = "request.refused", "D03"
    REQUEST_WITHDRAWN = "request.withdrawn", "D04"
    REQUEST_CLOSED = "request.closed", "D05"
    REQUEST_DENIED = "request.denied", "D06"
    REQUEST_VIEWED = "request.viewed", "D07"
    REQUEST_LISTED = "request.listed", "D08"
    REQUEST_CODE_SENT = "request.code_sent", "D09"
    REQUEST_CODE_CHECKED = "request.code_checked", "D10"
    REQUEST_LETTER_SENT = "request.letter_sent", "D11"

    POLICY_LOADED = "policy.loaded", "P01"
    POLICY_CHANGED = "policy.changed", "P02"
    POLICY_PROPOSED = "policy.proposed", "P03"
    POLICY_SIGNED = "policy.signed", "P04"
    POLICY_ACTIVATED = "policy.activated", "P05"
    POLICY_REFUSED = "policy.refused", "P06"
    CROWD_COUNTED = "crowd.counted", "P07"

    BREAKGLASS_ASKED = "breakglass.asked", "X01"
    BREAKGLASS_APPROVED = "breakglass.approved", "X02"
    BREAKGLASS_REFUSED = "breakglass.refused", "X03"
    BREAKGLASS_DISCLOSED = "breakglass.disclosed", "X04"
    BREAKGLASS_DENIED = "breakglass.denied", "X05"
    BREAKGLASS_REVIEWED = "breakglass.reviewed", "X06"
    BREAKGLASS_SHOWN = "breakglass.shown", "X07"
    BREAKGLASS_EXPIRED = "breakglass.expired", "X08"

    REPORT_SAVED = "report.saved", "R01"
    REPORT_DROPPED = "report.dropped", "R02"
    ALERT_REVIEWED = "alert.reviewed", "R03"

    IMPORT_STARTED = "import.started", "B01"
    IMPORT_COMPLETED = "import.completed", "B02"

    DEPLOYMENT_INITIALISED = "deployment.initialised", "L01"
    LOG_STARTED = "log.started", "L02"
    LOG_HEARTBEAT = "log.heartbeat", "L03"
    LOG_CLOCK = "log.clock", "L04"
    AUDIT_VIEWED = "audit.viewed", "L05"
    AUDIT_EXPORTED = "audit.exported", "L06"
    LOG_SUCCESSION = "log.succession", "L07"
    DEPLOYMENT_BACKED_UP = "deployment.backed_up", "L08"
    DEPLOYMENT_RESTORED = "deployment.restored", "L09"
    ERASURE_CARRIED = "erasure.carried", "L10"
    LOG_QUORUM_LOST = "log.quorum_lost", "L11"
    LOG_QUORUM_REGAINED = "log.quorum_regained", "L12"
    LOG_SCRUBBED = "log.scrubbed", "L13"
    LOG_KEY_ADDED = "log.key_added", "L14"
    LOG_KEY_RETIRED = "log.key_retired", "L15"
    LOG_PRUNED = "log.pruned", "L16"
    DETAIL_FORGOTTEN = "detail.forgotten", "L17"
