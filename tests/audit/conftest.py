"""What every test of the log needs: a signer, and hypothesis without a stopwatch."""

import pytest
from hypothesis import settings
from tamperable_log import ORIGIN, Ed25519Signer

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def signer():
    return Ed25519Signer(ORIGIN)
