"""The files of deploy/: what can be held of them without a container engine."""

import fnmatch
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from api.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {PREFIX + name.upper() for name in Settings.model_fields}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def image():
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def named(text):
    return set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+", text))


@pytest.mark.parametrize("file", ["compose.yaml", "Dockerfile", "ecrin-keyd.service", "README.md", "nginx.conf"])
def test_every_setting_that_is_named_exists(file):
    assert named((DEPLOY / file).read_text(encoding="utf-8")) <= KNOWN


def test_services_mount_and_join_what_is_declared(compose, image):
    made = set(re.findall(r"/(?:var/lib|run)/[a-z/-]+", image))
    for service in compose["services"].values():
        for mount in service["volumes"]:
            volume, place = mount.split(":")
            assert volume in compose["volumes"]
            if "build" in service:
                assert place in made, "a volume takes its owner from the image"
        assert set(service["networks"]) <= set(compose["networks"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        assert set(service.get("secrets", ())) <= set(compose["secrets"])


def test_only_the_holder_reaches_the_keys_and_it_can_erase(compose):
    holders = {name: service for name, service in compose["services"].items() if "keystore" in str(service["volumes"])}
    assert holders.keys() == {"keyd"}
    environment = holders["keyd"]["environment"]
    places = environment["ECRIN_KEYSTORE_COPIES"].split(",")
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in holders["keyd"]["volumes"]}
    assert len({mounted[place] for place in places}) == 2
    assert compose["networks"]["none"]["internal"] is True
    assert holders["keyd"]["networks"] == ["none"]
    deployments = {each["environment"]["ECRIN_DEPLOYMENT"] for each in compose["services"].values() if "build" in each}
    assert len(deployments) == 1


def test_the_image_copies_what_is_there_and_not_kept_from_it(image):
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert kept[0] == "*"
    for line in re.findall(r"^COPY (?!--from)(.+)$", image, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, each[1:]) for each in kept if each.startswith("!")), source
    assert set(re.findall(r"-r (\S+)", image)) == {"bootstrap.lock", "requirements-providers.lock"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path):
    units = []
    for unit in ("ecrin-keyd.socket", "ecrin-keyd.service"):
        text = (DEPLOY / unit).read_text(encoding="utf-8")
        units.append(tmp_path / unit)
        units[-1].write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    told = subprocess.run(
        ["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True, timeout=60
    )
    assert [line for line in (told.stdout + told.stderr).splitlines() if "ecrin" in line] == []
    assert told.returncode == 0
