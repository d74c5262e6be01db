"""Errands: work by the clock that one process of all does, when it is due, however often processes start.

When each is due next is a row of the database, so that neither a restart nor a second process runs one twice. Who claims
an errand and dies has it done at the next time: an errand must be work that finds what it missed.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from vault.store.lookup import run as run_statement
from vault.unit import UnitOfWork, Vault

T = TypeVar("T")

_CLAIM: Final = "UPDATE errand SET due_at = {mark} WHERE name = {mark} AND due_at <= {mark}"
_PLAN: Final = "INSERT INTO errand (name, due_at) VALUES ({mark}, {mark}) ON CONFLICT DO NOTHING"
_MARK: Final = "UPDATE errand SET due_at = {mark} WHERE name = {mark} AND due_at <> {mark}"
_PUT_OFF: Final = "UPDATE errand SET due_at = {mark} WHERE name = {mark}"


def claim(vault: Vault, name: str, every: int) -> bool:
    """Whether the errand is due, and the caller the one who does it; it is due again `every` seconds from now.

    One that nobody ever claimed is due for the first time `every` seconds from now.
    """
    with vault.unit() as uow:
        due, mark = uow.now + every, _mark(vault)
        claimed = bool(run_statement(uow.conn, _CLAIM.format(mark=mark), [due, name, uow.now]).rowcount)
        if not claimed:
            run_statement(uow.conn, _PLAN.format(mark=mark), [name, due])
        uow.commit()
    return claimed


def run(vault: Vault, name: str, every: int, work: Callable[[], T], *, retry: int) -> T | None:
    """Do the errand if it is due and nobody else does, and return what it gave; None if not.

    One that fails is due again `retry` seconds from now, or `every` if that is sooner. Raises what the work raises.
    """
    if not claim(vault, name, every):
        return None
    try:
        return work()
    except BaseException:
        put_off(vault, name, min(retry, every))
        raise


def put_off(vault: Vault, name: str, seconds: int) -> None:
    """Have an errand that failed done `seconds` from now."""
    with vault.unit() as uow:
        run_statement(uow.conn, _PUT_OFF.format(mark=_mark(vault)), [uow.now + seconds, name])
        uow.commit()


def marked(uow: UnitOfWork, name: str, *, stands: bool) -> bool:
    """Set a mark that all processes share, and tell whether it was otherwise before. Durable with the unit, or not at all.

    For what is true of the deployment and seen by each of its processes: whoever changes the mark puts it on record. Never
    set is not standing.
    """
    mark, value = _mark(uow.vault), int(stands)
    if run_statement(uow.conn, _MARK.format(mark=mark), [value, name, value]).rowcount:
        return True
    return stands and bool(run_statement(uow.conn, _PLAN.format(mark=mark), [name, value]).rowcount)


def _mark(vault: Vault) -> str:
    return "?" if vault.engine.dialect.name == "sqlite" else "%s"
