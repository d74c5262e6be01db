"""Pruning a real log, twice: what goes, what stays told, what still verifies, and what stops it."""

from dataclasses import replace
from hashlib import sha256

import pytest
from maison_people import FIELDS, person, rows, take_in
from pruning_scene import MONTH, OPERATOR, Pruning
from report_scene import DPO

from audit import ledger, published, subtrees
from audit import pruning as log_pruning
from audit.entry import Act, Entry, Outcome, commitment, decode
from audit.errors import VerificationError
from audit.findings import Verdict
from audit.merkle import leaf_hash
from audit.reports.asked import Asked
from audit.single import verify_extension, verify_promise, verify_proof
from audit.standalone import standalone
from audit.subjectentries import verify_subject
from audit.tiles import Place
from audit.verify import verify_directory
from vault import details, evidence, export, logkeys, pruning, pruningarchives, pruningbounds, scrubbing
from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.errors import Conflict, IntegrityFailure, InvalidReport
from vault.pruningbounds import Need, Outside
from vault.reports import running
from vault.requests.looks import Numbering, looks

OTHER = FIELDS | {"client_number": "AU-7", "phone": ["+33639980007"], "email": ["other@example.com"]}


@pytest.fixture
def old(scene, tmp_path):
    """A log of 600 entries that are thirteen months old, with somebody erased among them, and some from today."""
    made = Pruning(scene, tmp_path)
    made.goes, made.stays = (take_in(scene.vault, person(each))[0] for each in (FIELDS, OTHER))
    made.com = commitment(made.log_key(made.goes.subject))
    made.key = made.log_key(made.stays.subject)
    scene.whole(made.goes.subject)
    scene.run()
    made.grow(600 - len(made.bodies()))
    made.notes = made.sign()
    scene.clock.advance(13 * MONTH)
    made.grow(30)
    made.sign()
    return made


def test_what_is_old_goes_and_everything_that_was_proven_stays_proven(old, tmp_path):
    vault = old.vault
    before = old.bodies()
    with vault.reading() as conn:
        ids = {each.idx: each.entry_id for each in ledger.read(conn, 0, 0, 1000)}
        tiles = [published.hash_tile(conn, 0, 600, Place(0, at, 256)) for at in (0, 1)]
    proofs = {idx: evidence.proof_of(vault, ids[idx]) for idx in (0, 300, 511, 599)}
    root = old.verify(old.notes).root
    done = old.prune()
    assert (done.first, done.carried) == (512, 1)
    after = old.bodies()
    assert [idx for idx, body in after.items() if not body] == list(range(512))
    assert {idx: after[idx] for idx in range(512, 630)} == {idx: before[idx] for idx in range(512, 630)}
    result = old.verify(old.notes)
    assert (result.verdict, result.pruned) == (Verdict.FINE, 512)
    assert root != result.root
    keys = logkeys_of(old)
    for idx, text in proofs.items():  # of before, with the entry that its holder kept; and one made today
        for each in (text, evidence.proof_of(vault, ids[idx])):
            assert verify_proof(each, leaf_hash(before[idx]), keys).index == idx
    newest = evidence.latest_checkpoint(vault)
    with vault.reading() as conn:
        size = published.signed_size(conn, 0)
        way = subtrees.consistency(conn, 0, 600, size)
        assert [published.hash_tile(conn, 0, size, Place(0, at, 256)) for at in (0, 1)] == tiles
    verify_extension(old.notes[0], newest, keys, way)
    assert scrubbing.run(vault, "full") == []
    assert scrubbing.run(vault, "sample") == []


def logkeys_of(old):
    with old.vault.reading() as conn:
        return logkeys.known(old.vault, conn, 0)


