"""The verifier as an auditor meets it: a file, a key, an exit code; and one source file that runs alone."""

import json
import shutil
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, text
from tamperable_log import ORIGIN, START, Ed25519Signer, body, entry_id

from audit import ledger, tables, verify
from audit.errors import CannotDecide
from audit.merkle import Frontier, leaf_hash
from audit.standalone import standalone
from audit.stored import open_sqlite

EMPTYING = ("DELETE FROM log_entry", "DELETE FROM log_head", "DELETE FROM log_checkpoint")


@pytest.fixture
def vault_file(tmp_path, signer):
    """A data file with a log of 40 entries, checkpoints at 25 and 40."""
    path = tmp_path / "vault.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as conn:
        conn.exec_driver_sql("PRAGMA journal_mode = WAL")
        tables.metadata.create_all(conn)
        ledger.create_head(conn, 0, ORIGIN, START)
    for start, end in ((0, 25), (25, 40)):
        with engine.begin() as conn:
            ledger.append(conn, 0, [(entry_id(number), body(number)) for number in range(start, end)], START)
        with engine.begin() as conn:
            ledger.sign_checkpoint(conn, 0, (signer,), tmp_path / f"checkpoint-{end}")
    engine.dispose()
    return path


def change(path, statement, *rows):
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as conn:
        conn.exec_driver_sql("PRAGMA ignore_check_constraints = ON")  # whoever owns the file is bound by nothing
        for row in rows or ({},):
            conn.execute(text(statement), row)
    engine.dispose()


def run(path, *arguments):
    return verify.main([str(path), *map(str, arguments)])


def test_a_sound_file_is_verified(vault_file, signer, capsys):
    assert run(vault_file, "--key", signer.vkey, "--pinned", vault_file.parent / "checkpoint-25") == 0
    printed = capsys.readouterr().out
    assert f"{ORIGIN}: verified" in printed
    assert "40 entries" in printed
    assert "3 checkpoints checked, the largest at 40" in printed


def test_one_flipped_byte_in_a_copy_is_named(vault_file, signer, tmp_path, capsys):
    copy = tmp_path / "copy.sqlite"
    shutil.copyfile(vault_file, copy)
    content = copy.read_bytes()
    target = body(17)
    assert content.count(target) == 1
    at = content.index(target) + len(target) // 2
    copy.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    assert run(copy, "--key", signer.vkey, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["first_bad_index"] == 17
    assert result["verdict"] == "tampered"
    assert [each["kind"] for each in result["findings"]] == ["changed"]
    assert run(vault_file, "--key", signer.vkey) == 0


@pytest.mark.parametrize(
    ("statement", "kind", "index"),
    [
        ("DELETE FROM log_entry WHERE idx = 3", "missing", 3),
        ("DELETE FROM log_entry WHERE idx >= 38", "truncated", 38),
        ("DELETE FROM log_head", "head", 0),
        ("UPDATE log_head SET shard = 4", "head", 0),
        ("UPDATE log_entry SET shard = 4 WHERE idx = 39", "truncated", 39),
        ("UPDATE log_entry SET idx = -5 WHERE idx = 0", "reordered", -5),
        ("UPDATE log_entry SET body = CAST(body AS TEXT) WHERE idx = 6", "changed", 6),
        ("UPDATE log_entry SET body = 7 WHERE idx = 6", "changed", 6),
        ("UPDATE log_entry SET leaf = 'text' WHERE idx = 6", "changed", 6),
        ("UPDATE log_entry SET idx = 'word' WHERE idx = 6", "missing", 6),
        ("UPDATE log_checkpoint SET note = CAST(x'ff' AS TEXT) WHERE size = 40", "checkpoint", None),
        ("UPDATE log_checkpoint SET note = x'ff' WHERE size = 40", "checkpoint", None),
        ("UPDATE log_checkpoint SET size = 'word' WHERE size = 40", "checkpoint", None),
        ("UPDATE log_head SET stack = 'text'", "head", None),
        ("UPDATE log_head SET size = 'word'", "head", None),
        ("UPDATE log_head SET origin = CAST(x'ff' AS TEXT)", "checkpoint", None),
    ],
)
def test_what_sql_can_do_to_a_log_is_found(vault_file, signer, capsys, statement, kind, index):
    change(vault_file, statement)
    assert run(vault_file, "--key", signer.vkey, "--json") == 1
    findings = [
        (each["kind"], each["index"])
        for line in capsys.readouterr().out.splitlines()
        for each in json.loads(line)["findings"]
    ]
    assert (kind, index) in findings or kind in {found for found, _ in findings}
    if index is not None and index > 0:
        assert index in {place for _, place in findings}


def test_an_older_copy_is_found_by_a_checkpoint_kept_elsewhere(vault_file, signer, capsys):
    change(vault_file, "DELETE FROM log_entry WHERE idx >= 25")
    change(vault_file, "DELETE FROM log_checkpoint WHERE size = 40")
    frontier = Frontier().extend(leaf_hash(body(number)) for number in range(25))
    change(vault_file, "UPDATE log_head SET size = 25, stack = :stack", {"stack": frontier.pack()})
    assert run(vault_file, "--key", signer.vkey) == 0
    assert run(vault_file, "--key", signer.vkey, "--pinned", vault_file.parent / "checkpoint-40") == 1
    assert "truncated" in capsys.readouterr().out


def test_a_second_log_in_the_file_is_verified_with_its_own_checkpoints(vault_file, signer, tmp_path, capsys):
    second = Ed25519Signer(f"{ORIGIN}/1")
    engine = create_engine(f"sqlite:///{vault_file}")
    with engine.begin() as conn:
        ledger.create_head(conn, 1, second.name, START)
        ledger.append(conn, 1, [(entry_id(number), body(number)) for number in range(50, 53)], START)
    with engine.begin() as conn:
        ledger.sign_checkpoint(conn, 1, (second,), tmp_path / "second")
    engine.dispose()
    keys = ("--key", signer.vkey, "--key", second.vkey)
    pins = ("--pinned", tmp_path / "second", "--pinned", tmp_path / "checkpoint-40")
    assert run(vault_file, *keys, *pins) == 0
    assert run(vault_file, *keys, "--origin", second.name) == 0
    assert "3 entries" in capsys.readouterr().out.splitlines()[-2]
    assert run(vault_file, *keys, "--origin", "vault.example/none") == 2
    stranger = Ed25519Signer("vault.example/elsewhere")
    (tmp_path / "stray").write_text((tmp_path / "second").read_text().replace(second.name, stranger.name))
    assert run(vault_file, *keys, "--pinned", tmp_path / "stray") == 2


@pytest.mark.parametrize(
    "prepare",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"this is not a database, and long enough to be looked at" * 20),
        lambda path: change(path, "DROP TABLE log_entry"),
        lambda path: change(path, "ALTER TABLE log_entry DROP COLUMN leaf"),
        lambda path: [change(path, statement) for statement in EMPTYING],
    ],
)
def test_what_is_no_log_cannot_be_decided(vault_file, signer, prepare, capsys):
    prepare(vault_file)
    assert run(vault_file, "--key", signer.vkey) == 2
    assert "cannot decide" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--key", "no-such-file"), ("--key", "a+b+c"), ("--pinned", "no-such-file")])
