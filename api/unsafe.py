"""What a setting must not say: each function returns findings, sentences that name the setting and never its value."""

import ipaddress
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DEMO: Final = "ecrin-demo"
"""The deployment whose people are made up."""

_NEEDED = {
    "pkcs11": ("pkcs11_module", "pkcs11_token", "pkcs11_pin_file"),
    "aws-kms": ("kms_region",),
    "vault-transit": ("transit_url", "transit_token_file"),
}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PASSWORD_OPTIONS = frozenset({"password", "sslpassword"})


def url_findings(name: str, url: str) -> list[str]:
    """Refuse what is no plain base URL, and http beyond loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return [f"{name}: not a URL"]
    if parts.scheme not in {"http", "https"} or not host:
        return [f"{name}: not an http or https URL"]
    found = []
    if parts.query or parts.fragment or parts.username is not None or url != url.lower() or "%" in url:
        found.append(f"{name}: lower case, without user, query, fragment or escapes")
    if parts.path:
        # A path would move the metadata documents (RFC 8414 §3.1) and every `htu`; callers gain nothing by it.
        found.append(f"{name}: no path")
    if parts.scheme == "http" and not _is_loopback(host):
        found.append(f"{name}: https is required beyond the loopback interface")
    return found


def binding_findings(host: str, public_url: str, proxies: tuple[str, ...]) -> list[str]:
    """Refuse to listen beyond loopback without a proxy that ends TLS."""
    found = []
    for proxy in proxies:
        try:
            if ipaddress.ip_network(proxy).prefixlen == 0:
                found.append("trusted_proxies: the whole internet is not a proxy")
        except ValueError:
            found.append("trusted_proxies: not an address or network")
    if not _is_loopback(host) and not proxies:
        found.append("host: beyond loopback, name the proxies that end TLS in trusted_proxies")
    if not _is_loopback(host) and not public_url.startswith("https://"):
        found.append("host: beyond loopback, public_url must be https")
    return found


def terminal_findings(deployment: str, host: str, urls: Iterable[str], post_file: Path | None) -> list[str]:
    """Refuse to print letters anywhere but in the demo: one machine, a deployment of that name, nobody real."""
    found = []
    if deployment != DEMO:
        found.append(f"post_terminal: letters are printed by the demo alone, whose deployment is {DEMO}")
    if not _is_loopback(host) or not all(_is_loopback(urlsplit(url).hostname or "") for url in urls):
        found.append("post_terminal: letters are printed on the loopback interface alone")
    if post_file is not None:
        found.append("post_terminal: mail is sent or printed, not both; leave post_file out")
    return found


def certificate_findings(header: str, proxies: tuple[str, ...]) -> list[str]:
    """Refuse a certificate header that nobody could be believed to set, or that is no header's name."""
    if not header:
        return []
    found = []
    if not header.replace("-", "").isalnum() or not header.isascii():
        found.append("client_certificate_header: not the name of a header")
    if not proxies:
        found.append("client_certificate_header: name the proxies that set it in trusted_proxies")
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def database_findings(text: str, workers: int) -> list[str]:
    """Refuse other engines, a password in the URL, and SQLite shared by processes."""
    try:
        url = make_url(text)
    except ArgumentError:
        return ["database_url: not a database URL"]
    found = []
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        found.append("database_url: sqlite or postgresql")
    if url.password is not None or _PASSWORD_OPTIONS & url.query.keys():
        found.append("database_url: keep the password in database_password_file")
    if url.get_backend_name() == "sqlite" and workers > 1:
        found.append("workers: SQLite serves one process; use PostgreSQL for more")
    return found


def keystore_findings(text: str, data: str) -> list[str]:
    """Refuse another engine, a password in the URL, and the server that the data are on: its restore rewinds both."""
    if not text:
        return []
    try:
        url, data_url = make_url(text), make_url(data)
    except ArgumentError:
        return ["keystore_url: not a database URL"]
    found = []
    if url.get_backend_name() != "postgresql":
        found.append("keystore_url: postgresql; a file is named by keystore_path")
    if url.password is not None or _PASSWORD_OPTIONS & url.query.keys():
        found.append("keystore_url: keep the password in keystore_password_file")
    if data_url.get_backend_name() == "postgresql" and _server(url) == _server(data_url):
        found.append(
            "keystore_url: the data are on the same server; a point-in-time restore rewinds a whole cluster, keystore"
            " and all, and would bring back what was erased: give the keystore a cluster of its own"
        )
    return found


def database_tls_findings(name: str, text: str) -> list[str]:
    """Refuse a PostgreSQL server on another machine whose certificate is not asked for and checked, name and all.

    libpq's other modes encrypt for whoever answers, or not at all where the server would rather not.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        return []  # said elsewhere
    if url.get_backend_name() != "postgresql":
        return []
    given = [url.host, *(each for key in ("host", "hostaddr") for each in _listed(url.query.get(key, ())))]
    hosts = [part for each in given if each for part in each.split(",")]
    near = all(host.startswith(("/", "@")) or _is_loopback(host) for host in hosts) and "service" not in url.query
    if near or url.query.get("sslmode") == "verify-full":
        return []
    said = "the server is on another machine: add sslmode=verify-full, and sslrootcert with the certificates that vouch for it"
    return [f"{name}: {said}; where the network between is yours alone, say unsafe_database_in_clear"]


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _server(url: URL) -> tuple[str, str]:
    host, port = url.host or url.query.get("host") or "localhost", url.port or url.query.get("port") or 5432
    return ("localhost" if host in {"127.0.0.1", "::1"} else str(host)), str(port)


def secret_file_findings(files: Mapping[str, Path | None]) -> list[str]:
    """Refuse secrets that others may read. A missing file is no finding here: `ecrin init` makes it."""
    found = []
    for name, path in files.items():
        try:
            mode = path.stat().st_mode if path is not None else 0
        except OSError:
            continue
        if mode & _OTHERS:
            found.append(f"{name}: others may read it; set its mode to 0600")
    return found


def secret_folder_findings(name: str, folder: Path) -> list[str]:
    """Refuse a folder of secrets that others may enter, and what others may read in it. An absent one is no finding."""
    try:
        exposed = [path for path in (folder, *folder.iterdir()) if path.stat().st_mode & _OTHERS]
    except OSError:
        return []
    return [
        f"{name}: others may enter it; set its mode to 0700"
        if path == folder
        else f"{name}: others may read {path.name}; set its mode to 0600"
        for path in exposed
    ]


def root_findings(provider: str, given: Callable[[str], Any]) -> list[str]:
    """Find what a root provider lacks, and what goes with another one. `given(name)` is the value of a setting."""
    findings = [f"{name}: needed by root_provider {provider}" for name in _NEEDED.get(provider, ()) if not given(name)]
    if provider != "passphrase" and given("root_passphrase_file") is not None:
        findings.append("root_passphrase_file: goes with root_provider `passphrase` alone")
    for name in ("kms_endpoint", "transit_url"):
        if url := given(name):
            findings += url_findings(name, url)
    return findings
