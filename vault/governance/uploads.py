"""Bundles that an officer brought to the console and has not proposed yet: to read, compare and replay before signing.

Nothing is decided by one, and nobody but who brought it sees it. It goes when it is proposed, after a day, or when its officer
brings more than a few. What is kept was checked as a proposal is, and a proposal checks it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, delete, select

from policies.bundle import pack, unpack
from vault.errors import UnknownVersion
from vault.governance import signatures, versions
from vault.governance.signatures import Sign, Signed
from vault.governance.versions import LONGEST_NAME, Version
from vault.governance.versionsigning import POLICY, Part, version_of
from vault.store.bulk import insert_rows
from vault.store.tables import BundleUpload
from vault.unit import Vault

KEPT_SECONDS: Final = 86_400
MOST: Final = 5  # of one officer at a time

_ID: Final = 16
_TABLE: Final = BundleUpload.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Upload:
    """A bundle as it was brought. `hash` is that of its files, as a version's is."""

    id: bytes
    name: str
    hash: bytes
    uploaded_at: int


def keep(vault: Vault, files: Mapping[str, bytes], name: str, officer_id: str) -> Upload:
    """Check a bundle as a proposal is checked and keep it for its officer. Raises `InvalidBundle`, and as `entitled`."""
    with vault.unit() as uow:
        signatures.entitled(uow.conn, POLICY, Part.AUTHOR, officer_id)
        bundle = versions.examined(uow.conn, vault.deployment, name, files)
        mine = _TABLE.c.officer_id == officer_id
        newest = select(_TABLE.c.id).where(mine).order_by(_TABLE.c.uploaded_at.desc(), _TABLE.c.id).limit(MOST - 1)
        stay = list(uow.conn.scalars(newest))
        uow.conn.execute(delete(_TABLE).where(mine, _TABLE.c.id.not_in(stay)))
        row: dict[str, object] = {"id": vault.entropy.bytes(_ID), "officer_id": officer_id, "name": name[:LONGEST_NAME]}
        row |= {
            "hash": bundle.hash,
            "content": pack(files),
            "uploaded_at": uow.now,
            "expires_at": uow.now + KEPT_SECONDS,
        }
        insert_rows(uow.conn, BundleUpload, [row])
        made = _upload(uow.conn.execute(select(_TABLE).where(_TABLE.c.id == row["id"])).one())
        uow.commit()
    return made


def listed(conn: Connection, officer_id: str, now: int) -> list[Upload]:
    """Return what an officer brought and has not proposed, the newest first."""
    mine = (_TABLE.c.officer_id == officer_id, _TABLE.c.expires_at > now)
    return [_upload(row) for row in conn.execute(select(_TABLE).where(*mine).order_by(_TABLE.c.uploaded_at.desc()))]


def get(conn: Connection, upload_id: bytes, officer_id: str, now: int) -> tuple[Upload, dict[str, bytes]]:
    """Return one of the officer's own, and its files. Raises `UnknownVersion`; `InvalidBundle` for damaged ones."""
    mine = (_TABLE.c.id == upload_id, _TABLE.c.officer_id == officer_id, _TABLE.c.expires_at > now)
    row = conn.execute(select(_TABLE).where(*mine)).one_or_none()
    if row is None:
        raise UnknownVersion
    return _upload(row), unpack(row.content)


def text(vault: Vault, conn: Connection, upload: Upload) -> bytes:
    """Return what its author signs to propose it as the next version."""
    thing = version_of(versions.next_number(conn), upload.hash)
    return Signed(thing, Part.AUTHOR, "", 0).text(vault.deployment)


def propose(vault: Vault, upload_id: bytes, officer_id: str, sign: Sign) -> Version:
    """Propose it as the next version, as `versions.propose` does, and keep it no longer. Raises as that and `get`."""
    with vault.reading() as conn:
        upload, files = get(conn, upload_id, officer_id, vault.clock.now())
    made = versions.propose(vault, files, upload.name, officer_id, sign)
    drop(vault, upload_id, officer_id)
    return made


def drop(vault: Vault, upload_id: bytes, officer_id: str) -> None:
    """Keep one of the officer's own no longer."""
    with vault.unit() as uow:
        uow.conn.execute(delete(_TABLE).where(_TABLE.c.id == upload_id, _TABLE.c.officer_id == officer_id))
        uow.commit()


def _upload(row: Row[tuple[object, ...]]) -> Upload:
    return Upload(row.id, row.name, row.hash, row.uploaded_at)
