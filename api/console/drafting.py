"""A change of policy, begun at the console: a bundle is brought or chosen, read, compared, replayed, and proposed.

A bundle is brought as a ZIP of its folder, or chosen among the versions that there were: to go back is a new version with new
signatures. Until its author has signed, it is theirs alone (`vault.governance.uploads`). The signature is made elsewhere.
"""

from typing import Final

from starlette.responses import Response

from api import bundles
from api.console import filters
from api.console.policy import DAYS, PATH, Replayed, rules_of
from api.console.signing import signature_of
from api.console.visit import Visit
from api.packages.archive import zipped
from api.pages import render
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from policies.bundle import Bundle, parse_bundle
from policies.difference import differences
from policies.errors import InvalidBundle
from vault.errors import NotSigned, UnknownVersion
from vault.governance import replays, uploads, versions
from vault.governance.uploads import Upload

DRAFTS: Final = f"{PATH}/propose"
FILE: Final = "bundle"
MOST_FORM: Final = bundles.MOST_ZIPPED + 4096
SHIPPED: Final = "shipped"
_DAY: Final = 86_400
_MOST_FINDINGS: Final = 50


def page(visit: Visit) -> Response:
    """Ask for a bundle, and show which of one's own wait for a signature."""
    return _asked(visit)


def take(visit: Visit) -> Response:
    """Check what was brought or chosen and keep it to be read."""
    try:
        name, files = _brought(visit)
        upload = uploads.keep(visit.vault, files, name, visit.officer.id)
    except InvalidBundle as error:
        return _asked(visit, 422, error.findings)
    return visit.go(f"{DRAFTS}/{upload.id.hex()}")


def draft_page(visit: Visit) -> Response:
    """Show one in words, what it changes, and the text to sign."""
    return _shown(visit)


def replay(visit: Visit) -> Response:
    """Put the decisions of the last weeks to it."""
    days = filters.number(visit.form, "days") or 0
    if days not in DAYS:
        raise Problem("bad_request")
    upload, bundle = _draft(visit)
    report = replays.replay(visit.vault, bundle, visit.now - days * _DAY)
    said = ("policy.replayed", f"bundle:{upload.hash.hex()}")
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=said, n=report.entries))
    return _shown(visit, replayed=Replayed(days, report))


def step(visit: Visit) -> Response:
    """Propose it by its author's signature, or keep it no longer."""
    upload_id, taken = _identifier(visit), visit.form.get("step", "")
    if taken == "discard":
        uploads.drop(visit.vault, upload_id, visit.officer.id)
        return visit.go(DRAFTS, done="discarded")
    if taken != "propose":
        raise Problem("bad_request")
    made = signature_of(visit.form)
    try:
        version = uploads.propose(visit.vault, upload_id, visit.officer.id, lambda _: made)
    except UnknownVersion:
        raise Problem("not_found") from None
    except NotSigned:
        return _shown(visit, 422, problem="not_signed")
    return visit.go(f"{PATH}/{version.number}", done="proposed")


def files(visit: Visit) -> Response:
    """Hand out a version's files, as they were signed: where a change begins."""
    try:
        with visit.vault.reading() as conn:
            _, found = versions.stored(conn, filters.number(visit.params, "number") or 0)
    except UnknownVersion:
        raise Problem("not_found") from None
    return render.download(zipped(found), "ecrin-policy.zip")


def _brought(visit: Visit) -> tuple[str, dict[str, bytes]]:
    """Read the bundle from the file, or from the version or the shipped one that was named. Raises `InvalidBundle`."""
    if visit.form.get("step") == "file":
        content = visit.files.get(FILE, b"")
        if not content:
            raise InvalidBundle(("no file was chosen",))
        return visit.vault.bundle.name, bundles.unzipped(content)
    if visit.form.get("step") != "version":
        raise Problem("bad_request")
    if visit.form.get("version") == SHIPPED:
        return bundles.read()
    try:
        with visit.vault.reading() as conn:
            return versions.stored(conn, filters.number(visit.form, "version") or 0)
    except UnknownVersion:
        raise Problem("not_found") from None


def _asked(visit: Visit, status: int = 200, findings: tuple[str, ...] = ()) -> Response:
    with visit.vault.reading() as conn:
        mine = uploads.listed(conn, visit.officer.id, visit.now)
        known = list(reversed(versions.listed(conn)))
        active = versions.active_number(conn)
    return visit.page(
        "propose.html", status,
        drafts=mine, versions=known, active=active, findings=findings[:_MOST_FINDINGS], more=len(findings) - _MOST_FINDINGS,
        shipped=SHIPPED, file=FILE, most=bundles.MOST_ZIPPED,
    )  # fmt: skip


def _shown(visit: Visit, status: int = 200, *, replayed: Replayed | None = None, problem: str = "") -> Response:
    upload, bundle = _draft(visit)
    with visit.vault.reading() as conn:
        text = uploads.text(visit.vault, conn, upload).decode("ascii")
    return visit.page(
        "draft.html", status,
        upload=upload, rules=rules_of(bundle, visit.tag), changes=list(differences(visit.vault.bundle, bundle, visit.tag)),
        replayed=replayed, days=DAYS, text=text, problem=problem, action=f"{DRAFTS}/{upload.id.hex()}",
        until=upload.uploaded_at + uploads.KEPT_SECONDS,
    )  # fmt: skip


def _draft(visit: Visit) -> tuple[Upload, Bundle]:
    try:
        with visit.vault.reading() as conn:
            upload, found = uploads.get(conn, _identifier(visit), visit.officer.id, visit.now)
    except UnknownVersion:
        raise Problem("not_found") from None
    return upload, parse_bundle(upload.name, found)


def _identifier(visit: Visit) -> bytes:
    try:
        return bytes.fromhex(filters.word(visit.params, "id"))
    except ValueError:
        raise Problem("not_found") from None
