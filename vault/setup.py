"""Create a vault's data, bring it to the schema this release expects, and open it.

A deployment is three things that belong together: a database, a keystore and the root key that opens it. Each names the
deployment, and `open_vault` refuses a mixture: a database restored beside another deployment's keystore would fail
field by field instead, and writes would be lost to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select
from sqlalchemy.engine import URL, make_url
from sqlmodel import col

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from policies.bundle import Bundle
from vault.errors import SchemaMismatch, WrongDeployment
from vault.governance import versions
from vault.keys.home import Home, holds_keystore
from vault.keys.keystore import create_keystore, open_keystore
from vault.keys.pagetree import Geometry
from vault.keys.provider import RootProvider
from vault.keys.service import KeyService
from vault.runtime import Clock, Entropy
from vault.store.engine import open_engine, reader, translate
from vault.store.schema import check_head, migrate
from vault.store.tables import Deployment
from vault.unit import ENTRY_ID_BYTES, Vault

__all__ = [
    "Place",
    "bundle_in_force",
    "check_head",
    "initialise",
    "log_origin",
    "migrate",
    "open_vault",
    "prepare_keystore",
    "refuse_one_cluster",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment lives: database address, keystore (a file or a database), and the provider of its root key."""

    database: str
    keystore: Home
    provider: RootProvider


def initialise(
    place: Place,
    deployment: str,
    *,
    clock: Clock,
    entropy: Entropy,
    shards: int = 1,
    origin: str | None = None,
    geometry: Geometry = Geometry(),  # noqa: B008 - frozen
    keystore: bool = True,
) -> None:
    """Create the keystore (unless the key holder has it), the tables, and a log whose first entry says that the deployment began.

    `origin` names the log to the world (a schema-less URL by custom); it is the deployment's name unless given. Safe
    to repeat after a crash: a keystore already made for the same deployment is kept, a database is filled once.
    Raises `WrongDeployment` if either belongs to another deployment.
    """
    if keystore:
        prepare_keystore(place, deployment, clock=clock, entropy=entropy, geometry=geometry)
    migrate(place.database)
    engine = open_engine(place.database, pool_size=1)
    try:
        _begin_log(engine, deployment, shards, origin or deployment, clock.now(), entropy)
    finally:
        engine.dispose()


def prepare_keystore(
    place: Place,
    deployment: str,
    *,
    clock: Clock,
    entropy: Entropy,
    geometry: Geometry = Geometry(),  # noqa: B008 - frozen
) -> None:
    """Create the keystore, or make sure that the one there is this deployment's and opens.

    Raises UnsafeSetting for a keystore database in the data's own cluster.
    """
    refuse_one_cluster(place)
    if holds_keystore(place.keystore):
        open_keystore(place.keystore, place.provider, deployment).close()
    else:
        create_keystore(place.keystore, place.provider, deployment, geometry, entropy=entropy, clock=clock)


def open_vault(
    place: Place,
    bundle: Bundle,
    *,
    clock: Clock,
    entropy: Entropy,
    pool_size: int = 8,
    engine: Engine | None = None,
    keys: Callable[[str], KeyService] | None = None,
) -> Vault:
    """Open a deployment: keystore unsealed, database at head, and both of the same name.

    `engine` replaces the one opened from `place.database`; `keys`, given the deployment's name, makes the key service
    that takes the keystore's place, and may make a sealed one. Raises `WrongDeployment`, `SchemaMismatch`, `Sealed`,
    `UnsafeSetting` or `StoreUnavailable`.
    """
    engine = engine or open_engine(place.database, pool_size=pool_size)
    try:
        check_head(engine)
        deployment, shards, origin = _identity(engine)
        if keys is None:
            refuse_one_cluster(place)
            opened: KeyService = open_keystore(place.keystore, place.provider, deployment)
        else:
            opened = keys(deployment)
    except BaseException:
        engine.dispose()
        raise
    return Vault(
        engine, opened, bundle, clock=clock, entropy=entropy, deployment=deployment, origin=origin, shards=shards
    )


def bundle_in_force(place: Place) -> Bundle:
    """Read the policy bundle that officers put in force, checked anew. Raises `NoPolicy`, and as `open_vault` does."""
    engine = open_engine(place.database, pool_size=1)
    try:
        check_head(engine)
        deployment, _, _ = _identity(engine)
        with translate(), reader(engine).connect() as conn, conn.begin():
            return versions.in_force(conn, deployment)
    finally:
        engine.dispose()


def refuse_one_cluster(place: Place) -> None:
    """Raise UnsafeSetting when data and keystore are in one PostgreSQL cluster, StoreUnavailable when that is not told."""
    if isinstance(place.keystore, URL):
        from vault.keys import cluster  # noqa: PLC0415 - no driver is loaded that is not used

        cluster.refuse_one_cluster(make_url(place.database), place.keystore)


def log_origin(origin: str, shard: int) -> str:
    """Name one shard's log. The first carries the bare origin: a deployment of one shard has one log of that name."""
    return origin if shard == 0 else f"{origin}/{shard}"


def _identity(engine: Engine) -> tuple[str, int, str]:
    with translate(), reader(engine).connect() as conn:  # opening must not wait for whoever is writing
        row = conn.execute(select(col(Deployment.id), col(Deployment.shards))).one_or_none()
        if row is None:
            raise SchemaMismatch("the database holds no deployment")
        return row.id, row.shards, ledger.head(conn, 0).origin


def _begin_log(engine: Engine, deployment: str, shards: int, origin: str, now: int, entropy: Entropy) -> None:
    with translate(), engine.begin() as conn:
        held = conn.execute(select(col(Deployment.id))).scalar_one_or_none()
        if held == deployment:
            return
        if held is not None:
            raise WrongDeployment("the database belongs to another deployment")
        counts = {"keys_epoch": 0, "rekeyed": 0, "rekeyed_saved": 0}
        conn.execute(insert(Deployment), {"id": deployment, "shards": shards, "created_at": now, **counts})
        began = Entry(Act.DEPLOYMENT_INITIALISED, Outcome.ALLOW, Actor(ActorKind.VAULT, deployment))
        for shard in range(shards):
            ledger.create_head(conn, shard, log_origin(origin, shard), now)
            # Why safe: 128 random bits per entry, as everywhere else in the log.
            entry_id = entropy.bytes(ENTRY_ID_BYTES)
            ledger.append(conn, shard, [(entry_id, encode(began, entry_id, now, None))], now)
