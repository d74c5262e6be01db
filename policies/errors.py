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


class TransformUnavailable(PolicyError):
    """A value cannot be shown at the level asked: nothing of it is shown."""

    code = "transform_unavailable"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: cannot be shown at this level")
        self.field = field


class UnknownField(PolicyError):
    """The catalogue has no such field."""

    code = "unknown_field"

    def __init__(self, field: str) -> None:
        super().__init__("unknown field")
        self.field = field


class UnknownCategory(PolicyError):
    """The catalogue has no such category."""

    code = "unknown_category"


class UnknownPurpose(PolicyError):
    """The bundle has no such purpose."""

    code = "unknown_purpose"


class MismatchedGrant(PolicyError):
    """A grant was asked for another caller or purpose than the decision was made for: a fault in the caller's code."""

    code = "mismatched_grant"
