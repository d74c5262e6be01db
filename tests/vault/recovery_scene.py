"""A deployment with backups, and places to bring them back into."""

from dataclasses import replace

from erasure_scene import Scene
from psycopg import sql

from audit.entry import Actor, ActorKind
from vault.recovery import backups, drills, keystores, restores
from vault.runtime import SystemEntropy
from vault.setup import open_vault

OPERATOR = Actor(ActorKind.VAULT, "operator")


def quiet(*_):
    """Show no progress."""


class Recovery(Scene):
    """A deployment with backups, and a second database to bring them back into."""

    def __init__(self, vault, place, folder, clock, databases):
        super().__init__(vault, place, folder, clock)
        self.folder, self.databases = folder, databases
        self.drops, self.opened, self.count = [], [], 0

    def back_up(self, name="data.backup"):
        return backups.back_up(self.vault, self.place.database, self.folder / name, OPERATOR, quiet)

    def move(self, url):
        """Serve from the database at `url` from now on."""
        self.place = replace(self.place, database=url)
        self.vault = self.open(url)

    def history(self, since=0):
        return [each for each in self.changing().history() if each.epoch >= since]

    def vacant(self):
        """An address at which nothing is."""
        self.count += 1
        if self.databases.backend == "sqlite":
            return f"sqlite:///{self.folder}/restored-{self.count}.db"
        name = f"restored_{SystemEntropy().bytes(6).hex()}"
        with self.databases._maintenance() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        self.drops.append(name)
        return self.databases.postgres.url(name)

    def load(self, name="data.backup", url=None, **options):
        """Bring a backup back, and leave it there as it is: not ready to be served."""
        url = url or self.vacant()
        how = {"keys_epoch": self.vault.keys.status().epoch, "deployment": self.vault.deployment} | options
        restores.bring_back(
            self.folder / name, url, how["deployment"], how["keys_epoch"], SystemEntropy().bytes(8).hex(),
            self.clock.now(), quiet, replace=options.get("replace", False),
        )  # fmt: skip
        return url

    def open(self, url):
        vault = open_vault(
            replace(self.place, database=url), self.vault.bundle, clock=self.clock, entropy=SystemEntropy()
        )
        self.opened.append(vault)
        return vault

    def carry_on(self, vault, progress=quiet):
        return restores.carry_on(vault, self.outside, OPERATOR, self.history, progress)

    def restore(self, name="data.backup"):
        vault = self.open(self.load(name))
        return vault, self.carry_on(vault)

    def drill(self, name="data.backup", copy=None):
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        if copy is None:
            copy = scratch / "keystore.db"
            copy.unlink(missing_ok=True)
            self.copy_keystore(copy)
        return drills.drill(
            self.vault, self.place.database, self.folder / name, copy, self.place.provider, scratch, self.outside,
            OPERATOR, self.history, quiet,
        )  # fmt: skip

    def close_stores(self):
        for store in self.stores:
            store.close()
        self.stores.clear()

    def copy_keystore(self, to):
        store = self.changing()._store
        return keystores.back_up(store, self.place.provider, to, clock=self.clock, entropy=SystemEntropy())

    def close(self):
        for vault in self.opened:
            vault.close()
        super().close()
        for name in self.drops:
            self.databases._drop(name)
