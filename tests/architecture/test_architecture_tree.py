"""What may be in the tree: no machine's paths, no download address in a lock, no secret, no folder without a reason."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-providers.lock", "requirements-dev.lock", ".ci/bootstrap.lock")
FOLDERS = {"vault", "policies", "audit", "api", "tests", "docs", "deploy", ".ci"}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / entry for entry in listing.decode().split("\0") if entry]
    return [path for path in paths if path.is_file()]


def hits(pattern: re.Pattern[bytes]) -> list[str]:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    return found


def locked(lock: str) -> dict[str, str]:
    """Give name -> version of one lock file."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", text, re.MULTILINE))


def test_no_path_of_somebodys_machine():
    assert not hits(re.compile(rb"(?<![\w.~-])/(work|root|home|Users)/[\w.-]|(?<![\w.~-])/tmp/[a-z]"))


def test_no_registry_address():
    assert not hits(re.compile(rb"(pypi|pythonhosted|npmjs|yarnpkg)\.(org|com)|--(extra-)?index-[u]rl|--find-[l]inks"))


def test_no_private_key():
    assert not hits(re.compile(rb"-{5}BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}"))


def test_top_level_folders_are_the_agreed_ones():
    assert {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT} <= FOLDERS


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_by_hash_and_carry_no_address(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    requirements = re.split(r"(?<!\\)\n", text.strip())
    assert len(requirements) == len(locked(lock)) > 0
    for requirement in requirements:
        assert re.fullmatch(r"\S+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", requirement), (
            requirement.partition("\n")[0]
        )


def test_locks_agree_with_each_other_and_with_the_project():
    run, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    image = locked("requirements-providers.lock")
    assert run.items() < image.items() < dev.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name: [line for line in lines if not line.startswith("ecrin[")]
        for name, lines in project["optional-dependencies"].items()
    }
    providers = [line for name in ("shamir", "pkcs11", "aws-kms", "vault-transit") for line in extras[name]]
    everything = [line for lines in extras.values() for line in lines]
    for wanted, lock in ((project["dependencies"], run), (providers, image), (everything, dev)):
        assert {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in wanted} <= lock.keys()


def test_every_test_file_has_a_name_of_its_own():
    """Test folders hold no package files, so pytest tells modules apart by name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_nobody_imports_a_conftest():
    """Several folders have one, and which of them the name means depends on what was collected first."""
    importing = re.compile(r"^\s*(from|import) conftest\b", re.MULTILINE)
    assert not [
        path.name for path in (ROOT / "tests").rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))
    ]


def test_support_modules_have_names_of_their_own():
    """They share one import path, and must not hide each other or a package."""
    names = [
        path.stem for path in (ROOT / "tests").rglob("*.py") if path.stem not in {"conftest", "__init__", "__main__"}
    ]
    assert sorted(names) == sorted(set(names))
    assert not FOLDERS & set(names)


def test_the_times_to_mend_and_the_way_to_look_are_written_down():
    """And whoever looks asks about every pinned part, those of other machines too."""
    told = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (critical|high|medium|low)\b[^|]* \| (\d+) days \|$", told, re.MULTILINE)
    assert [severity for severity, _ in rows] == ["critical", "high", "medium", "low"]
    assert [int(days) for _, days in rows] == sorted(int(days) for _, days in rows)
    assert "`make advisories`" in told
    asked = subprocess.run([ROOT / ".ci/advisories.sh", "--pins"], capture_output=True, text=True, check=True).stdout
    pins = {each.partition(" ;")[0] for each in tomllib.loads(asked)["project"]["dependencies"]}
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert pins == set(re.findall(r"^([A-Za-z0-9._\[\],-]+==[^ ;\\]+)", lock, re.MULTILINE))
    assert len(pins) > 100
