"""Delivering: a link that gives a package out once, and the package itself, which is made when it is fetched.

Of a link only the hash of its secret is kept, and of a package nothing: what is not lying about cannot be found. The step
`deliver`, the use of the link and the entry of the export are one unit of work; only after it anything is opened. A
transfer that breaks costs a new link.
"""

import hashlib
from base64 import urlsafe_b64encode
from typing import Final

from sqlalchemy import select, update

from audit.entry import Act, Entry, Outcome
from policies.decision import OWN
from policies.rights import Right
from vault.errors import IntegrityFailure, Refused
from vault.requests import content, withholding
from vault.requests.collecting import Gathered, gather
from vault.requests.content import Content
from vault.requests.handling import granted
from vault.requests.records import Request
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import DECIDED, By, by_person, denials, lock, take, vouched
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

GOOD_FOR: Final = 7 * 86_400
SECRET_BYTES: Final = 32

_LINK: Final = metadata.tables["package_link"]
_WITH_PACKAGE: Final = frozenset({Right.ACCESS, Right.PORTABILITY})
_FETCHABLE: Final = frozenset({State.READY, State.DELIVERED})


def prepare(vault: Vault, request_id: bytes, by: By) -> Request:
    """Say that the review is done and the package may be fetched; what was read in it the portal gives from now on.

    Raises as `handling.advance`.
    """
    with denials(vault, request_id, Move.PREPARE, by), vault.unit() as uow:
        held = lock(uow, request_id)
        withholding.end_review(uow, held, by)
        held = take(uow, held, Move.PREPARE, by, **granted(held.request))
        uow.commit()
    return held.request


def link(vault: Vault, request_id: bytes, by: By) -> str:
    """Make a link's secret, good once and for a week; earlier ones of the request are void.

    For whoever was identified: the person in the portal, or an officer who sends it to a contact point on file. Raises
    `IllegalMove` before the package is ready, and as `handling.advance`.
    """
    with denials(vault, request_id, Move.DELIVER, by), vault.unit() as uow:
        held = lock(uow, request_id)
        if held.request.state not in _FETCHABLE or held.request.right not in _WITH_PACKAGE:
            raise IllegalMove
        vouched(uow, by, held.request, Move.DELIVER)
        # Why safe: 256 random bits, kept as a hash; nobody can try them.
        secret = urlsafe_b64encode(uow.vault.entropy.bytes(SECRET_BYTES)).rstrip(b"=").decode()
        void = update(_LINK).where(_LINK.c.request_id == request_id, _LINK.c.used_at.is_(None))
        uow.conn.execute(void.values(used_at=uow.now))
        row = {
            "secret_hash": _hash(secret),
            "request_id": request_id,
            "expires_at": uow.now + GOOD_FOR,
            "used_at": None,
        }
        insert_rows(uow.conn, _LINK, [row])
        uow.commit()
    return secret


def fetch(vault: Vault, secret: str) -> tuple[Gathered, Content]:
    """Use a link: what the package is made of, and what the person had written (a key to seal it to among it).

    Raises `Refused` with `link_refused` for a secret that is unknown, used or late.
    """
    with vault.unit() as uow:
        row = uow.conn.execute(
            select(_LINK).where(_LINK.c.secret_hash == _hash(secret)).with_for_update()
        ).one_or_none()
        if row is None or row.used_at is not None or row.expires_at <= uow.now:
            raise Refused("link_refused")
        uow.conn.execute(update(_LINK).where(_LINK.c.secret_hash == row.secret_hash).values(used_at=uow.now))
        return _give(uow, row.request_id, by_person(vault))


def hand_over(vault: Vault, request_id: bytes, by: By) -> tuple[Gathered, Content]:
    """Give the package to a person who is signed in, or to an officer who hands it over. Raises as `link`."""
    with denials(vault, request_id, Move.DELIVER, by), vault.unit() as uow:
        return _give(uow, request_id, by)


def answered(vault: Vault, request_id: bytes, by: By) -> tuple[Request, str]:
    """Give the answer in words to a person who is signed in: of what only somebody could decide. Raises as `link`."""
    with denials(vault, request_id, Move.DELIVER, by), vault.unit() as uow:
        held = lock(uow, request_id)
        request = held.request
        if request.state not in _FETCHABLE or request.right not in DECIDED or request.subject is None:
            raise IllegalMove
        sealed = content.stored(uow, request_id)
        if request.state is State.READY:
            held = take(uow, held, Move.DELIVER, by)
        pol = (f"request:{request.name}", f"right:{request.right}")
        uow.record(Entry(Act.SUBJECT_EXPORTED, Outcome.ALLOW, by.actor, (), OWN, pol=pol), log_key=held.log_key)
        uow.commit()
    written = None if sealed is None else content.opened(vault, request.subject, request_id, sealed)
    if written is None:
        raise IntegrityFailure
    return held.request, written.answer


def _give(uow: UnitOfWork, request_id: bytes, by: By) -> tuple[Gathered, Content]:
    held = lock(uow, request_id)
    request = held.request
    if request.state not in _FETCHABLE or request.subject is None:
        raise IllegalMove
    sealed = content.stored(uow, request_id)
    if request.state is State.READY:
        held = take(uow, held, Move.DELIVER, by)
    else:
        vouched(uow, by, request, Move.DELIVER)
    finish = gather(uow, held, by)
    commit = uow.commit()
    written = Content() if sealed is None else content.opened(uow.vault, request.subject, request_id, sealed)
    if written is None:  # its key went in between, and the person with it
        raise IntegrityFailure
    return finish(commit), written


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
