"""A vault whose log is written by hand, for reports: systems of two maisons, people, and acts at times of our choosing."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from maison_people import AURELLE, FIELDS, one, person, take_in

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.reports.asked import Asked
from vault import evidence, locked
from vault.reports import running
from vault.systems import NewSystem, register

DPO = Actor(ActorKind.OFFICER, "m.lefevre")
OPERATOR = Actor(ActorKind.VAULT, "operator")


def key_set():
    from base64 import urlsafe_b64encode

    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    x = urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k1"}]}


class ReportScene:
    """Writes the log, turns the clock, runs reports up to a checkpoint signed on the way."""

    def __init__(self, vault, folder, clock):
        self.vault, self.clock, self.outside = vault, clock, folder / "checkpoint"
        self.start = clock.now()

    def system(self, system_id, brand=AURELLE, purposes=(), scopes=("lookup",)):
        with self.vault.unit() as uow:
            new = NewSystem(system_id, brand, system_id, key_set(), frozenset(scopes), frozenset(purposes))
            register(uow, new, OPERATOR)
            uow.commit()
        return system_id

    def person(self, fields=FIELDS, brand=AURELLE, **more):
        return one(take_in(self.vault, person(fields, brand, **more)))

    def did(
        self,
        system_id,
        act=Act.FIELD_DISCLOSED,
        out=Outcome.ALLOW,
        whom=None,
        times=1,
        brand=AURELLE,
        asker=None,
        **said,
    ):
        """Record acts of a system, about one person or nobody, by a member of staff or nobody."""
        with self.vault.unit() as uow:
            key = None
            if whom is not None:
                (row,) = locked.by_reference(uow, [(brand, whom.references[brand])])
                key = row.log_key
            for _ in range(times):
                uow.record(Entry(act, out, Actor(ActorKind.SYSTEM, system_id, asker=asker), **said), log_key=key)
            uow.commit()

    def noted(self, entry):
        with self.vault.unit() as uow:
            uow.record(entry)
            uow.commit()

    def sign(self):
        evidence.sign_checkpoints(self.vault, self.outside)

    def run(self, name, since=None, until=None, sign=True, **asked):
        if sign:
            self.sign()
        period = Asked(
            self.start if since is None else since, self.clock.now() + 1 if until is None else until, **asked
        )
        return running.run(self.vault, name, period, DPO)

    def rows(self, name, **asked):
        """The rows of a report as dictionaries."""
        return told(self.run(name, **asked))


def told(report):
    names = [each.name for each in report.body.columns]
    return [dict(zip(names, row, strict=True)) for row in report.body.rows]
