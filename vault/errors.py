"""Errors of the data plane. Each has a stable `code`; none ever carries a value, a key or a foreign exception.

A foreign exception that must not cross the package border is translated and raised `from None`, so that no
traceback chain prints a driver's text.
"""

from typing import ClassVar


class VaultError(Exception):
    """Root of every error that leaves the vault package."""

    code: ClassVar[str] = "vault_error"
    retryable: ClassVar[bool] = False


class Sealed(VaultError):
    """The root key is not open: nothing can be read or written until an operator unseals."""

    code = "sealed"
    retryable = True


class IntegrityFailure(VaultError):
    """A stored part does not belong where it was found. One error for every cause, so that it is no oracle."""

    code = "integrity_failure"


class Damaged(IntegrityFailure):
    """Part of the keystore itself is missing or altered: it must be restored from a copy before anything is erased."""

    code = "keystore_damaged"


class KeyUnavailable(VaultError):
    """The key service does not hold, or no longer gives, the key for a slot."""

    code = "key_unavailable"


class LeavesExhausted(KeyUnavailable):
    """The keystore has no leaf key left to give out: it must grow before anything new can be sealed."""

    code = "leaves_exhausted"


class WrongDeployment(VaultError):
    """Database, keystore and root key do not belong together."""

    code = "wrong_deployment"


class UnsafeFile(VaultError):
    """A file that holds secrets is open to others, is not an ordinary file, or belongs to another account."""

    code = "unsafe_file"


class StoreUnavailable(VaultError):
    """The database did not complete the unit of work: nothing was stored and nothing disclosed."""

    code = "store_unavailable"
    retryable = True


class StoreFull(StoreUnavailable):
    """No room, or no right, to write."""

    code = "store_full"


class KeyHolderUnavailable(StoreUnavailable):
    """The key holder process did not answer, or not in time: nothing was stored on it and nothing disclosed."""

    code = "key_holder_unavailable"


class TooFewCopies(VaultError):
    """Fewer than two copies of the keystore were read back: the old root is not destroyed."""

    code = "too_few_copies"
    retryable = True


class RootSurvives(VaultError):
    """A root opens what it must not open, or still opens after its destruction: nothing may be called erased."""

    code = "root_survives"


class Overloaded(VaultError):
    """Too much is waiting already; nothing was begun."""

    code = "overloaded"
    retryable = True


class BudgetExhausted(VaultError):
    """A budget has no room for this look. Says which limit and when its window ends; never whose look it was.

    `limit` names measure and window (`people-hour`), `quota` and `window` (seconds) say how much it allows, `reset` is
    the number of seconds after which that window is over.
    """

    code = "budget_exhausted"
    retryable = True

    def __init__(self, limit: str, quota: int, window: int, reset: int) -> None:
        super().__init__(limit, quota, window, reset)
        self.limit = limit
        self.quota = quota
        self.window = window
        self.reset = reset


class TimestampRefused(VaultError):
    """No time stamp came of asking the authority: away, refused, or an answer that does not verify."""

    code = "timestamp_refused"


class UnsafeSetting(VaultError):
    """A setting on which durability or erasure rests does not hold: refused at start. Names the setting."""

    code = "unsafe_setting"


class SchemaMismatch(VaultError):
    """The database is not at the migration this release expects."""

    code = "schema_mismatch"


class InvalidBackup(VaultError):
    """A backup is unfinished, altered, of another deployment or engine, or newer than what it is to be joined with."""

    code = "invalid_backup"


class LogRefused(VaultError):
    """A log outside cannot be what a restore goes by: not signed here, another, a fork, too short, or not whole."""

    code = "log_refused"


class RestoreUnfinished(VaultError):
    """A backup was brought back and not everything was done that must be before anybody is served from it."""

    code = "restore_unfinished"


class Conflict(VaultError):
    """A uniqueness or concurrent-update conflict, named by constraint and never by value."""

    code = "conflict"
    retryable = True


class KeyRetired(Conflict):
    """Keys that this unit of work had read of were retired since, by an erasure: run again, it finds nobody there."""

    code = "key_unavailable"
    retryable = False


class SessionOver(VaultError):
    """A console session that was to be carried on is over: expired, ended, or carried on by another request."""

    code = "session_over"


class UnknownCredential(VaultError):
    """No passkey or set-up code of an officer's is this one."""

    code = "unknown_credential"