def test_an_erasure_stays_told_under_the_same_commitment_through_two_prunings(old):
    def told():
        return [each for each in old.entries() if each.get("com") == old.com.hex()]

    assert [each["act"] for each in told()] == ["subject.registered", "subject.erased"]
    old.prune()
    (again,) = told()
    assert (again["act"], again["pol"], "sref" in again) == ("erasure.carried", ["carried.pruned"], False)
    assert again["id"] not in {each["id"] for each in old.entries("subject.erased")}
    old.grow(600)
    old.sign()
    old.clock.advance(13 * MONTH)
    old.grow(3)
    old.sign()
    done = old.prune()
    assert (done.first, done.carried) == (1024, 1)
    (twice,) = told()
    assert twice["act"] == "erasure.carried"
    assert twice["id"] != again["id"]
    result = old.verify(old.notes)
    assert (result.verdict, result.pruned) == (Verdict.FINE, 1024)
    (first, second) = rows(old.vault, "SELECT first, at FROM log_pruned ORDER BY first")
    assert (first[0], second[0]) == (512, 1024)


def test_the_entry_names_the_policy_the_archives_and_from_where_on_bodies_are_kept(old):
    plan = old.plan()
    paths = old.exported(plan)
    held = pruningarchives.check(old.vault, plan, paths, old.keys)
    assert held == [sha256(each.read_bytes()).hexdigest() for each in paths]
    done = pruning.prune(old.vault, plan, held, old.outside, OPERATOR)
    (told,) = old.entries("log.pruned")
    assert (told["n"], told["actor"]["id"], told["out"]) == (512, "operator", "allow")
    assert set(told["pol"]) == {
        "carried:1", "months:12", f"policy:{old.vault.bundle.hash.hex()}", f"archive:{held[0]}",
    }  # fmt: skip
    with old.vault.reading() as conn:
        assert ledger.index_of(conn, 0, bytes.fromhex(told["id"])) == done.index
        assert log_pruning.kept_from(conn, 0) == 512


def test_nothing_goes_while_no_rule_says_so_or_nothing_is_old(old):
    vault = old.vault
    shipped = vault.bundle
    vault.bundle = replace_law(shipped, ())
    with pytest.raises(Conflict, match="keeps the log for ever"):
        old.plan()
    vault.bundle = replace_law(shipped, (replace(shipped.law.logs[0], months=36),))
    plan = old.plan()
    assert (plan.first, plan.months) == (0, 36)
    assert pruningbounds.exports(vault, plan) == []
    with pytest.raises(Conflict, match="nothing to prune"):
        pruning.prune(vault, plan, [], old.outside, OPERATOR)


def replace_law(bundle, logs):
    from copy import copy

    other = copy(bundle)
    object.__setattr__(other, "law", replace(bundle.law, logs=logs))
    return other


def bounds(plan):
    return {each.need: each.first for each in plan.bounds}


def test_what_somebody_still_needs_stays(old):
    vault = old.vault
    free = old.plan()
    assert (free.first, set(bounds(free))) == (512, {Need.RETENTION, Need.SIGNED})
    held = holds.place(vault, old.stays.subject, HoldReason.LEGAL_CLAIM, DPO)
    late = old.plan()  # placed today: what is too old today was too old on the day it began
    assert (late.first, bounds(late)[Need.HOLD]) == (512, 600)
    rows(vault, "UPDATE hold SET placed_at = placed_at - ?", 12 * MONTH)
    assert old.plan().first == 0
    holds.release(vault, held.hold, DPO)
    assert old.plan().first == 512
    for outside, need in (
        (Outside(witnessed=True), Need.WITNESSED),
        (Outside(told=(700, 255)), Need.MONITORING),
        (Outside(reconciled=""), Need.RECONCILIATION),
    ):
        stopped = old.plan(outside)
        assert stopped.first == 0
        assert need in bounds(stopped)
    assert old.plan(Outside(told=(300,))).first == 256
    assert old.plan(Outside(reconciled="2100-01-01T00:00:00Z")).first == 512
    rows(vault, "UPDATE erasure SET certificate = NULL")
    assert old.plan().first == 0


def test_an_open_request_keeps_what_the_log_could_tell_when_it_came(old):
    """The row alone counts: which steps it took is the requests' own matter."""
    vault = old.vault
    insert_request(vault, old.clock.now())
    assert old.plan().first == 512
    rows(vault, "UPDATE subject_request SET received_at = ?", old.clock.now() - 12 * MONTH)
    assert old.plan().first == 0
    rows(vault, "UPDATE subject_request SET closed_at = ?", old.clock.now())
    assert old.plan().first == 512


