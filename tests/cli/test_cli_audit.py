"""`audit verify`: fine is 0, tampering is 1 and named, no way to tell is 2."""

import shutil
import sqlite3
import zipfile

import pytest
from signing_server import checkpointed

from audit.standalone import standalone


@pytest.fixture
def copy(signed, tmp_path):
    """A copy of the data file, as an auditor gets it."""
    with sqlite3.connect(signed / "ecrin.db") as source, sqlite3.connect(tmp_path / "copy.db") as target:
        source.backup(target)
    source.close()
    target.close()
    return tmp_path / "copy.db"


@pytest.fixture
def key(signed):
    """The log's verifier key, as published."""
    from api import bootstrap
    from api.settings import load
    from audit.note import vkey
    from vault.keys.service import SigningKey

    vault = bootstrap.open_from(load())
    try:
        return vkey(vault.origin, vault.keys.public_key(SigningKey.LOG))
    finally:
        vault.close()


def altered(path, statement, *parameters):
    with sqlite3.connect(path) as conn:
        changed = conn.execute(statement, parameters).rowcount
    conn.close()
    assert changed > 0
    return path


def test_a_log_as_signed_is_fine(signed, ecrin, process, copy, key):
    told = ecrin("audit", "verify", "--json")
    assert told.code == 0
    (log,) = told.json["logs"]
    assert (log["verdict"], log["findings"], log["origin"], log["size"]) == ("fine", [], "ecrin/audit", log["signed"])
    text = process("audit", "verify")
    assert text.code == 0
    assert log["root"] in text.out
    for arguments in (("--database", copy), ("--database", copy, "--key", key), ("--pinned", signed / "checkpoint")):
        assert ecrin("audit", "verify", *arguments).code == 0, arguments


