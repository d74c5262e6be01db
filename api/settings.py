"""Every setting of the service, and the only place that reads the environment.

Variables are named `ECRIN_<FIELD>`; a `.env` file in the working directory fills in what the environment leaves out.
Secrets are never values here but paths of files that hold them. Anything unsafe is refused before the service opens a
socket. No setting lowers security but the one that is named `unsafe_…`: what is not offered cannot be switched off.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url

from api import unsafe

PREFIX = "ECRIN_"
_TEST_PREFIX = "ECRIN_TEST_"  # the test suite's own switches; no field may begin like this
_DOTENV = ".env"
_DEPLOYMENT = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}[a-z0-9]|[a-z0-9]")
_SECRET_FILES = (
    "root_passphrase_file",
    "pkcs11_pin_file",
    "transit_token_file",
    "database_password_file",
    "keystore_password_file",
    "post_file",
)


class InvalidSettings(Exception):
    """The service must not start. `findings`: sentences to act on, without any value."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("; ".join(findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as `ecrin doctor` prints it, with its source."""

    name: str
    source: Literal["environment", ".env", "argument", "default"]
    value: str


class Settings(BaseSettings):
    """Frozen settings. Build them with `load`, which raises `InvalidSettings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=_DOTENV, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    deployment: str = Field(default="ecrin", description="Bound into all ciphertext. Never change it.")
    data_dir: Path = Field(default=Path("data"), description="Where files live whose own setting is left out.")
    database_url: str = Field(default="", description="SQLAlchemy URL without password. Default: SQLite in data_dir.")
    database_password_file: Path | None = Field(default=None, description="File with the database password.")
    keystore_path: Path = Field(default=Path(), description="The keystore file. Default: in data_dir.")
    keystore_url: str = Field(
        default="", description="Instead: URL of the keystore's PostgreSQL database, never in the data's cluster."
    )
    keystore_password_file: Path | None = Field(default=None, description="File with that database's password.")
    unsafe_database_in_clear: bool = Field(
        default=False,
        description="Reach PostgreSQL on another machine without TLS: the network between is yours alone.",
    )
    keystore_copies: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="Comma-separated folders, two or more, for copies of the keystore. No erasure without."
    )
    root_provider: Literal["file", "passphrase", "shamir", "pkcs11", "aws-kms", "vault-transit"] = Field(
        default="file",
        description="What holds the root key. Default: `passphrase` where its file is named, else `file`.",
    )
    root_folder: Path = Field(default=Path(), description="Root key files, mode 0700. Default: `roots` in data_dir.")
    root_passphrase_file: Path | None = Field(default=None, description="Passphrase that opens the root key files.")
    pkcs11_module: Path | None = Field(default=None, description="PKCS#11 library of the HSM.")
    pkcs11_token: str = Field(default="", description="Label of the token that holds the root keys.")
    pkcs11_pin_file: Path | None = Field(default=None, description="User PIN of that token.")
    kms_region: str = Field(default="", description="AWS region of the root keys. Credentials: as boto3 finds them.")
    kms_endpoint: str = Field(default="", description="Endpoint of AWS KMS. Default: the region's own.")
    kms_window_days: int = Field(default=7, ge=7, le=30, description="Days AWS KMS waits before it deletes a root key.")
    transit_url: str = Field(default="", description="Base URL of HashiCorp Vault or OpenBao.")
    transit_mount: str = Field(default="transit", description="Mount of its transit engine.")
    transit_namespace: str = Field(default="", description="Its namespace. Default: none.")
    transit_token_file: Path | None = Field(default=None, description="Token for that engine.")
    transit_ca_file: Path | None = Field(
        default=None, description="CA certificates of that server. Default: certifi's."
    )
    checkpoint_file: Path = Field(default=Path(), description="Copy of the last checkpoint kept outside the database.")
    publish_folder: Path | None = Field(default=None, description="Folder for the log's tiles and checkpoint.")
    log_mirror: Path | None = Field(
        default=None,
        description="Folder on another disk for the log with its entries: what a restore reads erasures from.",
    )
    witness_policy: Path | None = Field(
        default=None, description="Policy file that names the log's witnesses and their quorum. Default: no witness."
    )
    witness_seconds: float = Field(default=30.0, ge=10, le=60, description="Time between cosigned checkpoints.")
    log_ml_dsa: bool = Field(default=False, description="Sign checkpoints that witnesses cosign by ML-DSA-44 too.")
    timestamp_url: str = Field(default="", description="Time-stamping authority (RFC 3161). Default: none.")
    timestamp_roots: Path | None = Field(default=None, description="Its root certificates, PEM. Needed with its URL.")
    shards: int = Field(default=1, ge=1, le=1, description="Logs to spread subjects over: one, in this release.")

    public_url: str = Field(default="http://127.0.0.1:8420", description="Base URL callers use; DPoP proofs name it.")
    issuer: str = Field(default="", description="OAuth issuer, the one accepted audience. Default: public_url.")
    log_origin: str = Field(
        default="", description="Name of the audit log. Default: public host and /audit. Fixed at init."
    )
    console_url: str = Field(
        default="",
        description="Base URL in officers' browsers; passkeys are bound to its host. Default: public_url, by name.",
    )
    portal_url: str = Field(default="", description="Base URL in data subjects' browsers. Default: console_url.")
    console_idle_seconds: int = Field(default=900, ge=60, le=3600, description="Idle time that ends a session.")
    console_session_seconds: int = Field(default=36000, ge=600, le=43200, description="Longest session of an officer.")
    console_passkeys_only: bool = Field(
        default=False, description="Officers come with passkeys alone; no password counts."
    )
    dpop_nonces: Literal["raw", "every"] = Field(default="raw", description="What needs a nonce beside tokens.")
    host: str = Field(default="127.0.0.1", description="Address to bind.")
    port: int = Field(default=8420, ge=0, le=65535, description="Port to bind; 0 lets the system choose.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Comma-separated addresses or networks of the proxies that end TLS for us."
    )
    client_certificate_header: str = Field(
        default="",
        description="Header in which those proxies tell the caller's TLS certificate. Default: none is believed.",
    )
    workers: int = Field(default=1, ge=1, le=64, description="Server processes. SQLite allows one.")

    keyd_socket: Path | None = Field(
        default=None, description="Socket of the key holder, which then has keystore and root. Default: no holder."
    )
    keyd_accounts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Comma-separated accounts that the key holder answers beside its own."
    )

    keyd_opens: int = Field(
        default=3_000_000, ge=1, le=1_000_000_000, description="Data keys the key holder opens a minute at most."
    )

    bundle_path: Path | None = Field(
        default=None, description="Policy bundle that `ecrin init` founds with. Default: the built-in maisons."
    )

    max_body_bytes: int = Field(default=1 << 20, ge=1 << 12, le=1 << 24, description="Limit of ordinary requests.")
    max_import_bytes: int = Field(default=1 << 30, ge=1 << 16, le=1 << 36, description="Limit of one import stream.")
    batch_size: int = Field(default=64, ge=1, le=1024, description="Requests that share one transaction.")
    import_batch_size: int = Field(default=500, ge=1, le=2000, description="Import rows that share one transaction.")
    queue_size: int = Field(default=2048, ge=1, le=65536, description="Requests that may wait before 503.")
    system_rate: int = Field(
        default=2000, ge=1, le=1_000_000, description="Requests per second of a system, per process."
    )
    checkpoint_seconds: float = Field(default=1.0, gt=0, le=60, description="Time between signed checkpoints at most.")
    epoch_seconds: int = Field(default=3600, ge=0, le=2_592_000, description="Time between epoch runs. 0: by hand.")
    retention_seconds: int = Field(
        default=86400, ge=0, le=2_592_000, description="Time between retention sweeps. 0: by hand."
    )
    ledger_days: int = Field(
        default=1095, ge=90, le=36_500, description="Days that acknowledged events stay on the ledger."
    )
    detail_days: int = Field(
        default=180, ge=90, le=180, description="Days that sealed details stay beside their entries of the log."
    )
    post_file: Path | None = Field(
        default=None, description="File that says how letters go, by mail and to telephones. Default: none go."
    )
    post_terminal: bool = Field(default=False, description="Print letters, addresses masked. For the demo alone.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("keystore_copies", "trusted_proxies", "keyd_accounts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, values: object) -> object:
        """Derive what depends on another setting: a built `Settings` is final."""
        if not isinstance(values, dict):
            return values
        values = {name: value for name, value in values.items() if value is not None and value != ""}
        data = Path(values.get("data_dir", cls.model_fields["data_dir"].default))
        values.setdefault("database_url", f"sqlite:///{data / 'ecrin.db'}")
        values.setdefault("keystore_path", data / "keystore.db")
        values.setdefault("root_folder", data / "roots")
        values.setdefault("checkpoint_file", data / "checkpoint")
        values.setdefault("root_provider", "passphrase" if "root_passphrase_file" in values else "file")
        values["public_url"] = str(values.get("public_url", cls.model_fields["public_url"].default)).rstrip("/")
        values.setdefault("issuer", values["public_url"])
        # Passkeys are bound to a name, which an address is not; browsers take a loopback address and `localhost` for one.
        values.setdefault("console_url", values["public_url"].replace("//127.0.0.1", "//localhost"))
        values["console_url"] = str(values["console_url"]).rstrip("/")
        values["portal_url"] = str(values.get("portal_url", values["console_url"])).rstrip("/")
        # A loopback address names nothing to an outsider, so the deployment's own name stands in for it.
        scheme, _, named = values["public_url"].partition("://")
        if scheme != "https":
            named = str(values.get("deployment", cls.model_fields["deployment"].default))
        values.setdefault("log_origin", f"{named}/audit")
        return values

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        findings = [*unsafe.url_findings("public_url", self.public_url), *unsafe.url_findings("issuer", self.issuer)]
        for name in ("console_url", "portal_url"):
            findings += unsafe.url_findings(name, getattr(self, name))
        findings += unsafe.binding_findings(self.host, self.public_url, self.trusted_proxies)
        findings += unsafe.certificate_findings(self.client_certificate_header, self.trusted_proxies)
        findings += unsafe.database_findings(self.database_url, self.workers)
        findings += unsafe.keystore_findings(self.keystore_url, self.database_url)
        if not self.unsafe_database_in_clear:
            for name in ("database_url", "keystore_url"):
                findings += unsafe.database_tls_findings(name, getattr(self, name) or "sqlite://")
        if self.post_terminal:
            urls = (self.public_url, self.console_url, self.portal_url)
            findings += unsafe.terminal_findings(self.deployment, self.host, urls, self.post_file)
        findings += unsafe.secret_file_findings({name: getattr(self, name) for name in _SECRET_FILES})
        findings += unsafe.secret_folder_findings("root_folder", self.root_folder)
        if self.log_ml_dsa and self.witness_policy is None:
            findings.append("log_ml_dsa: needs witness_policy")
        if bool(self.timestamp_url) is (self.timestamp_roots is None):
            findings.append("timestamp_url: needs timestamp_roots, and the other way round")
        if not _DEPLOYMENT.fullmatch(self.deployment):
            findings.append("deployment: use lower-case letters, digits, dots and hyphens, at most 64")
        findings += unsafe.root_findings(self.root_provider, lambda name: getattr(self, name))
        if findings:
            raise ValueError("\n".join(findings))
        return self

    @property
    def database(self) -> URL:
        """The database URL with its password, read from its file. SQLAlchemy masks it when printed."""
        return self._with_password(self.database_url, "database_password_file")

    @property
    def keystore(self) -> Path | URL:
        """Where the keystore is: its file, or its database with the password read from its file."""
        if not self.keystore_url:
            return self.keystore_path
        return self._with_password(self.keystore_url, "keystore_password_file")

    def _with_password(self, text: str, name: str) -> URL:
        url, path = make_url(text), getattr(self, name)
        if path is None:
            return url
        try:
            return url.set(password=path.read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError):
            raise InvalidSettings((f"{name}: cannot be read",)) from None

    @property
    def secure(self) -> bool:
        """Whether callers reach us by https."""
        return self.public_url.startswith("https://")

    def describe(self) -> tuple[Described, ...]:
        """Tell each setting's source. Of secret files paths are shown, never contents."""
        in_file = {name.upper() for name in _dotenv_names()}
        described = []
        for name in type(self).model_fields:
            variable = PREFIX + name.upper()
            held = getattr(self, name)
            value = ",".join(map(str, held)) if isinstance(held, tuple) else str(held)
            if variable in _environment():
                described.append(Described(name, "environment", value))
            elif variable in in_file:
                described.append(Described(name, ".env", value))
            elif name in self.model_fields_set and name not in _DERIVED:
                described.append(Described(name, "argument", value))
            else:
                described.append(Described(name, "default", value))
        return tuple(described)


