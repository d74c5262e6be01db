"""A change of epoch on every provider: what was removed opens in no copy of any date, with every root that is left."""

import shutil
from contextlib import ExitStack, closing

import pytest
from root_homes import KINDS, home_of

from vault.errors import VaultError
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.pagefile import PageFile
from vault.keys.provider import RootState
from vault.keys.service import Slot
from vault.runtime import SystemEntropy

DEPLOYMENT = "epoch-roots"
ENTROPY = SystemEntropy()
DEK = bytes(range(32))
ERASED, KEPT = Slot(0, 0), Slot(1, 0)


@pytest.fixture(params=KINDS)
def home(request, tmp_path, clock):
    with ExitStack() as stack:
        yield home_of(request.param, tmp_path / "roots", clock, request, stack)


def test_an_epoch_ends_with_its_root(home, tmp_path, clock):
    path, backup = tmp_path / "keys.db", tmp_path / "backup.db"
    create_keystore(path, home.open(), DEPLOYMENT, Geometry(4, 2), entropy=ENTROPY, clock=clock)
    with closing(open_keystore(path, home.open(), DEPLOYMENT)) as service:
        service.reserve(2)
        erased, kept = service.wrap([(ERASED, DEK), (KEPT, DEK)])
    with closing(PageFile(path)) as file:
        old = file.head()
    shutil.copy(path, backup)
    with closing(open_keystore(backup, home.open(), DEPLOYMENT)) as service:
        assert service.unwrap([(ERASED, erased)]) == [DEK]  # the control: until now the backup opens everything

    places = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        places.append(FolderPlace(tmp_path / name, ENTROPY))
    with closing(open_keystore(path, home.open(), DEPLOYMENT)) as service:
        service.retire([ERASED])
    with closing(PageFile(path)) as file:
        told = EpochChange(file, home.open(), places, clock=clock, entropy=ENTROPY).run()

    assert told.slots == (ERASED,)
    assert told.destruction.destruction_class is home.open().capabilities.destruction_class
    delayed = bool(home.open().capabilities.minimum_delay)
    assert home.open().status(told.root_ref).state is (RootState.PENDING if delayed else RootState.GONE)
    with closing(open_keystore(path, home.open(), DEPLOYMENT)) as service:
        assert service.status().epoch == old.epoch + 1
        assert service.unwrap([(KEPT, kept), (ERASED, erased)]) == [DEK, None]
    with pytest.raises(VaultError):
        open_keystore(backup, home.open(), DEPLOYMENT)
