"""The systems that play the demo: the group's migration, and one boutique of each of two maisons.

Their keys are made once and kept beside the demo's data, readable by the owner alone. An operator registers the public
halves (`ecrin system add` does the same for real systems); from then on they are ordinary OAuth clients.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.client.identity import Identity


@dataclass(frozen=True, slots=True)
class DemoSystem:
    """One registration: `brands` are those it may import for, `purposes` those it may ask for."""

    id: str
    brand: str
    name: str
    scopes: frozenset[str]
    purposes: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()


_BOUTIQUE: Final = frozenset({"lookup", "subject.write", "consent.write"})
_ADVICE: Final = frozenset({"clienteling", "clienteling.in_store", "clienteling.aftercare", "service.repair"})

MIGRATION: Final = DemoSystem(
    "group-migration",
    "ecrin-group",
    "Migration of the group",
    frozenset({"import"}),
    brands=frozenset({"aurelle", "vantier", "solenne"}),
)
AURELLE: Final = DemoSystem("aurelle-paris", "aurelle", "Boutique of Aurelle, Paris", _BOUTIQUE, _ADVICE)
VANTIER: Final = DemoSystem("vantier-geneva", "vantier", "Boutique of Vantier, Geneva", _BOUTIQUE, _ADVICE)
SYSTEMS: Final = (MIGRATION, AURELLE, VANTIER)


def identities(folder: Path) -> dict[str, Identity]:
    """Load each system's identity from `folder`, making what is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {system.id: _identity(folder / f"{system.id}.pem", system.id) for system in SYSTEMS}


def _identity(path: Path, system_id: str) -> Identity:
    if not path.exists():
        key = generate_private_key(SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # The mode is set at creation: a key must at no moment be readable by others.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    return Identity.load(system_id, path.read_bytes())
