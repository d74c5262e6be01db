"""The manifest of an access package: the hashes of its files, as a signed note (docs/formats.md).

<origin>/package
<request, 32 hex digits>
<unix time>
<SHA-256, 64 hex digits>  <file>
…
"""

from collections.abc import Mapping
from typing import Final

from audit.note import assemble, signature_line
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import Vault

SUFFIX: Final = "/package"  # of the name it is signed under: not that of a disclosure's receipt


def sign(vault: Vault, request: str, at: int, digests: Mapping[str, str]) -> str:
    """Return the signed manifest of files, given by name with their SHA-256 in hexadecimal."""
    name = log_origin(vault.origin, 0) + SUFFIX
    files = "".join(f"{digests[each]}  {each}\n" for each in sorted(digests))
    text = f"{name}\n{request}\n{at}\n{files}"
    (signature,) = vault.keys.sign(SigningKey.RECEIPT, [text.encode()])
    return assemble(text, (signature_line(name, vault.keys.public_key(SigningKey.RECEIPT), signature),))