def insert_request(vault, at):
    from sqlalchemy import insert

    from vault.store.tables import metadata

    table = metadata.tables["subject_request"]
    row = {each.name: None if each.nullable else "" for each in table.columns} | {
        "id": b"r" * 16, "shard": 0, "subject_id": None, "mandate_hash": None, "received_at": at, "extended": False,
        "paused_days": 0, "paused_at": None, "due_at": at, "closed_at": None, "duplicate_of": None, "version": 1,
        "content": None, "content_slot": None, "content_generation": None,
    }  # fmt: skip
    with vault.engine.begin() as conn:
        conn.execute(insert(table), row)


def test_an_entry_that_a_clock_dated_late_stops_it(old):
    """Found by looking at each: a search by halves steps over one that lies between older ones."""
    vault, clock = old.vault, old.clock
    fresh = replace_law(vault.bundle, (replace(vault.bundle.law.logs[0], months=6),))
    vault.bundle = fresh
    assert old.plan().first == 512
    clock.advance(7 * MONTH)
    old.grow(700)
    clock.advance(-5 * MONTH)
    old.grow(300)
    clock.advance(9 * MONTH)
    old.grow(1)
    old.sign()
    plan = old.plan()
    assert plan.first <= bounds(plan)[Need.RETENTION]
    limit = clock.now() - 6 * MONTH + 4 * 86_400
    with vault.reading() as conn:
        times = [decode(each.body)["t"] for each in ledger.read(conn, 0, 0, plan.first)]
    from audit.reports.lines import told

    assert max(times) < told(limit)


def test_without_bundles_that_hold_what_goes_nothing_goes(old):
    vault, plan = old.vault, old.plan()
    with pytest.raises(Conflict, match="entries from 0 on are in no evidence bundle"):
        pruningarchives.check(vault, plan, [], old.keys)
    (path,) = old.exported(plan)
    assert pruningarchives.check(vault, plan, [path], old.keys)
    for keys in (old.keys[:1], old.keys[1:]):
        with pytest.raises(Conflict, match="does not verify"):
            pruningarchives.check(vault, plan, [path], keys)
    damaged = old.folder / "damaged.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    none = old.folder / "none.zip"
    none.write_bytes(b"nothing")
    for each in (damaged, none):
        with pytest.raises(Conflict):
            pruningarchives.check(vault, plan, [each], old.keys)
    short = export.export(vault, Asked(old.clock.now() - 60, old.clock.now() + 1), DPO, "archive", old.outside)
    other = old.folder / "short.zip"
    with other.open("wb") as file:
        export.write(vault, short, {}, file.write)
    with pytest.raises(Conflict, match="entries from 0 on are in no"):
        pruningarchives.check(vault, plan, [other], old.keys)


def test_a_bundle_of_another_history_holds_nothing(old):
    plan = old.plan()
    (path,) = old.exported(plan)
    rows(old.vault, "UPDATE log_entry SET leaf = ? WHERE idx = 300", b"\x01" * 32)
    with pytest.raises(Conflict, match="holds other entries than the log from 256 on"):
        pruningarchives.check(old.vault, plan, [path], old.keys)


def test_a_body_that_is_not_what_was_stored_stops_it_before_anything_is_told(old):
    plan = old.plan()
    held = pruningarchives.check(old.vault, plan, old.exported(plan), old.keys)
    rows(old.vault, "UPDATE log_entry SET body = ? WHERE idx = 300", b"{}")
    with pytest.raises(IntegrityFailure):
        pruning.prune(old.vault, plan, held, old.outside, OPERATOR)
    assert rows(old.vault, "SELECT count(*) FROM log_pruned") == [(0,)]
    assert old.bodies()[299]


def test_a_program_that_carries_no_erasure_over_takes_nothing_away(old, monkeypatch):
    """The mutant: what forgets to tell it again is stopped where bodies go, by another reading of them."""
    plan = old.plan()
    held = pruningarchives.check(old.vault, plan, old.exported(plan), old.keys)
    honest = pruning._told_again
    monkeypatch.setattr(pruning, "_told_again", lambda *given: replace(honest(*given), erased=frozenset()))
    with pytest.raises(IntegrityFailure):
        pruning.prune(old.vault, plan, held, old.outside, OPERATOR)
    assert all(old.bodies().values())


