"""The shipped bundle, and short ways to put a question to it."""

from pathlib import Path

import pytest

from policies.bundle import Bundle, parse_bundle
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, SubjectFacts, Wanted

FOLDER = Path(__file__).resolve().parents[2] / "policies" / "bundles" / "maisons"


def read_folder() -> dict[str, bytes]:
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def shipped_files() -> dict[str, bytes]:
    return read_folder()


@pytest.fixture(scope="session")
def maisons(shipped_files) -> Bundle:
    return parse_bundle("maisons", shipped_files)


@pytest.fixture
def question():
    """Build a request from keywords; what is not said is the harmless default."""

    def build(
        purpose: str,
        *wanted: tuple[str, str],
        staffed: bool = False,
        brand: str = "aurelle",
        region: str = "fr",
        consents: dict[str, ConsentStatus] | None = None,
        registered: bool = True,
        **facts: bool,
    ) -> DecisionRequest:
        purposes = frozenset({purpose}) if registered else frozenset()
        known = facts.pop("known_to_brand", True)
        return DecisionRequest(
            Caller("till", brand, purposes, staffed),
            SubjectFacts(
                known_to_brand=known,
                erased=facts.pop("erased", False),
                restricted=facts.pop("restricted", False),
                minor=facts.pop("minor", False),
                region=region,
                consents=consents or {},
            ),
            purpose,
            tuple(ask(field, level) for field, level in wanted),
        )

    return build


def ask(field: str, level: str) -> Wanted:
    name, _, predicate = level.partition(":")
    return Wanted(field, Level(name), predicate)
