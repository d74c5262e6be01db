"""A package verified offline: it holds, somebody changed it, or that cannot be told; never one for another."""

import hashlib
import subprocess
import sys
import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.errors import CannotDecide, VerificationError
from audit.note import assemble, parse_vkey, signature_line, vkey
from audit.packagecheck import verify_package
from audit.standalone import standalone
from audit.verify import main

ORIGIN, REQUEST = "vault.example/audit", "ab" * 16
KEY, OTHER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
FILES = {"data.json": b"{}", "csv/contact.csv": b"field,value\r\n", "README.txt": b"read"}


def public(key):
    return key.public_key().public_bytes_raw()


def signed(text, name=ORIGIN + "/package", key=KEY):
    return assemble(text, (signature_line(name, public(key), key.sign(text.encode())),)).encode()


def text_of(files=FILES, name=ORIGIN + "/package", at="1790000000"):
    lines = "".join(f"{hashlib.sha256(files[each]).hexdigest()}  {each}\n" for each in sorted(files))
    return f"{name}\n{REQUEST}\n{at}\n{lines}"


def packed(folder, manifest=None, **changed):
    """An archive of the files, with what a test changes after the signature."""
    files = FILES | {"manifest.txt": signed(text_of()) if manifest is None else manifest}
    files |= {name.replace("__", "/").replace("_dot_", "."): content for name, content in changed.items()}
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def keys(name=ORIGIN + "/receipt", key=KEY):
    return [parse_vkey(vkey(name, public(key)))]


@pytest.mark.parametrize("name", ["/receipt", "/package"])
def test_a_package_that_was_left_alone_holds(tmp_path, name):
    found = verify_package(packed(tmp_path), keys(ORIGIN + name))
    assert (found.signer, found.request, found.at, found.files) == (ORIGIN + "/package", REQUEST, 1_790_000_000, 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data_dot_json": b"{ }"}, "data.json is not what was signed"),
        ({"csv__contact_dot_csv": None}, "in the manifest and not in the archive"),
        ({"csv__more_dot_csv": b"x"}, "does not name"),
        ({"manifest": signed(text_of({"data.json": b"{}"}))}, "does not name"),
        ({"manifest": signed(text_of()).replace(b"1790000000", b"1790000001")}, "does not verify"),
        ({"manifest": signed(text_of(name=ORIGIN + "/receipt"), ORIGIN + "/receipt")}, "of a known key"),
        ({"manifest": signed(text_of() + "../../etc/passwd\n")}, "not the manifest"),
        ({"manifest": signed(text_of(at="soon"))}, "not the manifest"),
        ({"manifest": signed(text_of(name="other.example/audit/package"))}, "not the manifest"),
    ],
)
def test_what_was_changed_does_not_hold(tmp_path, changed, said):
    with pytest.raises(VerificationError, match=said):
        verify_package(packed(tmp_path, **changed), keys())


@pytest.mark.parametrize(
    "changed",
    [
        {"manifest": b"no note"},
        {"manifest": b""},
        {"manifest_dot_txt": None},
        {"manifest": signed(text_of(), key=OTHER)},
    ],
)
def test_what_nobody_known_signed_decides_nothing(tmp_path, changed):
    with pytest.raises(CannotDecide):
        verify_package(packed(tmp_path, **changed), keys())


def test_another_houses_key_decides_nothing(tmp_path):
    with pytest.raises(CannotDecide):
        verify_package(packed(tmp_path), keys("vantier.example/audit/receipt", OTHER))
    with pytest.raises(CannotDecide):
        verify_package(packed(tmp_path), [])


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_what_is_no_archive_decides_nothing(tmp_path, damage):
    path = packed(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage if damage is not None else whole[: len(whole) // 2])
    with pytest.raises(CannotDecide):
        verify_package(path, keys())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_decide_nothing(tmp_path):
    path = packed(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data.json", b"{}")
    with pytest.raises(CannotDecide, match="two files of one name"):
        verify_package(path, keys())


def test_one_file_answers_it_anywhere(tmp_path, capsys):
    (tmp_path / "verify.py").write_text(standalone())
    path, key = packed(tmp_path), vkey(ORIGIN + "/receipt", public(KEY))
    command = [sys.executable, "-I", tmp_path / "verify.py", "package", path, "--key", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        f"verified: 3 files as {ORIGIN}/package signed them for request {REQUEST}\n",
    )
    packed(tmp_path, data_dot_json=b"[]")
    assert main(["package", str(path), "--key", key]) == 1
    assert capsys.readouterr().err == "DOES NOT HOLD: data.json is not what was signed\n"
    assert main(["package", str(path)]) == 2
    assert main(["package", str(path), "--key", "bad+bad"]) == 2  # says nothing about the package
    assert main(["package", str(tmp_path / "none.zip"), "--key", key]) == 2
