"""A deployment of which everything can be put back to an earlier moment: data, keystore, roots, checkpoint file."""

import shutil
import sqlite3
from contextlib import closing

from recovery_scene import OPERATOR, Recovery, quiet

from vault import evidence
from vault.recovery import logs, lost, restores
from vault.runtime import SystemEntropy
from vault.store import dumps


class Rewound(Recovery):
    """`keep` remembers a moment, `rewind` puts all of it back; `mirror` stays as it is, on its other disk."""

    def __init__(self, vault, place, folder, clock, databases):
        super().__init__(vault, place, folder, clock, databases)
        self.mirror = folder / "mirror"
        self.mirror.mkdir()
        self.roots = folder / "roots"

    def keep(self, name="kept"):
        """Remember this moment, as a snapshot of the whole machine does."""
        at = self.folder / name
        at.mkdir()
        with closing(sqlite3.connect(self.place.keystore)) as held, closing(sqlite3.connect(at / "keystore")) as copy:
            held.backup(copy)
        shutil.copytree(self.roots, at / "roots")
        dumps.dump(self.place.database, at / "data", quiet, quiet)
        if self.outside.exists():
            shutil.copy(self.outside, at / "checkpoint")

    def rewind(self, name="kept", url=None):
        """Put everything back, and serve from there."""
        at = self.folder / name
        self.vault.close()
        self.close_stores()
        for side in ("", "-wal", "-shm"):
            self.place.keystore.with_name(self.place.keystore.name + side).unlink(missing_ok=True)
        shutil.copy(at / "keystore", self.place.keystore)
        self.place.keystore.chmod(0o600)
        shutil.rmtree(self.roots)
        shutil.copytree(at / "roots", self.roots)
        self.outside.unlink(missing_ok=True)
        if (at / "checkpoint").exists():
            shutil.copy(at / "checkpoint", self.outside)
        url = url or self.vacant()
        dumps.load(at / "data", url, SystemEntropy().bytes(8).hex(), quiet, quiet)
        self.move(url)

    def published(self):
        """Sign what is new and bring the mirror up to it, as the service does each second."""
        evidence.sign_checkpoints(self.vault, self.outside)
        evidence.mirror(self.vault, self.mirror)

    def by_log(self, *places, vault=None, **options):
        """What `ecrin restore --log` does, but for its words."""
        vault = vault or self.vault
        found = logs.examine(vault, places or [self.mirror], self.outside, **options)
        lost.advance(found.notes, self.outside)
        if not restores.begin(vault, self.outside, now=self.clock.now(), lost=found):
            return found, None
        return found, restores.carry_on(vault, self.outside, OPERATOR, self.history, quiet, found)