def test_bad_arguments_cannot_be_decided(vault_file, arguments):
    assert run(vault_file, *arguments) == 2


def test_a_key_may_be_given_as_a_file(vault_file, signer, tmp_path):
    (tmp_path / "log.key").write_text(signer.vkey + "\n")
    assert run(vault_file, "--key", tmp_path / "log.key") == 0


def test_no_key_is_no_verdict(vault_file, capsys):
    assert run(vault_file) == 2
    assert "no verifier key" in capsys.readouterr().out


def test_a_file_in_a_folder_nobody_may_write_is_read(vault_file, signer, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir()
    shutil.copyfile(vault_file, folder / "copy.sqlite")
    folder.chmod(0o500)
    try:
        assert run(folder / "copy.sqlite", "--key", signer.vkey) == 0
    finally:
        folder.chmod(0o700)


def test_a_log_that_is_being_written_is_read_undisturbed(vault_file, signer):
    engine = create_engine(f"sqlite:///{vault_file}")
    with engine.connect() as conn:
        conn.begin()
        ledger.append(conn, 0, [(entry_id(40), body(40))], START)
        assert run(vault_file, "--key", signer.vkey) == 0
        conn.commit()
    engine.dispose()


def test_reading_raises_one_error(tmp_path):
    with pytest.raises(CannotDecide), open_sqlite(tmp_path / "none.sqlite"):
        pass


def test_the_module_is_a_program(vault_file, signer):
    command = [sys.executable, "-m", "audit.verify", str(vault_file), "--key", signer.vkey]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_one_file_runs_alone(vault_file, signer, tmp_path):
    """In isolated mode, in a folder of its own: nothing of the product can be imported."""
    alone = tmp_path / "auditor"
    alone.mkdir()
    (alone / "verify.py").write_text(standalone())

    def verdict():
        command = [sys.executable, "-I", "-W", "error", "verify.py", str(vault_file), "--key", signer.vkey]
        return subprocess.run(command, check=False, capture_output=True, cwd=alone, text=True)

    fine = verdict()
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "40 entries" in fine.stdout
    change(vault_file, "UPDATE log_entry SET body = leaf WHERE idx = 11")
    found = verdict()
    assert found.returncode == 1
    assert "entry 11" in found.stdout


def test_the_one_file_imports_the_standard_library_and_cryptography_only():
    import ast

    tops = set()
    for node in ast.walk(ast.parse(standalone())):
        if isinstance(node, ast.Import):
            tops |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add((node.module or "").partition(".")[0])
    assert tops <= sys.stdlib_module_names | {"cryptography"}
