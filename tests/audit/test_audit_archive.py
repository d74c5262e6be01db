"""The archive of evidence as somebody hostile may hand it to whoever verifies it."""

import zipfile

import pytest

from audit.archive import read_archive
from audit.errors import VerificationError


def test_a_small_archive_that_would_be_a_large_one_is_not_unpacked(tmp_path):
    """Ours are stored as they are, so whatever is compressed is not ours: nothing of it is read."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.ndjson", bytes(1 << 27))
    assert path.stat().st_size < 1 << 18
    with pytest.raises(VerificationError):
        next(read_archive(path))
