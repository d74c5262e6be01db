"""The seal: whether the vault serves, and the two buttons that end that and begin it again.

Sealing is a brake: a compliance officer or an operator pulls it alone, after proving to be there. Unsealing is an operator's,
and only where the root opens by what the machine has (a key file, a token, a key service). Shares and passphrases are never
typed into a page: they would pass through a browser, a proxy and a process that is kept from the root on purpose (0059).
"""

from typing import Final

from starlette.responses import Response

from api import closing
from api.console.visit import PREFIX, Visit
from api.problems import Problem
from vault.errors import Sealed, VaultError
from vault.keys.keyd.wire import Progress
from vault.keys.service import KeyState
from vault.officers import Role

PATH: Final = f"{PREFIX}/seal"
CLOSING: Final = frozenset({Role.COMPLIANCE, Role.OPERATOR})


def page(visit: Visit) -> Response:
    """Say whether it is sealed, and what opens it."""
    return _shown(visit)


def step(visit: Visit) -> Response:
    """Seal or unseal."""
    settings, form = visit.services.settings, visit.form
    if form.get("sure") != "yes":
        raise Problem("bad_request")
    if form.get("step") == "seal":
        closing.seal(settings)
        _look(visit)
        closing.record_seal(visit.vault, visit.actor)
    elif form.get("step") == "unseal":
        if visit.officer.role is not Role.OPERATOR:
            raise Problem("forbidden")
        if closing.standing(settings).needed:
            raise Problem("bad_request")
        try:
            closing.unseal(settings, visit.vault, visit.actor)
        except Sealed:
            return _shown(visit, 422, failed=True)
        _look(visit)
    else:
        raise Problem("bad_request")
    return visit.go(PATH)


def _look(visit: Visit) -> None:
    """Have this process see it now; the others do within a second."""
    if visit.services.sealing is not None:
        visit.services.sealing.look()


def _shown(visit: Visit, status: int = 200, *, failed: bool = False) -> Response:
    standing: Progress | None
    try:
        standing = closing.standing(visit.services.settings)
    except VaultError:  # the holder is away, or the record of the shares is
        standing = None
    role = visit.officer.role
    sealed = standing is not None and standing.state is KeyState.SEALED
    return visit.page(
        "seal.html", status,
        standing=standing,
        sealed=sealed,
        failed=failed,
        serves=visit.services.sealing is None or visit.services.sealing.open,
        may_seal=not sealed and role in CLOSING,
        may_unseal=standing is not None and sealed and role is Role.OPERATOR and not standing.needed,
    )  # fmt: skip