def test_details_of_what_goes_go_too(old):
    vault = old.vault
    key = old.log_key(old.stays.subject)
    entry = Entry(Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, DPO, detail={"reason": "a case"})
    with vault.unit() as uow:
        uow.record(entry, log_key=key)
        uow.commit()
    old.grow(600)
    old.sign()
    assert rows(vault, "SELECT count(*) FROM log_detail") == [(1,)]
    old.prune()
    assert rows(vault, "SELECT count(*) FROM log_detail") == [(1,)]
    old.clock.advance(13 * MONTH)
    old.grow(1)
    old.sign()
    old.prune()
    assert rows(vault, "SELECT count(*) FROM log_detail") == [(0,)]
    with vault.reading() as conn:
        assert details.opened(conn, vault.deployment, key, []) == {}


def test_a_published_folder_loses_the_bundles_and_keeps_the_hashes(old, tmp_path):
    vault, folder = old.vault, tmp_path / "published"
    evidence.publish(vault, folder, entries=True)
    bundles = folder / "tile" / "entries"
    assert {path.name for path in bundles.iterdir()} >= {"000", "001"}
    old.prune(folder)
    evidence.publish(vault, folder, entries=True)
    assert not {"000", "001"} & {path.name for path in bundles.iterdir()}
    assert len((folder / "tile" / "0" / "000").read_bytes()) == 256 * 32
    result = verify_directory(folder, [old.keys[0]], old.notes)
    assert (result.verdict, result.pruned) == (Verdict.FINE, 512)
    evidence.publish(vault, folder, entries=True)  # again: they do not come back
    assert not {"000", "001"} & {path.name for path in bundles.iterdir()}
    fresh = tmp_path / "fresh"
    evidence.publish(vault, fresh, entries=True)
    assert verify_directory(fresh, [old.keys[0]], old.notes).verdict is Verdict.FINE
    partial = next(path for path in bundles.iterdir() if path.name.startswith("002"))
    for each in partial.iterdir() if partial.is_dir() else [partial]:
        each.unlink()
    cut = verify_directory(folder, [old.keys[0]], old.notes)
    assert (cut.verdict, cut.first_bad_index) == (Verdict.TAMPERED, 0)  # with it went what tells of the pruning


def test_readers_of_the_log_begin_where_it_begins(old):
    vault = old.vault
    numbering = Numbering({}, b"\x00" * 32)
    with vault.unit() as uow:
        uow.record(Entry(Act.SUBJECT_EXPORTED, Outcome.ALLOW, DPO), log_key=old.key)
        uow.commit()
    old.prune()
    with vault.reading() as conn:
        (look,) = looks(conn, 0, old.key, "aurelle", numbering)
        begins = log_pruning.beginning(conn, 0)
    assert look.index > 512
    assert begins.first == 512
    told = running.run(vault, "access", Asked(0, old.clock.now() + 1), DPO).body.notes[-1]
    assert [each for each in told if "512" in each and begins.since in each] == list(told)
    assert told[1].startswith("Le journal est lu à partir de l’écriture 512, du ")
    with pytest.raises(InvalidReport, match="were pruned"):
        export.export(vault, Asked(old.clock.now() - 20 * MONTH, old.clock.now() - 19 * MONTH), DPO, "x", old.outside)
    seen = verify_subject(stored(old), logkeys_of(old), old.key)
    assert [idx for idx, _ in seen.entries] and min(idx for idx, _ in seen.entries) >= 512
    assert seen.log.verdict is Verdict.FINE


def stored(old):
    with old.vault.reading() as conn:
        kept = ledger.stored_log(conn, 0)
        return kept._replace(entries=list(kept.entries))


def test_tampering_within_the_pruned_part_is_found_by_verifier_and_scrub(old):
    old.prune()
    rows(old.vault, "UPDATE log_entry SET leaf = ? WHERE idx = 100", b"\x01" * 32)
    assert old.verify().verdict is Verdict.TAMPERED
    assert scrubbing.run(old.vault, "full")


def test_a_body_gone_above_the_pruned_part_is_found_by_verifier_and_scrub(old):
    old.prune()
    rows(old.vault, "UPDATE log_entry SET body = ? WHERE idx = 520", b"")
    assert (old.verify().verdict, old.verify().first_bad_index) == (Verdict.TAMPERED, 520)
    (found, *_) = scrubbing.run(old.vault, "full")
    assert found.index == 520


