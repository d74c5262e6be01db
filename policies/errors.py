"""Errors of the decision plane. They name fields, files and rules; never values."""

from typing import ClassVar


class PolicyError(Exception):
    """Root of every error that leaves the policies package."""

    code: ClassVar[str] = "policy_error"


class InvalidBundle(PolicyError):
    """The bundle cannot be loaded. `findings` are sentences an officer can act on."""

    code = "invalid_bundle"

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("; ".join(findings))
        self.findings = findings


class InvalidValue(PolicyError):
    """A value does not fit its field's type. `reason` is a stable code; the value is nowhere in here."""

    code = "invalid_value"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class UnknownField(PolicyError):
    """The catalogue has no such field."""

    code = "unknown_field"

    def __init__(self, field: str) -> None:
        super().__init__("unknown field")
        self.field = field


class UnknownPurpose(PolicyError):
    """The bundle has no such purpose."""

    code = "unknown_purpose"
