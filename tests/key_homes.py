"""The two homes of a key service, for suites that hold for both: in this process, and behind a key holder's socket."""

import os
import tempfile
from pathlib import Path
from threading import Thread

from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.epochwork import EpochWork
from vault.keys.keyd.holder import Holder, SealMark, Unattended
from vault.keys.keyd.server import OPENS, Ended, KeydServer, listen
from vault.runtime import SystemEntropy

PROCESS, HOLDER = HOMES = ("process", "holder")
DEPLOYMENT = "held"


class HeldClient(KeydClient):
    """The client of a holder of its own, which goes when it is closed. The holder is a thread here; the socket is real."""

    def __init__(
        self,
        opener,
        deployment=DEPLOYMENT,
        *,
        accounts=None,
        unsealer=None,
        keeper=None,
        limits=None,
        opens=OPENS,
        **options,
    ):
        self._folder = tempfile.TemporaryDirectory(prefix="ecrin-held-")
        folder = Path(self._folder.name)
        self.holder = Holder(
            unsealer or Unattended(None), lambda _: opener(), SealMark(folder / "sealed", SystemEntropy())
        )
        self.holder.start()
        self.socket = folder / "keyd.sock"
        self.listener = listen(str(self.socket))
        self.told = []
        self._accounts = frozenset({os.geteuid()}) if accounts is None else accounts
        self._keeper, self._limits, self._opens = keeper, limits or {}, opens
        self._serves(deployment)
        self.ended = []
        self._thread = Thread(target=self._run, args=(deployment,), daemon=True)
        self._thread.start()
        super().__init__(self.socket, deployment, **options)

    def _serves(self, deployment):
        keeper = self._keeper
        epochs = keeper and EpochWork(lambda: keeper(self.holder.provider), SystemEntropy(), **self._limits)
        self.server = KeydServer(
            self.listener, self.holder, deployment, self._accounts, self._hear, epochs, self._opens
        )

    def _hear(self, happening, **counts):
        self.told.append((happening, counts) if counts else happening)

    def _run(self, deployment):
        """Serve; where the epoch is changed from here, start anew at its end as the process does."""
        self.ended.append(self.server.serve())
        while self.ended[-1] is Ended.RENEW and self._keeper is not None and not self._closed:
            self.holder.close()
            self.holder.start()
            self._serves(deployment)
            self.ended.append(self.server.serve())

    def close(self):
        super().close()
        for _ in range(100):
            self.server.stop()  # again where it started anew in this moment
            self._thread.join(0.1)
            if not self._thread.is_alive():
                break
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
