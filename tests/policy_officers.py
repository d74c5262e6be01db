"""Two officers with keys of their own, and ways to change the shipped bundle, for tests of policy versions."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit import ledger
from audit.entry import Actor, ActorKind, decode
from vault.governance import officerkeys, versions
from vault.officers import Role
from vault.store.bulk import insert_rows
from vault.store.tables import Officer

FOLDER = Path(__file__).resolve().parents[1] / "policies" / "bundles" / "maisons"
FILES = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
OPERATOR = Actor(ActorKind.VAULT, "operator")
AUTHOR, APPROVER = "m.lefevre", "a.moreau"
STRICTER = """
@id("refuse.nobody_reads_notes")
@title("Nobody reads notes this month")
@basis("GDPR 5(1)(c)")
forbid (principal, action, resource == Category::"notes");
"""


def changed(path="access.cedar", old="", new=STRICTER):
    """The shipped files with one of them changed: a text replaced, or one added at the end."""
    text = FILES[path].decode()
    assert old in text
    return FILES | {path: (text.replace(old, new, 1) if old else text + new).encode()}


def public_of(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Officers:
    """An author and an approver, registered in a vault; the approver's key is on P-256."""

    def __init__(self, vault):
        self.vault = vault
        self.keys = {AUTHOR: Ed25519PrivateKey.generate(), APPROVER: ec.generate_private_key(ec.SECP256R1())}
        self.add(AUTHOR, Role.COMPLIANCE)
        self.add(APPROVER, Role.APPROVER)

    def add(self, officer_id, role, key=None):
        self.keys.setdefault(officer_id, key or Ed25519PrivateKey.generate())
        with self.vault.unit() as uow:
            # no password: hashing one takes longer than the rest of a test
            row = {"id": officer_id, "role": role.value, "status": "active", "password_hash": "", "created_at": uow.now}
            insert_rows(uow.conn, Officer, [row])
            officerkeys.register(uow, officer_id, public_of(self.keys[officer_id]), OPERATOR)
            uow.commit()

    def signing(self, officer_id):
        return lambda message: officerkeys.sign(self.keys[officer_id], message)

    def propose(self, files, officer_id=AUTHOR):
        return versions.propose(self.vault, files, "maisons", officer_id, self.signing(officer_id)).number

    def approve(self, number, officer_id=APPROVER):
        return versions.approve(self.vault, number, officer_id, self.signing(officer_id))

    def adopt(self, files):
        """All three steps."""
        number = self.propose(files)
        self.approve(number)
        return versions.activate(self.vault, number, OPERATOR)


def acts(vault, prefix):
    """(act, outcome, actor, pol) of the log's entries of one kind."""
    with vault.reading() as conn:
        entries = [decode(record.body) for record in ledger.read(conn, 0, 0, 10_000)]
    return [
        (each["act"], each["out"], each["actor"]["id"], tuple(each.get("pol", ())))
        for each in entries
        if each["act"].startswith(prefix)
    ]
