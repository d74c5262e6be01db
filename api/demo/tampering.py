"""Checks the demo's audit log as an outsider would, and shows that one flipped byte does not go unnoticed.

Works on copies: the stand-alone verifier gets a file, a verifier key, and the checkpoint that was published, and runs
as a process of its own.
"""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an outsider holds: a copy of the data file, and the key and newest checkpoint they got elsewhere."""

    copy: Path
    key: str
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """The verifier's verdict (0 fine, 1 tampered, 2 cannot decide) and its findings as (index, sentence)."""

    verdict: int
    size: int
    findings: tuple[tuple[int | None, str], ...]


def copy_of(database: Path, target: Path) -> Path:
    """Copy a SQLite database that is in use, as one consistent state."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as source:
        source.execute("VACUUM INTO ?", (str(target),))
    return target


def flip_one_byte(copy: Path, index: int) -> None:
    """Flip one bit of one byte of log entry `index`, in the file itself, behind every program's back."""
    with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as source:
        (body,) = source.execute("SELECT body FROM log_entry WHERE shard = 0 AND idx = ?", (index,)).fetchone()
    content = bytearray(copy.read_bytes())
    content[content.index(body) + len(body) // 2] ^= 1
    copy.write_bytes(content)


def verify(evidence: Evidence) -> Opinion:
    """Run the stand-alone verifier in its own process."""
    pinned = evidence.copy.with_suffix(".checkpoint")
    pinned.write_text(evidence.checkpoint, "utf-8")
    command = [sys.executable, "-m", "audit.verify", str(evidence.copy), "--key", evidence.key]
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own module, paths we made
        [*command, "--pinned", str(pinned), "--json"], check=False, capture_output=True, timeout=120
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[0]) if done.stdout else {}
    found = tuple((item.get("index"), str(item.get("message", ""))) for item in told.get("findings", ()))
    return Opinion(done.returncode, int(told.get("size", 0)), found)


def entries(copy: Path) -> int:
    """Count the entries of the first log in a copy."""
    with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as source:
        (size,) = source.execute("SELECT size FROM log_head WHERE shard = 0").fetchone()
    return int(size)