def test_one_flipped_byte_is_found_and_its_entry_named(signed, ecrin, process, copy, key):
    with sqlite3.connect(copy) as conn:
        (body,) = conn.execute("SELECT body FROM log_entry WHERE idx = 1").fetchone()
    conn.close()
    for position in (0, len(body) // 2, len(body) - 1):
        flipped = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        altered(copy, "UPDATE log_entry SET body = ? WHERE idx = 1", flipped)
        told = ecrin("audit", "verify", "--database", copy, "--key", key, "--json")
        assert (told.code, told.json["logs"][0]["first_bad_index"]) == (1, 1)
        assert told.json["logs"][0]["verdict"] == "tampered"
    text = process("audit", "verify", "--database", str(copy), "--key", key)
    assert text.code == 1
    assert "entry 1" in text.out
    assert ecrin("audit", "verify").code == 0  # ours was not touched


def test_a_missing_a_cut_and_a_swapped_entry_are_found(signed, ecrin, copy, key, tmp_path):
    alterations = (
        ("DELETE FROM log_entry WHERE idx = 0",),
        ("DELETE FROM log_entry WHERE idx = (SELECT max(idx) FROM log_entry)",),
        ("UPDATE log_entry SET body = (SELECT body FROM log_entry WHERE idx = 0) WHERE idx = 1",),
        ("DELETE FROM log_entry",),
    )
    for statements in alterations:
        mine = tmp_path / "mine.db"
        shutil.copyfile(copy, mine)
        for statement in statements:
            altered(mine, statement)
        ended = ecrin("audit", "verify", "--database", mine, "--key", key, "--json")
        assert ended.code == 1, statements
        assert ended.json["logs"][0]["verdict"] == "tampered"


def test_our_own_log_tampered_with_is_found_by_the_checkpoint_outside(signed, ecrin):
    altered(signed / "ecrin.db", "DELETE FROM log_checkpoint")
    altered(signed / "ecrin.db", "UPDATE log_entry SET body = replace(body, 'allow', 'alloW') WHERE idx = 0")
    ended = ecrin("audit", "verify", "--json")
    assert (ended.code, ended.json["logs"][0]["verdict"]) == (1, "tampered")


def test_without_a_key_or_a_file_nothing_is_decided(signed, ecrin, copy, key, tmp_path):
    (tmp_path / "text").write_text("no database")
    other = "ecrin/audit+00000000+AXxx"
    for arguments in (
        ("--database", copy, "--key", other),
        ("--database", copy, "--key", "nonsense"),
        ("--database", tmp_path / "none.db", "--key", key),
        ("--database", tmp_path / "text", "--key", key),
        ("--database", tmp_path / "none.db"),
        ("--pinned", tmp_path / "none"),
    ):
        ended = ecrin("audit", "verify", *arguments)
        assert ended.code == 2, arguments
        assert "Traceback" not in ended.err
        assert ended.err or ended.out
    foreign = ecrin("audit", "verify", "--database", copy, "--key", foreign_key())
    assert foreign.code == 2


def foreign_key():
    """A good verifier key of somebody else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from audit.note import vkey

    return vkey("ecrin/audit", Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def test_a_log_without_its_root_key_is_verified_by_the_key_alone(signed, ecrin, copy, key):
    shutil.rmtree(signed / "roots")
    assert ecrin("audit", "verify").code in {1, 2, 4}
    assert ecrin("audit", "verify", "--database", copy, "--key", key).code == 0


def test_entries_after_the_checkpoint_are_told_and_no_tampering(signed, ecrin, jwks):
    assert ecrin("system", "add", "other-pos", "--brand", "vantier", "--jwks", jwks, "--scope", "lookup").code == 0
    (log,) = ecrin("audit", "verify", "--json").json["logs"]
    assert (log["verdict"], log["size"] > log["signed"]) == ("fine", True)
    checkpointed(signed)
    (log,) = ecrin("audit", "verify", "--json").json["logs"]
    assert log["size"] == log["signed"]


def test_a_log_is_published_as_files_that_others_verify(signed, ecrin, tmp_path, key):
    folder = tmp_path / "public"
    told = ecrin("audit", "publish", str(folder), "--entries", "--json")
    assert told.code == 0
    assert told.json["size"] > 0
    assert ecrin("audit", "publish", str(folder), "--entries", "--json").json["written"] == 1
    assert ecrin("audit", "verify", "--folder", str(folder), "--key", key).code == 0
    (bundle,) = (folder / "tile" / "entries").rglob(f"{told.json['size']}")
    content = bytearray(bundle.read_bytes())
    content[40] ^= 1
    bundle.write_bytes(content)
    assert ecrin("audit", "verify", "--folder", str(folder), "--key", key).code == 1
    assert ecrin("audit", "verify", "--folder", str(tmp_path), "--key", key).code == 2
    (folder / "checkpoint").write_text("something else\n")
    assert ecrin("audit", "publish", str(folder)).code == 1


def test_evidence_is_exported_once_read_and_checked(signed, ecrin, tmp_path):
    bundle = tmp_path / "evidence.zip"
    told = ecrin("audit", "export", bundle, "--for", "cnil", "--act", "system.created", "--json")
    assert told.code == 0, told.err
    assert told.json["rows"] >= 1
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        page = archive.read("README.html").decode()
        assert archive.read("report.pdf").startswith(b"%PDF")
        assert archive.read("verify.py").decode() == standalone()
    assert {"checkpoint", "filter.json", "rows.csv", "schema.json", "SHA256SUMS", "SHA256SUMS.note"} <= names
    for needed in (
        "cnil",
        "system.created",
        "ecrin/audit+",
        "ecrin/audit/export+",
        "verify.py",
        "What it does not prove",
    ):
        assert needed in page, needed
    assert "http" not in page  # fetches nothing, points nowhere
    assert ecrin("audit", "verify", "--bundle", bundle).code == 0
    content = bytearray(bundle.read_bytes())
    content[len(content) // 3] ^= 1
    bundle.write_bytes(content)
    assert ecrin("audit", "verify", "--bundle", bundle).code == 1
    assert ecrin("audit", "export", bundle, "--for", "cnil").code == 2  # nothing is overwritten
    assert ecrin("audit", "verify", "--bundle", tmp_path / "none.zip").code == 2


def test_an_export_says_when_the_authority_does_not_answer(signed, ecrin, tmp_path, monkeypatch):
    monkeypatch.setenv("ECRIN_TIMESTAMP_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    roots = tmp_path / "roots.pem"
    roots.write_text("")
    monkeypatch.setenv("ECRIN_TIMESTAMP_ROOTS", str(roots))
    told = ecrin("audit", "export", tmp_path / "evidence.zip", "--for", "cnil", "--act", "system.created", "--json")
    assert told.code == 0, told.err
    assert "gave no good time stamp" in told.err
    assert told.json["rows"] >= 1


def test_wrong_exports_leave_no_file(signed, ecrin, tmp_path):
    bundle = tmp_path / "evidence.zip"
    for arguments, code in (
        (("--for", "the people"), 2),
        (("--for", "cnil", "--act", "nothing.done"), 2),
        (("--for", "cnil", "--brand", "aurelle", "--reference", "ref_x"), 2),
        (("--for", "cnil", "--brand", "aurelle", "--reference", "ref_x", "--subject-key", tmp_path / "k"), 1),
        (("--for", "cnil", "--from", "2026-11-24", "--to", "x", "--from", "tomorrow"), 2),
        (("--for", "cnil", "--policy", tmp_path / "none"), 4),
    ):
        ended = ecrin("audit", "export", bundle, *arguments)
        assert (ended.code, bundle.exists()) == (code, False), arguments
        assert "Traceback" not in ended.err
    assert not (tmp_path / "k").exists()


def test_the_key_holders_count_is_held_against_the_log(signed, ecrin, tmp_path):
    lines = tmp_path / "keyd.log"
    lines.write_text('{"event":"keyd.opened","count":3,"refused":0,"time":"2026-11-24T01:06:12Z"}\n')
    told = ecrin("audit", "reconcile", str(lines), "--json")
    assert (told.code, told.json["hours"][0]["opened"]) == (0, 3)
    lines.write_text('{"event":"keyd.opened","count":90000,"refused":0,"time":"2026-11-24T01:06:12Z"}\n')
    assert ecrin("audit", "reconcile", str(lines)).code == 1
    lines.write_text("nothing\n")
    assert ecrin("audit", "reconcile", str(lines)).code == 2
    assert ecrin("audit", "reconcile", str(tmp_path / "none")).code == 2


def test_doctor_says_when_the_witnesses_have_no_quorum(signed, ecrin, tmp_path, key, monkeypatch):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from audit.note import vkey
    from vault import witnessing

    def told():
        checks = {each["check"]: each for each in ecrin("doctor", "--json").json["checks"]}
        return checks["witnesses"]["result"], checks["witnesses"]["detail"]

    witness = vkey("w.example", Ed25519PrivateKey.generate().public_key().public_bytes_raw(), 4)
    path = tmp_path / "policy"
    monkeypatch.setenv("ECRIN_WITNESS_POLICY", str(path))
    assert told()[0] == "failed"
    path.write_text(f"log {key}\nwitness w {witness} https://w.example/\nquorum w\n")
    monkeypatch.setattr(witnessing, "LATE_SECONDS", 0)
    assert told() == ("overdue", "no quorum of 1 witness stands under what was signed since")
    monkeypatch.setattr(witnessing, "LATE_SECONDS", 1 << 40)  # however long ago it was signed
    assert told()[0] == "ok"
    path.write_text(f"log {key}\nquorum none\n")
    assert told()[0] == "ok"
    path.write_text("log nonsense\n")
    assert told()[0] == "failed"