_DERIVED = frozenset(
    {
        "database_url",
        "keystore_path",
        "root_provider",
        "root_folder",
        "checkpoint_file",
        "public_url",
        "issuer",
        "console_url",
        "portal_url",
        "log_origin",
    }
)


def load(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read and check the settings; `overrides` win over the environment.

    Raises `InvalidSettings`. A variable that begins with `ECRIN_` and names no setting is an error: misspelt,
    it would leave a default in force.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    strangers = sorted(
        name
        for name in _environment()
        if name.upper().startswith(PREFIX) and not name.upper().startswith(_TEST_PREFIX) and name.upper() not in known
    )
    findings = [f"{name}: no such setting" for name in strangers]
    try:
        settings = Settings(**dict(overrides or {}))  # type: ignore[arg-type]  # pydantic checks each
    except ValidationError as error:
        findings += _sentences(error)
    if findings:
        raise InvalidSettings(tuple(findings)) from None
    return settings


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment for a process of ours with these very settings."""
    inherited = {name: value for name, value in _environment().items() if not name.upper().startswith(PREFIX)}
    own = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None and value != ():
            own[PREFIX + name.upper()] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return inherited | own


def driver_environment() -> dict[str, str]:
    """Return what of our environment PostgreSQL's client library reads: all that a process needs which only reads the data."""
    return {name: value for name, value in _environment().items() if name.startswith("PG")}


def _sentences(error: ValidationError) -> list[str]:
    """Name the setting and the rule; pydantic's own message for a type error repeats no input."""
    found: list[str] = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        found += [f"{item['loc'][0]}: {message}"] if item["loc"] else message.split("\n")
    return found


def _environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - the one place that reads it


def _dotenv_names() -> set[str]:
    from dotenv import dotenv_values  # noqa: PLC0415 - only `ecrin doctor` needs it

    return set(dotenv_values(_DOTENV))
