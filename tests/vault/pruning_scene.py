"""A log that grows old, and prunings of it as the command makes them."""

import io

from maison_people import rows
from report_scene import DPO

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.note import vkey
from audit.reports.asked import Asked
from audit.reports.lines import second
from vault import evidence, export, logkeys, pruning, pruningarchives, pruningbounds
from vault.erasure import records
from vault.keys.service import SigningKey
from vault.pruningbounds import Outside

MONTH = 31 * 86_400
NOBODY = Outside()
OPERATOR = Actor(ActorKind.VAULT, "operator")


class Pruning:
    """A log that grows old, and prunings of it as the command makes them."""

    def __init__(self, scene, folder):
        self.scene, self.vault, self.folder, self.clock = scene, scene.vault, folder, scene.clock
        self.outside = scene.outside

    def grow(self, count, **more):
        with self.vault.unit() as uow:
            for place in range(count):
                actor = Actor(ActorKind.SYSTEM, f"aurelle-{place % 3}")
                uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, actor, fld=("phone:masked",), **more))
            uow.commit()

    def sign(self):
        return evidence.sign_checkpoints(self.vault, self.outside)

    def plan(self, outside=NOBODY):
        return pruningbounds.plan(self.vault, outside)

    @property
    def keys(self):
        with self.vault.reading() as conn:
            log = [each.vkey for each in logkeys.known(self.vault, conn, 0)]
        return [*log, vkey(export.seal_key_name(self.vault), self.vault.keys.public_key(SigningKey.RECEIPT))]

    def exported(self, plan):
        paths = []
        for number, (since, until) in enumerate(pruningbounds.exports(self.vault, plan)):
            done = export.export(self.vault, Asked(second(since), second(until)), DPO, "archive", self.outside)
            out = io.BytesIO()
            export.write(self.vault, done, {}, out.write)
            paths.append(self.folder / f"archive-{plan.first}-{number}.zip")
            paths[-1].write_bytes(out.getvalue())
        return paths

    def prune(self, folder=None, plan=None):
        plan = plan or self.plan()
        held = pruningarchives.check(self.vault, plan, self.exported(plan), self.keys)
        return pruning.prune(self.vault, plan, held, self.outside, OPERATOR, folder)

    def verify(self, pinned=()):
        return evidence.verify(self.vault, 0, list(pinned))

    def bodies(self):
        return {
            idx: bytes(body)
            for idx, body in rows(self.vault, "SELECT idx, body FROM log_entry WHERE shard = 0 ORDER BY idx")
        }

    def entries(self, act=None):
        with self.vault.reading() as conn:
            found = [decode(each.body) for each in ledger.read(conn, 0, 0, 100_000)]
        return [each for each in found if act in {None, each["act"]}]

    def log_key(self, subject):
        with self.vault.unit() as uow:
            return records.log_keys(uow, list(records.lock_people(uow, [subject]).values()))[subject]
