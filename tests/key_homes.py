"""The two homes of a key service, for suites that hold for both: in this process, and behind a key holder's socket."""

import os
import tempfile
from pathlib import Path
from threading import Thread

from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.holder import Holder, SealMark, Unattended
from vault.keys.keyd.server import KeydServer, listen
from vault.runtime import SystemEntropy

PROCESS, HOLDER = HOMES = ("process", "holder")
DEPLOYMENT = "held"


class HeldClient(KeydClient):
    """The client of a holder of its own, which goes when it is closed. The holder is a thread here; the socket is real."""

    def __init__(self, opener, deployment=DEPLOYMENT, *, accounts=None, unsealer=None, **options):
        self._folder = tempfile.TemporaryDirectory(prefix="ecrin-held-")
        folder = Path(self._folder.name)
        self.holder = Holder(
            unsealer or Unattended(None), lambda _: opener(), SealMark(folder / "sealed", SystemEntropy())
        )
        self.holder.start()
        self.socket = folder / "keyd.sock"
        self.listener = listen(str(self.socket))
        self.told = []
        accounts = frozenset({os.geteuid()}) if accounts is None else accounts
        self.server = KeydServer(self.listener, self.holder, deployment, accounts, self.told.append)
        self.ended = []
        self._thread = Thread(target=lambda: self.ended.append(self.server.serve()), daemon=True)
        self._thread.start()
        super().__init__(self.socket, deployment, **options)

    def close(self):
        super().close()
        self.server.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.listener.close()
        self.holder.close()
        self._folder.cleanup()


def at_home(home, opener):
    """Open a key service in one of its homes."""
    if home == PROCESS:
        return opener()
    client = HeldClient(opener)
    client.status()  # as a serving process asks each second
    return client
