"""The certificate on every provider of roots: its class, the day from which it holds, and what is true before that day."""

import shutil
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import pytest
from erasure_scene import Scene
from maison_people import FIELDS, one, person, take_in, value
from root_homes import CLASSES, KINDS, WEEK, home_of
from test_vault_erasure_backups import Backup

from audit.certificate import SENTENCES
from vault.errors import VaultError
from vault.keys.keystore import open_keystore
from vault.keys.pagetree import Geometry
from vault.keys.provider import DestructionClass, RootState
from vault.runtime import SystemEntropy
from vault.setup import Place, initialise, open_vault

OTHER = FIELDS | {"client_number": "AU-7", "email": ["other@example.com"], "last_purchase_date": "2026-03-02"}


@pytest.fixture(params=KINDS)
def scene(request, tmp_path, clock, bundle):
    """A vault on one kind of root, with SQLite data: what the class is depends on the root alone."""
    with ExitStack() as stack:
        home = home_of(request.param, tmp_path / "roots", clock, request, stack)
        place = Place(f"sqlite:///{tmp_path}/data.db", tmp_path / "vault.keystore", home.open())
        initialise(place, "ecrin-test", clock=clock, entropy=SystemEntropy(), geometry=Geometry(5, 3))
        vault = stack.enter_context(closing(open_vault(place, bundle, clock=clock, entropy=SystemEntropy())))
        made = stack.enter_context(closing(Scene(vault, place, tmp_path, clock)))
        made.home = home
        yield made


def told(at):
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_certificate_says_the_class_and_the_day_of_its_root(scene, tmp_path, clock):
    vault, kind = scene.vault, scene.home.kind
    goes, stays = take_in(vault, person(FIELDS), person(OTHER))
    stolen = Backup(vault)
    shutil.copy(scene.place.keystore, tmp_path / "old.keystore")
    whole, part = scene.whole(goes.subject), scene.whole(stays.subject)
    clock.advance(60)
    (ended,) = scene.run().ended
    destroyed_at = clock.now()

    certificate = scene.certificate(whole)
    expected = CLASSES.get(kind, DestructionClass.BEST_EFFORT)
    dated = expected is DestructionClass.DATED
    assert (certificate.destruction_class, certificate.root) == (expected.value, ended.root_ref)
    assert certificate.requested == told(destroyed_at - 60)
    # Class B: not before the day that the provider gave; never the day of the order.
    if kind == "moto kms":  # which takes the time from the machine
        assert certificate.effective == told(ended.destruction.effective_at) > told(destroyed_at)
    else:
        assert certificate.effective == told(destroyed_at + (WEEK if dated else 0))
    assert certificate.sentences[0].startswith(SENTENCES[expected.value][0])
    # What a law keeps has a day of its own, later than the destruction of the rest.
    (kept,) = scene.certificate(part).kept
    law = vault.bundle.catalogue.category("purchases").legal_retention
    assert (kept.because, kept.until) == ("law", told(destroyed_at - 60 + law.days * 86_400))

    # Whatever the class, the vault has forgotten: no living key opens, nor the old keystore with the provider as it is.
    purchases = vault.bundle.catalogue.category("purchases").id
    assert stolen.opened(vault) == {(stays.subject, purchases)}
    with pytest.raises(VaultError):
        open_keystore(tmp_path / "old.keystore", scene.home.open(), vault.deployment)
    assert scene.home.open().status(ended.root_ref).state is (RootState.PENDING if dated else RootState.GONE)
    if dated and kind != "moto kms":
        clock.advance(WEEK)
        assert scene.home.open().status(ended.root_ref).state is RootState.GONE
        assert scene.certificate(whole) == certificate  # it said so from the beginning
    new = one(take_in(vault, person(FIELDS)))
    assert value(vault, new.subject, "birth_date") == FIELDS["birth_date"]