class NothingToErase(VaultError):
    """The subject has nothing in this category or field, or it is being erased already."""

    code = "nothing_to_erase"


class UnknownHold(VaultError):
    """No hold of this id stands: never placed, released already, or gone with its subject."""

    code = "unknown_hold"


class UnknownRestriction(VaultError):
    """No such restriction stands that this caller may lift."""

    code = "unknown_restriction"


class UnknownErasure(VaultError):
    """No erasure has this id, or it has no certificate yet."""

    code = "unknown_erasure"


class UnknownReport(VaultError):
    """There is no report of this name, none that was made under this id, or no such kept filter."""

    code = "unknown_report"


class ReportNotReady(VaultError):
    """The report is not made yet, or could not be: where it stands says which."""

    code = "report_not_ready"


class InvalidReport(VaultError):
    """The report does not know this filter, or needs one that is not there. The message says which."""

    code = "invalid_report"


class Unexpected(VaultError):
    """A defect of ours. Says the exception's class and the place in the code; never its message."""

    code = "internal_error"


class UnknownReference(VaultError):
    """No such reference for this brand: never existed, another brand's, or dangling after erasure. One answer."""

    code = "unknown_reference"


class NothingToAttest(VaultError):
    """None of the fields that were granted holds a value: there is nothing to attest."""

    code = "nothing_to_attest"


class VersionConflict(VaultError):
    """The subject changed since the version the caller named in If-Match."""

    code = "version_conflict"


class InvalidFields(VaultError):
    """One or more field values were refused. `problems` maps field name to a stable reason; never a value."""

    code = "invalid_fields"

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__(self.code)
        self.problems = problems


class InvalidRegistration(VaultError):
    """A system or an officer cannot be registered as described. Names the part at fault."""

    code = "invalid_registration"


class UnknownSystem(VaultError):
    """No system has this id."""

    code = "unknown_system"


class UnknownRequest(VaultError):
    """No such request of a data subject, or not this brand's: one answer."""

    code = "unknown_request"


class UnknownProposal(VaultError):
    """No proposal of this id waits for approval: never made, decided already, or out of date."""

    code = "unknown_proposal"


class UnknownOfficer(VaultError):
    """No officer has this id, or not one who may still act."""

    code = "unknown_officer"


class NotSigned(VaultError):
    """A signature does not stand: another key, another text, another role, or the same officer twice."""

    code = "not_signed"


class NoPolicy(VaultError):
    """No policy bundle is in force, or the one recorded as such does not stand: nothing can be decided."""

    code = "no_policy"


class InvalidCase(VaultError):
    """A break-glass case cannot be opened as asked. Names the part at fault."""

    code = "invalid_case"


class UnknownCase(VaultError):
    """No break-glass case has this id."""

    code = "unknown_case"


class CaseClosed(VaultError):
    """The break-glass case is not in the state that this needs: not approved, over, or decided already."""

    code = "case_closed"


class CaseRunning(VaultError):
    """The break-glass case's minutes are not over: what was done in them is reviewed when they are."""

    code = "case_running"


class LetterWaiting(VaultError):
    """An erasure would come before the letter that tells the person the number of its certificate, and nobody could be told after."""

    code = "letter_waiting"


class UnknownVersion(VaultError):
    """No policy version has this number or hash, or not in the state that the act needs."""

    code = "unknown_version"


class UnknownPurpose(VaultError):
    """The purpose is not in the bundle."""

    code = "unknown_purpose"


class UnrecordedDisclosure(VaultError):
    """Plaintext was asked for without a durable log entry for it: a fault in our own code, and refused."""

    code = "unrecorded_disclosure"


class TooFew(VaultError):
    """Too few subjects share what would be shown: allowed and logged so, and then held back (`vault.crowds`)."""

    code = "too_few"


class UnsearchableField(VaultError):
    """No declared index can answer this search: refused, never answered with an empty list."""

    code = "unsearchable_field"


class IdempotencyMismatch(VaultError):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_mismatch"


class RowMismatch(VaultError):
    """An import row's reference was used before in this import, with other content."""

    code = "row_mismatch"


class Refused(VaultError):
    """Authentication or authorisation failed. `code` is instance-level and safe to say; `audit` is for the log only."""

    def __init__(self, code: str, audit: str = "") -> None:
        super().__init__(code)
        self.code = code  # type: ignore[misc]
        self.audit = audit or code
