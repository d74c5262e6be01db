"""What an evidence bundle is made of: the names of its members, what its seal says, and the members under examination.

Standard library only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Mapping
from hashlib import sha256

from audit.findings import Fault, Finding
from audit.merkle import HASH_SIZE

SEAL_SUFFIX = "/export"
SUMS, SEAL = "SHA256SUMS", "SHA256SUMS.note"
CHECKPOINT, FILTER, ROWS, SCHEMA = "checkpoint", "filter.json", "rows.csv", "schema.json"
EXPORT_ENTRY, EXPORT_PROOF = "export/entry.json", "export/entry.tlog-proof"
STAMP = "timestamp.tsr"
TOLD = ("README.html", "report.pdf", "verify.py", "policy", STAMP, "timestamp.pem")
PROOFS = "proofs/"
KEYCHANGES = "keychange/"


def seal_text(origin: str, sums: bytes) -> str:
    """Return what is signed of a bundle: the name of the seal and the digest of `SHA256SUMS`."""
    return f"{origin}{SEAL_SUFFIX}\n{sha256(sums).hexdigest()}\n"


class Bundle:
    """The members that are checked, and what was found so far."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = members
        self.findings: list[Finding] = []
        self.doubts: list[str] = []
        self.notices: list[str] = []

    def fault(self, kind: Fault, message: str, index: int | None = None) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, index, message))

    def member(self, name: str) -> bytes:
        """Return a member; one that is not there is a finding and empty."""
        if name not in self.members:
            self.fault(Fault.MISSING, f"{name} is not in the bundle")
            return b""
        return self.members[name]

    def hashes(self, name: str, width: int) -> list[bytes]:
        """Return the hashes of a tile, 32 bytes each; what is missing is a finding and zeros, which lead to no signed root."""
        content = self.member(name)
        if len(content) != width * HASH_SIZE:
            self.fault(Fault.MALFORMED, f"{name} does not hold {width} hashes")
            content = content[: width * HASH_SIZE].ljust(width * HASH_SIZE, b"\0")
        return [content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE)]
