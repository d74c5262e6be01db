"""The client is a wheel of its own: built from its folder alone, importable without the server, with the same needs."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "api" / "client"

USE = """
import sys
sys.path[:] = [each for each in sys.path if "site-packages" not in each]
sys.path[:0] = sys.argv[1:3]
from api.client.asynchronous import AsyncEcrin
from api.client.attestations import verify_attestation
from api.client.blocking import Ecrin
from api.client.identity import Identity, SigningKey
from api.client.receipts import verify_receipt
assert Ecrin.__module__ == "api.client.blocking"
assert sys.modules["api.client.blocking"].__file__.startswith(sys.argv[1])
assert not {"vault", "policies", "audit", "fastapi", "sqlalchemy"} & sys.modules.keys()
print(Ecrin("https://vault.example", Identity("till", SigningKey.generate(), "k1")))
"""


def test_the_wheel_is_built_from_its_folder_and_works_alone(tmp_path):
    source = shutil.copytree(FOLDER, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    built = subprocess.run([*command, "-w", tmp_path, source], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("ecrin_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {each for each in archive.namelist() if ".dist-info/" not in each}
        archive.extractall(tmp_path / "site")
    assert names == {f"api/client/{each.name}" for each in FOLDER.iterdir() if each.suffix in {".py", ".typed"}}
    # -S: no .pth file may lead back to the tree.
    arguments = [tmp_path / "site", sysconfig.get_path("purelib")]
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", USE, *arguments], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "<Ecrin till>"), run.stderr


def test_client_and_server_ask_for_the_same_libraries_and_have_one_version():
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    part = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]
    assert part["version"] == whole["version"]
    assert set(part["dependencies"]) <= set(whole["dependencies"])
