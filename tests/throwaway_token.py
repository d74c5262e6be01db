"""A SoftHSM2 token for one test session: own folder, own PINs, gone afterwards."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
LABEL = "ecrin-test"


class TokenUnavailable(Exception):
    """This machine has no SoftHSM2; says what is missing."""


class ThrowawayToken:
    """Makes the token. The library reads where it is from the environment, once per process."""

    def __init__(self, folder):
        found = [path for path in map(Path, MODULES) if path.exists()]
        self.util = shutil.which("softhsm2-util")
        if not found or not self.util:
            raise TokenUnavailable("no SoftHSM2 (libsofthsm2.so, softhsm2-util) on this machine")
        self.module = found[0]
        self.pin = secrets.token_hex(8)
        (folder / "tokens").mkdir(mode=0o700)
        self.config = folder / "softhsm2.conf"
        self.config.write_text(
            f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(self.config)
        subprocess.run(
            [
                self.util,
                "--init-token",
                "--free",
                "--label",
                LABEL,
                "--pin",
                self.pin,
                "--so-pin",
                secrets.token_hex(8),
            ],
            check=True,
            capture_output=True,
        )
