"""The published log over HTTP: open hashes, entries for auditors alone, and nothing before it is signed."""

import pytest
from maison_callers import CONSENT, PERSON, problem_of

from audit import checkpoint
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.merkle import leaf_hash
from audit.note import open_note
from audit.tiles import unpack_bundle
from vault import evidence, pruning
from vault.pruningbounds import Plan

SPELLINGS = ("0/5", "0/0000", "64/000", "0/000.p/256", "0/000.p/0", "0/000.p/", "0/../0/000", "x/000", "0/000.p/1/")


@pytest.fixture
def signed(maison, pos, tmp_path):
    """A log with some entries; returns its newest checkpoint, opened with the published key."""
    pos.created(PERSON, CONSENT)
    evidence.sign_checkpoints(maison.vault, tmp_path / "kept")
    note = pos.http.get("/audit/checkpoint")
    key = pos.http.get("/audit/keys").json()["log"]
    return checkpoint.parse(open_note(note.text, [key]).text)


def test_tiles_lead_to_the_signed_root_and_are_kept_for_ever(maison, pos, signed):
    answer = pos.http.get(f"/audit/tile/0/000.p/{signed.size}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert "immutable" in answer.headers["cache-control"]
    leaves = [answer.content[at : at + 32] for at in range(0, len(answer.content), 32)]
    assert leaves == [leaf_hash(each.raw) for each in maison.entries()][: signed.size]


def test_entries_are_for_auditors_and_reading_them_is_an_entry(maison, pos, signed):
    auditor = maison.system("auditor-tool", "aurelle", scopes={"audit.read"}, purposes=())
    path = f"/audit/tile/entries/000.p/{signed.size}"
    answer = auditor.send("GET", path, auditor.service("audit.read"))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert unpack_bundle(answer.content) == [each.raw for each in maison.entries()][: signed.size]
    last = maison.entries()[-1].read
    assert (last["act"], last["out"], last["n"], last["actor"]["id"]) == (
        "audit.viewed", "allow", signed.size, "auditor-tool",
    )  # fmt: skip
    problem_of(pos.http.get(path), 401, "token_required")
    problem_of(pos.send("GET", path, pos.service("lookup")), 403, "insufficient_scope")


def test_what_is_not_signed_yet_or_spelt_otherwise_is_not_there(maison, pos, signed):
    size = signed.size
    for path in (f"0/000.p/{size + 1}", "0/000", "0/001.p/1", "1/000.p/1", *SPELLINGS):
        problem_of(pos.http.get(f"/audit/tile/{path}"), 404, "not_found")
    token = pos.service("audit.read")
    for path in (f"000.p/{size + 40}", "000", "001.p/1", "5", "000.p/0"):
        problem_of(pos.send("GET", f"/audit/tile/entries/{path}", token), 404, "not_found")


def test_a_receipt_is_proven_and_an_entry_cut_out_is_noticed_by_whoever_holds_it(maison, pos, tmp_path):
    """The client's own book, fed by a real disclosure, against the service that gave it."""
    from sqlalchemy import text

    from api.client.answers import VerifierKeys
    from api.client.receiptbook import ReceiptBook

    told = pos.http.get("/audit/keys").json()
    book = ReceiptBook(tmp_path / "receipts", VerifierKeys(told["origin"], told["log"], told["receipt"]))
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"), max_uses=2)
    kept = [book.keep(pos.disclose(token).json()["receipt"])[0] for _ in range(2)]
    evidence.sign_checkpoints(maison.vault, tmp_path / "kept", wait=True)

    def prove(entry_id):
        answer = pos.http.get(f"/audit/proof/{entry_id}")
        return answer.text if answer.status_code == 200 else None

    def only(entry_id):
        return prove(entry_id) if entry_id == kept[0].entry_id else None

    assert book.check(only, kept[0].time + 60).proven == 1
    with maison.vault.engine.begin() as conn:
        conn.execute(text("DELETE FROM log_entry WHERE entry_id = :id"), {"id": bytes.fromhex(kept[1].entry_id)})
    assert [each.code for each in book.check(prove, kept[0].time + 60).broken] == ["omitted"]
    for path in ("0" * 32, "zz", "0" * 31, "A" * 32):
        problem_of(pos.http.get(f"/audit/proof/{path}"), 404, "not_found")


def test_a_bundle_of_pruned_entries_is_gone_and_its_hashes_stay(maison, pos, tmp_path):
    with maison.vault.unit() as uow:
        for _ in range(300):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
        uow.commit()
    outside = tmp_path / "kept"
    evidence.sign_checkpoints(maison.vault, outside)
    path, token = "/audit/tile/entries/000", pos.service("audit.read")
    assert pos.send("GET", path, token).status_code == 200
    plan = Plan(0, 0, 256, 12, "ab" * 32, ())
    pruning.prune(maison.vault, plan, ["cd" * 32], outside, Actor(ActorKind.VAULT, "operator"))
    gone = problem_of(pos.send("GET", path, token), 410, "entries_pruned")
    assert gone["kept_from"] == 256
    problem_of(pos.send("GET", "/audit/tile/entries/000.p/7", token), 410, "entries_pruned")
    problem_of(pos.send("GET", "/audit/tile/entries/009", token), 404, "not_found")
    assert len(pos.http.get("/audit/tile/0/000").content) == 256 * 32
