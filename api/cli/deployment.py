"""Commands that make a deployment and look after it: init, migrate, doctor."""

from contextlib import closing
from typing import Annotated

import typer

from api import bootstrap, founders
from api.cli.output import Exit, Json, Output, told
from api.cli.outside import look
from api.settings import Settings, load
from api.witnesses import read_policy
from audit.errors import AuditError
from audit.findings import how_many
from policies.errors import InvalidBundle
from vault import officers, witnessing
from vault.errors import VaultError
from vault.governance import cases, founding, versions
from vault.governance.versions import State
from vault.governance.versionsigning import Part
from vault.keys.keyd.client import KeydClient
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import initialise, migrate


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)
    app.command("migrate")(migrate_command)
    app.command("doctor")(doctor)


def initialise_from(settings: Settings) -> None:
    """Make keystore, root key, database, log and first policy version as the settings say. Safe to repeat."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.keyd_socket is not None:
        # `ecrin keyd --init` has made the keystore; a holder of another deployment is refused by its greeting.
        with closing(KeydClient(settings.keyd_socket, settings.deployment)) as holder:
            holder.progress()
    else:
        bootstrap.refuse_sealed(settings)
    place = bootstrap.place_of(settings)
    initialise(
        place, settings.deployment, clock=SystemClock(), entropy=SystemEntropy(), shards=settings.shards,
        origin=settings.log_origin, keystore=settings.keyd_socket is None,
    )  # fmt: skip
    founders.found(settings)


def init(*, json: Json = False) -> None:
    """Create a deployment: root key, keystore, database, a log that says so, and the first policy version."""
    settings = load()
    initialise_from(settings)
    Output(json=json).result(
        {
            "deployment": settings.deployment,
            "origin": settings.log_origin,
            "keystore": settings.keystore_url or str(settings.keystore_path),
        },
        f"Deployment {settings.deployment} is ready. Keep the root key where backups of the keystore do not reach.",
    )


def migrate_command(*, json: Json = False) -> None:
    """Bring the database to the schema of this release."""
    settings = load()
    migrate(bootstrap.place_of(settings).database)
    Output(json=json).result({"migrated": True}, "The database is at this release's schema.")


def doctor(
    *,
    outside: Annotated[
        bool, typer.Option("--outside", help="Call the public addresses too, as a stranger would.")
    ] = False,
    json: Json = False,
) -> None:
    """Check settings, policies, keystore and database, and print where each setting came from, never a secret."""
    settings = load()
    checks: list[dict[str, str]] = []
    for name, check in (
        ("policies", _check_bundle),
        ("vault", _check_vault),
        ("reviews", _check_reviews),
        ("witnesses", _check_witnesses),
    ):
        try:
            checks.append({"check": name, "result": "ok", "detail": check(settings)})
        except _Overdue as overdue:
            checks.append({"check": name, "result": "overdue", "detail": str(overdue)})
        except (VaultError, InvalidBundle, AuditError) as error:
            checks.append({"check": name, "result": "failed", "detail": told(error)})
    if outside:
        result, detail = look(settings, SystemClock().now())
        checks.append({"check": "outside", "result": result, "detail": detail})
    output = Output(json=json)
    described = [{"setting": each.name, "source": each.source, "value": each.value} for each in settings.describe()]
    if json:
        output.result({"checks": checks, "settings": described}, "")
    else:
        output.rows("settings", ("setting", "source", "value"), described)
        output.rows("checks", ("check", "result", "detail"), checks)
    if any(each["result"] != "ok" for each in checks):
        raise typer.Exit(Exit.FAILED)


def _check_bundle(settings: Settings) -> str:
    vault = bootstrap.open_to_serve(settings)
    try:
        bundle = vault.bundle
        with vault.reading() as conn:
            version = versions.named(conn, State.ACTIVE)
            founders = officers.active_founders(conn)
            overdue = founding.is_overdue(conn, version)
    finally:
        vault.close()
    signers = " and ".join(version.signers[part] for part in (Part.AUTHOR, Part.APPROVER))
    text = f"version {version.number}, {bundle.name}, hash {bundle.hash.hex()[:16]}, signed by {signers}"
    if overdue:
        raise _Overdue(f"{text}: officers of the house have keys, and propose and sign a version of their own")
    if versions.is_founding(version):
        return f"{text}: no second pair of eyes yet"
    if founders:
        raise _Overdue(f"{text}: `ecrin officer disable` for {' and '.join(founders)}, whose keys one process drew")
    return text


def _check_reviews(settings: Settings) -> str:
    """Look for break-glass cases that are over and that nobody has reviewed in time."""
    vault = bootstrap.open_to_serve(settings)
    try:
        with vault.reading() as conn:
            overdue = cases.overdue(conn, vault.clock.now())
    finally:
        vault.close()
    if overdue:
        raise _Overdue(f"{len(overdue)} break-glass cases: {', '.join(each.name for each in overdue[:3])}")
    return "no break-glass review is overdue"


def _check_witnesses(settings: Settings) -> str:
    """Look whether a quorum of witnesses stands under the newest checkpoint, or stood a moment ago."""
    if settings.witness_policy is None:
        return "none are named: whoever owns this machine could sign another history"
    vault = bootstrap.open_to_serve(settings)
    try:
        policy = read_policy(settings.witness_policy, vault.origin)
        late = 0 if policy.met_by(()) else witnessing.lag(vault)
    finally:
        vault.close()
    if late >= witnessing.LATE_SECONDS:
        raise _Overdue(
            f"no quorum of {how_many(len(policy.witnesses), 'witness', 'witnesses')} stands under what was signed since"
        )
    return f"{how_many(len(policy.witnesses), 'witness', 'witnesses')}, and their quorum stands"


class _Overdue(Exception):
    """Something that people have to do has not been done in time."""


def _check_vault(settings: Settings) -> str:
    vault = bootstrap.open_from(settings)
    try:
        status = vault.keys.status()
        return f"{vault.engine.dialect.name}, log {vault.origin}, {status.slots_reserved}/{status.slots_total} leaves"
    finally:
        vault.close()
