"""Make this process hard to look into, before it holds anything worth seeing (crypto study §7).

Order matters: non-dumpable first, so that from then on no process of this account may attach to it or open its memory;
then no core file, no new privileges, every page locked. Only then may keys be loaded. Root still reads everything.
"""

import ctypes
import faulthandler
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_YAMA: Final = Path("/proc/sys/kernel/yama/ptrace_scope")
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_CAP_IPC_LOCK: Final = 14


class NotHardened(Exception):
    """The process could not be closed to others: no key may be loaded. Says which part."""


@dataclass(frozen=True, slots=True)
class Hardening:
    """What holds now. Everything but `locked` always does, or `harden` raised.

    `attachable`: the kernel lets processes of one account attach to each other, so the next image of this process can be
    caught before its first line. Yama's `kernel.yama.ptrace_scope` of 1 or more forbids it.
    """

    locked: bool
    attachable: bool


def harden() -> Hardening:
    """Close this process to others, for good. Raises NotHardened when any part but the locking of memory fails.

    Memory is locked where the account may lock all of it: under a finite limit the lock would hold until the first
    large allocation and then fail that, such as the gibibyte of Argon2id.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) or libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0):
        raise NotHardened("this process stays open to its account's other processes")
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        raise NotHardened("a core file cannot be ruled out") from None
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise NotHardened("new privileges cannot be ruled out")
    if _status("TracerPid") != "0":
        # Who attached before the first line above stays attached after it.
        raise NotHardened("another process is attached to this one")
    faulthandler.disable()  # it would print frames on a fault
    return Hardening(_may_lock_all() and libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) == 0, _attachable(_YAMA))


def _attachable(scope: Path) -> bool:
    try:
        return int(scope.read_text("ascii")) == 0
    except (OSError, ValueError):
        return True  # no Yama: the account alone decides


def _may_lock_all() -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft == resource.RLIM_INFINITY or bool(int(_status("CapEff"), 16) >> _CAP_IPC_LOCK & 1)


def _status(name: str) -> str:
    for line in Path(f"/proc/{os.getpid()}/status").read_text("ascii", "replace").splitlines():
        label, _, value = line.partition(":")
        if label == name:
            return value.strip()
    raise NotHardened("the system does not say who is attached")
