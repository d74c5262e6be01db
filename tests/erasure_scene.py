"""A deployment that forgets people: its vault, its epoch changes, and how a test asks what is left."""

from contextlib import suppress
from pathlib import Path

from maison_people import AURELLE, one

from audit import ledger
from audit.certificate import verify_certificate
from audit.entry import Actor, ActorKind, decode
from audit.note import vkey
from vault.erasure import certificates, epochrun, requests
from vault.erasure.requests import Erase
from vault.errors import VaultError
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.pagefile import PageFile
from vault.keys.service import SigningKey
from vault.runtime import SystemEntropy
from vault.search import Search, search
from vault.unit import execute

DPO = Actor(ActorKind.OFFICER, "dpo-1")


class Scene:
    """`changing` makes an epoch change of its own connection, as another process would."""

    def __init__(self, vault, place, folder: Path, clock):
        self.vault, self.place, self.clock = vault, place, clock
        self.outside = folder / "checkpoint"
        self.copies = []
        for name in ("copy-one", "copy-two"):
            (folder / name).mkdir(exist_ok=True)
            self.copies.append(FolderPlace(folder / name, SystemEntropy()))
        self.stores = []

    def changing(self):
        self.stores.append(PageFile(self.place.keystore))
        return EpochChange(self.stores[-1], self.place.provider, self.copies, clock=self.clock, entropy=SystemEntropy())

    def run(self, **options):
        return epochrun.run(self.vault, self.changing(), self.outside, **options)

    def erase(self, *asked):
        return one(requests.erase(self.vault, list(asked)))

    def whole(self, subject):
        return self.erase(Erase(subject, DPO))

    def category(self, subject, name):
        return self.erase(requests.of_category(self.vault.bundle.catalogue, subject, name, DPO))

    def field(self, subject, name):
        return self.erase(requests.of_field(self.vault.bundle.catalogue, subject, name, DPO))

    def certificate(self, requested):
        """The certificate of a request, verified as a stranger would."""
        keys = self.vault.keys
        log_key = vkey(self.vault.origin, keys.public_key(SigningKey.LOG))
        note = certificates.certificate(self.vault, requested.erasure.hex())
        return verify_certificate(note, [certificates.verifier_key(self.vault)], [log_key])

    def found(self, by, sought, brand=AURELLE):
        answer = execute(self.vault, search, [Search(brand, f"{brand}-crm", by, sought)])[0]
        return [each.subject for each in answer.candidates]

    def entries(self):
        with self.vault.reading() as conn:
            return [decode(each.body) for each in ledger.read(conn, 0, 0, 100_000)]

    def acts(self):
        return [each["act"] for each in self.entries()]

    def close(self):
        for store in self.stores:
            with suppress(VaultError):
                store.close()
