"""The policy: each rule in words, the versions with their signatures, and what moves from one to the next.

A version takes effect by two officers' own keys, which are never here: the page shows the text to sign and takes the
signature that was made elsewhere.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.visit import PREFIX, Visit
from api.problems import Problem
from policies.bundle import parse_bundle
from policies.conditions import words_of
from policies.difference import differences
from policies.errors import InvalidBundle
from vault.errors import UnknownVersion
from vault.governance import versions
from vault.governance.signatures import Signed
from vault.governance.versions import State, Version
from vault.governance.versionsigning import Part, version_of

PATH: Final = f"{PREFIX}/policy"
_MOST_SIGNATURE: Final = 512


def page(visit: Visit) -> Response:
    """Show the rules in force and the versions."""
    bundle = visit.vault.bundle
    with visit.vault.reading() as conn:
        found = list(reversed(versions.listed(conn)))
    rules = [(rule, words_of(rule)) for rule in bundle.rules.rules.values()]
    return visit.page("policy.html", rules=rules, versions=found, hash=bundle.hash.hex(), name=bundle.name)


def version_page(visit: Visit) -> Response:
    """Show one version, and what it changes."""
    return _shown(visit, _version(visit))


def version(visit: Visit) -> Response:
    """Take an approver's signature over a version or its refusal; or put an approved one in force."""
    found = _version(visit)
    step = visit.form.get("step", "")
    if step == "activate":
        versions.activate(visit.vault, found.number, visit.actor)
    elif step in {"approve", "refuse"}:
        made = signature_of(visit.form)
        act = versions.approve if step == "approve" else versions.refuse
        act(visit.vault, found.number, visit.officer.id, lambda _: made)
    else:
        raise Problem("bad_request")
    return visit.go(f"{PATH}/{found.number}")


def signature_of(form: Mapping[str, str]) -> bytes:
    """Read a signature as it was pasted: Base64 or hexadecimal. Raises `Problem`."""
    text = "".join(form.get("signature", "").split())
    if not text or len(text) > _MOST_SIGNATURE:
        raise Problem("bad_request")
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        raise Problem("bad_request") from None


def _shown(visit: Visit, found: Version) -> Response:
    vault = visit.vault
    changes, findings = [], []
    try:
        with vault.reading() as conn:
            name, files = versions.stored(conn, found.number)
        changes = list(differences(vault.bundle, parse_bundle(name, files)))
    except InvalidBundle as error:
        findings = list(error.findings)
    texts = {
        part.value: Signed(version_of(found.number, found.hash), part, "", 0).text(vault.deployment).decode("ascii")
        for part in (Part.APPROVER, Part.REFUSAL)
    }
    return visit.page("version.html", version=found, changes=changes, findings=findings, texts=texts, states=State)


def _version(visit: Visit) -> Version:
    number = filters.number(visit.params, "number")
    try:
        with visit.vault.reading() as conn:
            return versions.get(conn, number or 0)
    except UnknownVersion:
        raise Problem("not_found") from None
