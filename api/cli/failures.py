"""What a failed command says, and the exit code it ends with: one sentence for each finding, and nowhere a traceback."""

from api.cli.output import Exit, told
from api.pdf import PrintFailed
from api.settings import InvalidSettings
from audit.errors import AuditError
from policies.errors import InvalidBundle, PolicyError
from vault.errors import Sealed, StoreUnavailable, VaultError


def read(error: Exception) -> tuple[Exit, tuple[str, ...]] | None:
    """Return the exit code of a failure and what to print; None for one that nobody foresaw."""
    match error:
        case InvalidSettings():
            return Exit.UNSAFE, error.findings
        case InvalidBundle():
            return Exit.FAILED, error.findings
        case Sealed() | StoreUnavailable():
            return Exit.UNAVAILABLE, (told(error),)
        case PrintFailed():
            return Exit.FAILED, (f"{error}",)
        case VaultError() | PolicyError() | AuditError():
            return Exit.FAILED, (told(error),)
    return None
