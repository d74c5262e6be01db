"""Errors of the evidence plane. They name indexes, sizes and keys of the schema; never an entry's content.

Standard library only: the verifier takes this file along when it is copied out.
"""

from typing import ClassVar


class AuditError(Exception):
    """Root of every error that leaves the audit package."""

    code: ClassVar[str] = "audit_error"


class VerificationError(AuditError):
    """A proof, a note, a checkpoint, a path or a receipt does not hold. One type for all of them."""

    code = "verification_failed"


class CannotDecide(AuditError):
    """Material for the verification is missing or unreadable. Never to be mistaken for a finding."""

    code = "cannot_decide"


class InvalidEntry(AuditError):
    """The entry does not fit the closed schema. The message names the key, not what stood there."""

    code = "invalid_entry"


class UnknownLog(AuditError):
    """The shard has no log head: it was never created here."""

    code = "unknown_log"


class LedgerConflict(AuditError):
    """The head moved between reading and writing it: the caller's transaction did not hold the lock."""

    code = "ledger_conflict"


class SigningRefused(AuditError):
    """The head does not extend what was signed before: rollback, fork or damage. Nothing was signed."""

    code = "signing_refused"


class PinUnavailable(AuditError):
    """The file outside the database that remembers the last signed checkpoint cannot be read or written."""

    code = "pin_unavailable"


class PublishingRefused(AuditError):
    """The folder of the published log holds something that the stored log does not extend. Nothing more was written."""

    code = "publishing_refused"
