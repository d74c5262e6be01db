"""Policy versions: bundles as proposed by one officer, signed by another, and put in force, one at a time.

    draft --the approver's signature--> approved --activation--> active --the next activation--> retired
    draft or approved --an approver's refusal, or it does not stand--> refused

A signature covers the deployment, the version's number, the signer's part and the bundle's hash, so that none can be
moved to another vault, another version or the other part; to go back to an older bundle is a new version of it, with
new signatures. Whatever is loaded is checked again from the bytes: hash, both signatures, syntax, floor probes.
Every act is in the log, the refused ones too.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, func, select, update
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from policies.bundle import Bundle, bundle_hash, pack, parse_bundle, unpack
from policies.errors import InvalidBundle
from policies.probes import floor_findings
from policies.succession import succession_findings
from vault import officers
from vault.errors import NoPolicy, NotSigned, UnknownVersion
from vault.governance import signatures
from vault.governance.signatures import Sign, actor
from vault.governance.versionsigning import BOTH, POLICY, Part, said_of, version_of
from vault.store.bulk import insert_rows
from vault.store.tables import PolicyVersion
from vault.unit import UnitOfWork, Vault

MOST_BYTES: Final = 8 << 20  # of a whole bundle: text that people review
SHORTEST_PREFIX: Final = 8  # hexadecimal digits by which a version may be named
LONGEST_NAME: Final = 64
MOST_TOLD: Final = 8  # damaged versions named in an entry


class State(StrEnum):
    """How far a version has come."""

    DRAFT = "draft"
    APPROVED = "approved"
    ACTIVE = "active"
    RETIRED = "retired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Version:
    """A version as listed. `signers` are the ids of author and approver, as far as they have signed."""

    number: int
    hash: bytes
    name: str
    state: State
    proposed_at: int
    changed_at: int
    signers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Followed:
    """What a new version is compared with (None for the first), and what its entries say of that."""

    bundle: Bundle | None
    said: tuple[str, ...]


def propose(vault: Vault, files: Mapping[str, bytes], name: str, officer_id: str, sign: Sign) -> Version:
    """Store a bundle as a draft under its author's signature; record `policy.proposed` and `policy.signed`.

    Raises `InvalidBundle` (syntax, floor probes, what must not change), `NotSigned`, `UnknownOfficer`.
    """
    digest = bundle_hash(files)
    with _refusals(vault, officer_id, None, digest), vault.unit() as uow:
        before = _followed(uow.conn, vault.deployment)
        checked(name, files, before.bundle)
        signatures.signatory(uow.conn, POLICY, Part.AUTHOR, officer_id)  # before an entry names who proposed it
        number = next_number(uow.conn)
        row = {"number": number, "hash": digest, "name": name[:LONGEST_NAME], "content": pack(files)}
        row |= {"state": State.DRAFT.value, "proposed_at": uow.now, "changed_at": uow.now}
        insert_rows(uow.conn, PolicyVersion, [row])
        said = (*said_of(number, digest), *before.said)
        uow.record(Entry(Act.POLICY_PROPOSED, Outcome.ALLOW, actor(officer_id), pol=said))
        _sign(uow, number, digest, Part.AUTHOR, officer_id, sign)
        made = get(uow.conn, number)
        uow.commit()
    return made


def approve(vault: Vault, number: int, officer_id: str, sign: Sign) -> Version:
    """Sign a draft as the second officer; record `policy.signed`.

    Raises `NotSigned` (also for the author's own approval), `UnknownOfficer`, `UnknownVersion` for what is no draft.
    """
    with vault.reading() as conn:
        digest = get(conn, number).hash
    with _refusals(vault, officer_id, number, digest), vault.unit() as uow:
        _move(uow, number, {State.DRAFT}, State.APPROVED)
        _sign(uow, number, digest, Part.APPROVER, officer_id, sign)
        made = get(uow.conn, number)
        uow.commit()
    return made


def refuse(vault: Vault, number: int, officer_id: str, sign: Sign) -> Version:
    """Refuse a draft or an approved version for good, by an approver; record `policy.refused`. Raises as `approve`."""
    with vault.reading() as conn:
        digest = get(conn, number).hash
    with _refusals(vault, officer_id, number, digest), vault.unit() as uow:
        _move(uow, number, {State.DRAFT, State.APPROVED}, State.REFUSED)
        signed = signatures.add(uow, version_of(number, digest), Part.REFUSAL, officer_id, sign)
        said = (*said_of(number, digest), *signed, "policy.by_officer")
        uow.record(Entry(Act.POLICY_REFUSED, Outcome.ALLOW, actor(officer_id), pol=said))
        made = get(uow.conn, number)
        uow.commit()
    return made


def activate(vault: Vault, number: int, by: Actor) -> Version:
    """Put an approved version in force in place of the one before; record `policy.activated`.

    With the first one that no founder signed the founders are disabled (`officer.disabled`).

    Every serving process takes it up within a second or two (`vault.governance.watch`). A version that does not stand
    any more is `refused` and stays out. Raises `InvalidBundle`, `NotSigned`, `UnknownVersion`.
    """
    with vault.reading() as conn:
        found = get(conn, number)
    try:
        with vault.unit() as uow:
            _take(uow, number, by)
            made = get(uow.conn, number)
            uow.commit()
    except (InvalidBundle, NotSigned) as error:
        with vault.unit() as uow:
            _move(uow, number, {State.APPROVED}, State.REFUSED)
            said = (*said_of(number, found.hash), f"policy.{error.code}")
            uow.record(Entry(Act.POLICY_REFUSED, Outcome.DENY, by, pol=said))
            uow.commit()
        raise
    return made


def checked(name: str, files: Mapping[str, bytes], old: Bundle | None) -> Bundle:
    """Parse a bundle and put it to every test that one in force must pass. Raises `InvalidBundle`."""
    if sum(map(len, files.values())) > MOST_BYTES:
        raise InvalidBundle((f"the bundle is larger than {MOST_BYTES} bytes",))
    bundle = parse_bundle(name, files)
    findings = floor_findings(bundle)
    if old is not None:
        findings = (*findings, *succession_findings(old, bundle))
    if findings:
        raise InvalidBundle(findings)
    return bundle


def examined(conn: Connection, deployment: str, name: str, files: Mapping[str, bytes]) -> Bundle:
    """Put files to every test that a proposal of them must pass now. Raises `InvalidBundle`."""
    return checked(name, files, _followed(conn, deployment).bundle)


def stored(conn: Connection, number: int) -> tuple[str, dict[str, bytes]]:
    """Return a version's name and files. Raises `UnknownVersion`, or `InvalidBundle` if they are not what was signed."""
    row = conn.execute(
        select(col(PolicyVersion.name), col(PolicyVersion.hash), col(PolicyVersion.content)).where(
            col(PolicyVersion.number) == number
        )
    ).one_or_none()
    if row is None:
        raise UnknownVersion
    files = unpack(row.content)
    if bundle_hash(files) != row.hash:
        raise InvalidBundle(("the stored files are not those of the recorded hash",))
    return row.name, files


def verified(conn: Connection, deployment: str, number: int, *, old: Bundle | None = None) -> Bundle:
    """Return a version's bundle, checked from its bytes as if it came from outside.

    Raises `NotSigned` unless two different officers signed it, `InvalidBundle`, `UnknownVersion`.
    """
    name, files = stored(conn, number)
    signatures.check(conn, deployment, version_of(number, bundle_hash(files)), BOTH)
    return checked(name, files, old)


def active_number(conn: Connection) -> int | None:
    """Return the number of the version in force: one small statement, for whoever looks often."""
    found: int | None = conn.scalar(select(col(PolicyVersion.number)).where(col(PolicyVersion.state) == State.ACTIVE))
    return found


def in_force(conn: Connection, deployment: str) -> Bundle:
    """Return the bundle in force, checked. Raises `NoPolicy` if there is none or it does not stand."""
    number = active_number(conn)
    if number is None:
        raise NoPolicy("no policy bundle is in force; `ecrin init` founds one")
    try:
        return verified(conn, deployment, number)
    except (NotSigned, InvalidBundle, UnknownVersion) as error:
        raise NoPolicy(f"the policy version in force does not stand: {error.code}") from None


def is_founding(version: Version) -> bool:
    """Whether a version rests on a founder's signature, and so on one pair of eyes."""
    return not set(officers.FOUNDERS).isdisjoint(version.signers.values())


def get(conn: Connection, number: int) -> Version:
    """Return one version. Raises `UnknownVersion`."""
    found = _versions(conn, col(PolicyVersion.number) == number)
    if not found:
        raise UnknownVersion
    return found[0]


def named(conn: Connection, text: str) -> Version:
    """Return a version by its number, by the beginning of its hash (the newest of that hash), or as `active`.

    Raises `UnknownVersion`.
    """
    if text == State.ACTIVE:
        number = active_number(conn)
        if number is None:
            raise UnknownVersion
        return get(conn, number)
    if len(text) >= SHORTEST_PREFIX:
        found = [each for each in listed(conn) if each.hash.hex().startswith(text.lower())]
        if found and len({each.hash for each in found}) == 1:
            return found[-1]
    if text.isascii() and text.isdigit():
        return get(conn, int(text[:18]))
    raise UnknownVersion


def listed(conn: Connection) -> list[Version]:
    """Return all versions, the oldest first."""
    return _versions(conn, col(PolicyVersion.number) > 0)


def next_number(conn: Connection) -> int:
    """Return the number that the next proposal gets."""
    return int(conn.scalar(select(func.coalesce(func.max(col(PolicyVersion.number)), 0))) or 0) + 1


def _versions(conn: Connection, which: Any) -> list[Version]:
    columns = (
        col(PolicyVersion.number), col(PolicyVersion.hash), col(PolicyVersion.name), col(PolicyVersion.state),
        col(PolicyVersion.proposed_at), col(PolicyVersion.changed_at),
    )  # fmt: skip
    rows = conn.execute(select(*columns).where(which).order_by(col(PolicyVersion.number))).all()
    signers = signatures.signers(conn, POLICY, [str(row.number) for row in rows])
    return [
        Version(
            row.number,
            row.hash,
            row.name,
            State(row.state),
            row.proposed_at,
            row.changed_at,
            {part: who for part, who in signers.get(str(row.number), {}).items() if part in BOTH},
        )
        for row in rows
    ]


def _take(uow: UnitOfWork, number: int, by: Actor) -> None:
    before = _followed(uow.conn, uow.vault.deployment)
    was = active_number(uow.conn)
    bundle = verified(uow.conn, uow.vault.deployment, number, old=before.bundle)
    if was is not None:
        _move(uow, was, {State.ACTIVE}, State.RETIRED)
    _move(uow, number, {State.APPROVED}, State.ACTIVE)
    replaced = () if was is None else (f"replaces:{was}",)
    said = (*said_of(number, bundle.hash), *replaced, *before.said)
    uow.record(Entry(Act.POLICY_ACTIVATED, Outcome.ALLOW, by, pol=said))
    if not is_founding(get(uow.conn, number)):  # the house governs now, and two keys in one folder nothing more
        for founder in officers.active_founders(uow.conn):
            officers.disable(uow, founder, by)


def _followed(conn: Connection, deployment: str) -> _Followed:
    """Return what a new version follows: of those that are or were in force, the newest that still verifies.

    One that does not verify is passed over and named in the entry. Raises `InvalidBundle` where none verifies any more:
    to damage what stands must not be a way round the comparison.
    """
    were = col(PolicyVersion.state).in_([State.ACTIVE.value, State.RETIRED.value])
    passed: list[int] = []
    for number in conn.scalars(
        select(col(PolicyVersion.number)).where(were).order_by(col(PolicyVersion.number).desc())
    ):
        try:
            bundle = verified(conn, deployment, number)
        except (NotSigned, InvalidBundle, UnknownVersion):
            passed.append(number)
            continue
        told = (f"follows:{number}", *[f"damaged:{each}" for each in passed[:MOST_TOLD]]) if passed else ()
        return _Followed(bundle, told)
    if passed:
        raise InvalidBundle(("no version that was in force verifies any more: restore the database from a backup",))
    return _Followed(None, ())


def _move(uow: UnitOfWork, number: int, before: set[State], after: State) -> None:
    moved = uow.conn.execute(
        update(PolicyVersion)
        .where(col(PolicyVersion.number) == number, col(PolicyVersion.state).in_([each.value for each in before]))
        .values(state=after.value, changed_at=uow.now)
    )
    if moved.rowcount != 1:
        raise UnknownVersion("the version is not in the state that this needs")


def _sign(uow: UnitOfWork, number: int, digest: bytes, part: Part, officer_id: str, sign: Sign) -> None:
    signed = signatures.add(uow, version_of(number, digest), part, officer_id, sign)
    said = (*said_of(number, digest), f"part:{part}", *signed)
    uow.record(Entry(Act.POLICY_SIGNED, Outcome.ALLOW, actor(officer_id), pol=said))


def _refusals(vault: Vault, officer_id: str, number: int | None, digest: bytes) -> AbstractContextManager[None]:
    """Record `policy.refused` for an act that was turned away, in a unit of its own: the act's was rolled back."""
    which = () if number is None else (f"version:{number}",)
    return signatures.denials(vault, Act.POLICY_REFUSED, officer_id, (f"bundle:{digest.hex()}", *which))