def test_nobody_signs_for_a_body_that_is_not_there(old):
    from audit.errors import SigningRefused

    old.prune()
    old.grow(5)
    rows(old.vault, "UPDATE log_entry SET body = ? WHERE idx = (SELECT max(idx) FROM log_entry)", b"")
    with pytest.raises(SigningRefused):
        old.sign()


def test_keys_and_closed_logs_that_only_pruned_entries_told_of_stay_told(old):
    vault = old.vault
    logkeys.rotate(vault, 1, OPERATOR)
    old.sign()
    old.clock.advance(2 * 86_400)
    evidence.vouch(vault, old.outside, None)
    old.grow(700)
    old.sign()
    old.clock.advance(13 * MONTH)
    old.grow(1)
    old.sign()
    done = old.prune()
    assert done.first >= 1024
    with vault.reading() as conn:
        newest = logkeys.known(vault, conn, 0)[0]
    result = old.verify()
    assert result.verdict is Verdict.FINE
    from audit.verify import verify_log

    alone = verify_log(stored(old), [newest])
    assert (alone.verdict, any("on the log's own word" in each for each in alone.notices)) == (Verdict.FINE, True)
    assert [each["act"] for each in old.entries() if "carried.pruned" in each.get("pol", ())][:2] == [
        "log.key_added", "log.key_retired",
    ]  # fmt: skip


def test_two_who_prune_at_once_prune_once(old):
    plan = old.plan()
    held = pruningarchives.check(old.vault, plan, old.exported(plan), old.keys)
    pruning.prune(old.vault, plan, held, old.outside, OPERATOR)
    with pytest.raises(Conflict, match="another process prunes"):
        pruning.prune(old.vault, plan, held, old.outside, OPERATOR)
    assert len(old.entries("log.pruned")) == 1


def test_the_bytes_of_what_was_pruned_leave_the_data_file(old, place):
    if old.vault.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps old row versions until its own vacuum and write-ahead log are through with them")
    path = place.database.removeprefix("sqlite:///")
    gone = [f'"id":"{decode(body)["id"]}"'.encode() for idx, body in old.bodies().items() if idx < 512]
    kept = [f'"id":"{decode(body)["id"]}"'.encode() for idx, body in old.bodies().items() if idx >= 512]

    def files():
        from pathlib import Path

        return b"".join(each.read_bytes() for each in Path(path).parent.glob(Path(path).name + "*"))

    assert all(each in files() for each in gone)
    old.prune()
    left = files()
    assert not [each for each in gone if each in left]
    assert all(each in left for each in kept)


def test_old_receipts_are_proven_and_the_copied_verifier_agrees(old, tmp_path):
    import subprocess
    import sys

    from vault import receipts

    vault = old.vault
    with vault.reading() as conn:
        (record,) = ledger.read(conn, 0, 40, 1)
    (receipt,) = receipts.anew(vault, [record])
    text = evidence.proof_of(vault, record.entry_id)
    old.prune()
    from audit.note import parse_vkey

    assert verify_promise(receipt, leaf_hash(record.body), [parse_vkey(receipts.verifier_key(vault))])
    assert verify_proof(evidence.proof_of(vault, record.entry_id), leaf_hash(record.body), logkeys_of(old))
    alone, folder = tmp_path / "alone", tmp_path / "published"
    alone.mkdir()
    (alone / "verify.py").write_text(standalone())
    (alone / "entry").write_bytes(record.body)
    (alone / "proof").write_text(text)
    (alone / "pin").write_text(old.notes[0])
    evidence.publish(vault, folder, entries=True)
    for arguments in (
        [folder, "--pinned", alone / "pin"],
        ["proof", alone / "proof", "--entry", alone / "entry"],
        ["extend", alone / "pin", "--log", folder],
    ):
        done = subprocess.run(
            [sys.executable, "-I", str(alone / "verify.py"), *map(str, arguments), "--key", old.keys[0]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(VerificationError):
        verify_proof(text, leaf_hash(b"another"), logkeys_of(old))
