"""The `ecrin` command. Subcommands live in their own modules; failures become exit codes here, and nowhere a traceback."""

import os
import sys

import typer
from typer.core import TyperGroup

from api.cli import (
    backups,
    breakglass,
    budgets,
    census,
    consents,
    demo,
    deployment,
    erasures,
    events,
    evidence,
    importing,
    joins,
    keyd,
    logkeys,
    officers,
    policy,
    policyversions,
    pruning,
    reconciling,
    reports,
    requests,
    restrictions,
    rotation,
    seal,
    sessions,
    shares,
    siem,
    signers,
    systems,
    witness,
)
from api.cli.output import Exit, fail, told
from api.pdf import PrintFailed
from api.settings import InvalidSettings
from audit.errors import AuditError
from policies.errors import InvalidBundle, PolicyError
from vault.errors import Sealed, StoreUnavailable, VaultError

app = typer.Typer(
    name="ecrin",
    help="Ecrin, a privacy-first customer data vault. Exit codes: 0 fine, 1 refused or not as it should be, "
    "2 wrong call or cannot decide, 3 unsafe settings, 4 unavailable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables
    cls=TyperGroup,
)
deployment.install(app)
importing.install(app)
keyd.install(app)
witness.install(app)
seal.install(app)
shares.install(app)
backups.install(app)
demo.install(app)
census.install(app)
erasures.install(app)
rotation.install(app)
siem.install(app)
app.add_typer(systems.app, name="system")
app.add_typer(budgets.app, name="budget")
app.add_typer(events.app, name="events")
app.add_typer(consents.app, name="consent")
app.add_typer(requests.app, name="request")
app.add_typer(restrictions.app, name="restriction")
app.add_typer(officers.app, name="officer")
app.add_typer(sessions.app, name="session")
app.add_typer(signers.app, name="signer")
app.add_typer(joins.app, name="join")
policyversions.install(policy.app)
app.add_typer(policy.app, name="policy")
app.add_typer(breakglass.app, name="break-glass")
reconciling.install(evidence.app)
logkeys.install(evidence.app)
pruning.install(evidence.app)
app.add_typer(evidence.app, name="audit")
app.add_typer(reports.app, name="report")


def run() -> None:
    """Run the command line of this process and exit."""
    os.umask(0o077)  # whatever this process makes is its account's alone: data, keys, checkpoints
    try:
        app()
    except InvalidSettings as error:
        for finding in error.findings:
            fail(finding)
        sys.exit(Exit.UNSAFE)
    except InvalidBundle as error:
        for finding in error.findings:
            fail(finding)
        sys.exit(Exit.FAILED)
    except (Sealed, StoreUnavailable) as error:
        fail(told(error))
        sys.exit(Exit.UNAVAILABLE)
    except PrintFailed as error:
        fail(f"{error}")
        sys.exit(Exit.FAILED)
    except (VaultError, PolicyError, AuditError) as error:
        fail(told(error))
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    run()
