"""Processes that die at a given write, in the database or in the keystore, before or after it took effect."""

from vault.keys.epochs import EpochChange
from vault.keys.pagefile import PageFile
from vault.runtime import SystemEntropy
from vault.unit import UnitOfWork, Vault


class Died(BaseException):
    """The process is gone. No handler of ours may catch it."""


class Fuse:
    """Burns down with each write and kills at a given one, before or after it took effect."""

    def __init__(self, left, *, after):
        self.left, self.after, self.burnt = left, after, 0

    def around(self, write):
        self.burnt += 1
        if self.burnt == self.left and not self.after:
            raise Died
        result = write()
        if self.burnt == self.left:
            raise Died
        return result


class MortalKeys:
    """The vault's key service, whose writing verbs burn the fuse."""

    def __init__(self, keys, fuse):
        self._keys, self._fuse = keys, fuse

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def retire(self, slots):
        return self._fuse.around(lambda: self._keys.retire(slots))

    def recall(self, slots):
        return self._fuse.around(lambda: self._keys.recall(slots))


class MortalStore(PageFile):
    """The keystore of an epoch change, whose steps burn the fuse."""

    fuse: Fuse


for _name in ("begin", "build", "rewrite", "replicated", "destroying", "destroyed", "finish"):

    def _step(self, *arguments, _name=_name):
        return self.fuse.around(lambda: getattr(PageFile, _name)(self, *arguments))

    setattr(MortalStore, _name, _step)


class MortalUnit(UnitOfWork):
    """A unit of work whose commit burns the fuse."""

    __slots__ = ()

    def commit(self):
        return self.vault.fuse.around(super().commit)


class MortalVault(Vault):
    """The vault of a process that dies."""

    __slots__ = ("fuse",)

    def __init__(self, vault, fuse):
        super().__init__(
            vault.engine,
            MortalKeys(vault.keys, fuse),
            vault.bundle,
            clock=vault.clock,
            entropy=vault.entropy,
            deployment=vault.deployment,
            origin=vault.origin,
        )
        self.fuse = fuse

    def unit(self, shard=0):
        return MortalUnit(self, shard)


def run_mortal(scene, left, after, act):
    """Run `act(vault, change)` in a process that dies at its n-th write; returns whether it died."""
    store = MortalStore(scene.place.keystore)
    store.fuse = Fuse(left, after=after)
    change = EpochChange(store, scene.place.provider, scene.copies, clock=scene.clock, entropy=SystemEntropy())
    try:
        act(MortalVault(scene.vault, store.fuse), change)
    except Died:
        return True
    finally:
        store.close()
    return False
