"""The key ceremony: shares are dealt once, make the root when enough come together, and are kept nowhere."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def shared(bare, monkeypatch):
    monkeypatch.setenv("ECRIN_ROOT_PROVIDER", "shamir")
    return bare


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def initialised(given):
    command = [sys.executable, "-m", "api.cli.main", "keyd", "--init"]
    return subprocess.run(command, check=False, input=given.encode(), capture_output=True, env=os.environ)


def test_shares_that_were_dealt_make_the_root_and_others_do_not(shared, ecrin):
    dealt = ecrin("shares", "--needed", "2", "--total", "3", "--json")
    assert dealt.code == 0
    one, two, three = dealt.json["shares"]
    for given in (one, f"{one}\n{one}", f"{one}\n{two[:-4]}"):
        refused = initialised(given)
        assert refused.returncode != 0
        assert not [word for word in one.split()[4:] if word in refused.stderr.decode().split()]
    assert initialised(f"{three}\n{one}").returncode == 0
    assert (shared / "keystore.db").exists()
    assert initialised(f"{one}\n{two}").returncode == 0  # what is there belongs to this deployment and opens
    for path in files(shared):
        content = path.read_bytes()
        assert not [share for share in (one, two, three) if share.encode() in content], path


def test_shares_are_dealt_once(shared, ecrin):
    first = ecrin("shares", "--needed", "3", "--total", "5")
    assert len(first.out.strip().split("\n")) == 5
    again = ecrin("shares", "--needed", "2", "--total", "2")
    assert (again.code, again.out) == (1, "")


@pytest.mark.parametrize(("needed", "total"), [(1, 3), (4, 3), (2, 17)])
def test_a_quorum_that_protects_nothing_is_a_wrong_call(shared, ecrin, needed, total):
    ended = ecrin("shares", "--needed", needed, "--total", total)
    assert (ended.code, ended.out) == (2, "")
    assert not shared.exists()


def test_shares_open_no_other_kind_of_root(bare, ecrin):
    ended = ecrin("shares", "--needed", "2", "--total", "3")
    assert (ended.code, ended.out) == (3, "")


def test_in_a_process_that_people_did_not_unseal_the_vault_is_sealed(shared, ecrin):
    """Without a key holder nobody can bring the shares: nothing is made."""
    assert ecrin("init").code == 4
    assert not (shared / "keystore.db").exists()
