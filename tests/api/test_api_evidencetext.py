"""A bundle with everything: a witness's line and an authority's stamp on its checkpoint, and a README that says how to check."""

import io

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from throwaway_tsa import ThrowawayTsa

from api import evidencetext
from api.timestamps import stamped_by
from audit import witnessed
from audit.bundlecheck import verify_bundle
from audit.cosignature import ED25519_COSIGNATURE, CosignerKey, cosign
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.errors import CannotDecide
from audit.findings import Verdict
from audit.note import split_note, vkey
from audit.quorum import parse_policy
from audit.reports.asked import Asked
from vault import export, logkeys, timestamping
from vault.keys.service import SigningKey

OFFICER = Actor(ActorKind.OFFICER, "m.lefevre")


class Witness:
    """A cosigner with a key in memory."""

    def __init__(self):
        self._key = Ed25519PrivateKey.generate()
        self.name = "w.example/one"
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message):
        return self._key.sign(message)

    @property
    def key(self):
        return CosignerKey(self.name, ED25519_COSIGNATURE, self.public_key).vkey


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    made = ThrowawayTsa(tmp_path_factory.mktemp("tsa") / "one")
    yield made
    made.close()


@pytest.fixture
def archive(vault, clock, tmp_path, tsa):
    """The bundle, its keys, a policy that its witness meets and one that nobody does."""
    with vault.unit() as uow:
        for _ in range(300):
            uow.record(Entry(Act.TOKEN_REVOKED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "aurelle-crm")))
        uow.commit()
    asked = Asked(clock.now(), clock.now() + 1, system="aurelle-crm")
    done = export.export(vault, asked, OFFICER, "cnil", tmp_path / "checkpoint")
    witness = Witness()
    note = done.upto.note + cosign(split_note(done.upto.note).text, witness, clock.now())
    with vault.engine.begin() as conn:
        witnessed.keep_witnessed(conn, 0, clock.now(), note)
    timestamping.turn(vault, lambda message: stamped_by(tsa.url, tsa.roots, message))
    done, stamp = export.settle(vault, done)
    log = vkey(vault.origin, vault.keys.public_key(SigningKey.LOG))
    seal = vkey(export.seal_key_name(vault), vault.keys.public_key(SigningKey.RECEIPT))
    told = {"README.html": evidencetext.readme(done, logkeys.shown(vault), seal, stamped=True), "timestamp.tsr": stamp}
    told |= {"report.pdf": evidencetext.printed(done, export.rows_of(vault, done))}
    out = io.BytesIO()
    export.write(vault, done, told, out.write)
    path = tmp_path / "bundle.zip"
    path.write_bytes(out.getvalue())
    met = parse_policy(f"log {log}\nwitness one {witness.key}\nquorum one\n".encode())
    unmet = parse_policy(f"log {log}\nwitness other {Witness().key}\nquorum other\n".encode())
    return path, [log, seal], met, unmet, told


def test_witness_and_stamp_are_checked_where_the_reader_brings_policy_and_roots(archive, tsa, tmp_path):
    path, keys, met, unmet, _ = archive
    found = verify_bundle(path, keys, policy=met, stamp_roots=tsa.roots)
    assert (found.verdict, found.doubts) == (Verdict.FINE, ())
    assert any("time-stamped at" in each for each in found.notices)
    assert verify_bundle(path, keys, policy=unmet, stamp_roots=tsa.roots).verdict is Verdict.UNDECIDED
    assert any("was not checked" in each for each in verify_bundle(path, keys, policy=met).notices)
    assert verify_bundle(path, keys, stamp_roots=tmp_path / "none").verdict is Verdict.UNDECIDED


def test_a_stamp_of_another_checkpoint_is_found(vault, archive, tsa, tmp_path, clock):
    _, keys, met, _, told = archive
    asked = Asked(clock.now(), clock.now() + 1)
    other = export.export(vault, asked, OFFICER, "cnil", tmp_path / "checkpoint")
    out = io.BytesIO()
    export.write(vault, other, {"timestamp.tsr": told["timestamp.tsr"]}, out.write)
    path = tmp_path / "other.zip"
    path.write_bytes(out.getvalue())
    found = verify_bundle(path, keys, stamp_roots=tsa.roots)
    assert found.verdict is Verdict.TAMPERED
    assert any("timestamp.tsr" in each.message for each in found.findings)
    assert verify_bundle(path, keys, policy=met).verdict is Verdict.UNDECIDED  # not cosigned


def test_the_readme_says_what_to_do_and_fetches_nothing(archive):
    *_, told = archive
    page = told["README.html"].decode()
    for needed in ("--key", "--stamp-roots", "--policy", "by another way", "300 rows", "What it does not prove"):
        assert needed in page, needed
    for fetching in ("http:", "https:", "src=", "<script", "<link", "@import"):
        assert fetching not in page
    assert told["report.pdf"].startswith(b"%PDF-")


def test_the_readme_names_every_key_that_a_reader_may_have_been_given(vault, clock, tmp_path):
    asked = Asked(clock.now(), clock.now() + 1)

    def page():
        done = export.export(vault, asked, OFFICER, "cnil", tmp_path / "checkpoint")
        return evidencetext.readme(done, logkeys.shown(vault), "seal+0+0").decode()

    (first,) = [each.key.vkey for each in logkeys.shown(vault)]
    assert "If you were given another key" not in page()
    logkeys.rotate(vault, 30, OFFICER)
    told = page()
    new = logkeys.shown(vault)[0].key.vkey
    assert told.count(first) == 1  # in the table of keys, with its time
    assert f'--key "{new}"' in told.replace("&quot;", '"')
    for needed in ("If you were given another key", "keychange/", "--keychange FILE", "the beginning"):
        assert needed in told, needed


def test_no_bundle_without_an_archive(tmp_path):
    with pytest.raises(CannotDecide):
        verify_bundle(tmp_path / "none.zip", [])
