"""Parts that several tests of the vault share."""

import pytest


@pytest.fixture
def scene(vault, place, tmp_path, clock):
    """A deployment that forgets people. Tests of the keystore alone make a smaller one of their own."""
    from erasure_scene import Scene

    made = Scene(vault, place, tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def reporting(vault, tmp_path, clock):
    """A vault whose log a test writes by hand, and reports over it."""
    from report_scene import ReportScene

    return ReportScene(vault, tmp_path, clock)
