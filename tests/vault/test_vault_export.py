"""Evidence bundles: what they prove, that any changed byte is found, and that no tampering is filed as doubt or reverse."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256

import pytest
from maison_people import AURELLE, VANTIER, rows
from report_scene import DPO

from audit import verify
from audit.archive import write_archive
from audit.bundlecheck import verify_bundle
from audit.cosignature import CosignerKey
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.errors import CannotDecide, VerificationError
from audit.findings import Verdict
from audit.note import vkey
from audit.quorum import parse_policy
from audit.reports.asked import Asked
from audit.selection import read_filter, write_filter
from audit.standalone import standalone
from vault import export, locked, logkeys
from vault.errors import InvalidReport
from vault.keys.service import SigningKey

LOOK = {"fld": ("phone:masked",), "pur": "clienteling.in_store", "bas": "consent", "pol": ("store.contact",)}


class Evidence:
    """A log of a given length, and bundles cut from it."""

    def __init__(self, scene, folder):
        self.scene, self.vault, self.folder = scene, scene.vault, folder

    def grow(self, count, act=Act.FIELD_DISCLOSED):
        with self.vault.unit() as uow:
            for place in range(count):
                actor = Actor(ActorKind.SYSTEM, "aurelle-crm" if place % 3 else "vantier-pos")
                uow.record(Entry(act, Outcome.ALLOW, actor, **LOOK))
            uow.commit()

    def asked(self, since=None, until=None, **more):
        return Asked(
            self.scene.start if since is None else since, self.scene.clock.now() + 1 if until is None else until, **more
        )

    def bundle(self, told=None, asked=None, **more):
        self.done = export.export(self.vault, asked or self.asked(), DPO, "cnil", self.scene.outside, **more)
        path = self.folder / f"bundle{self.done.index}.zip"
        out = io.BytesIO()
        size = export.write(self.vault, self.done, told or {}, out.write)
        assert size == len(out.getvalue())
        path.write_bytes(out.getvalue())
        return path

    @property
    def keys(self):
        log = vkey(self.vault.origin, self.vault.keys.public_key(SigningKey.LOG))
        return [log, vkey(export.seal_key_name(self.vault), self.vault.keys.public_key(SigningKey.RECEIPT))]

    def check(self, path, **more):
        return verify_bundle(path, more.pop("keys", self.keys), **more)


@pytest.fixture
def evidence(reporting, tmp_path):
    reporting.system("aurelle-crm")
    reporting.system("vantier-pos", VANTIER)
    return Evidence(reporting, tmp_path)


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def rebuilt(path, members, *, sums=True):
    """Write the archive again as somebody would who changed members and knows the format, but has no key."""
    if sums:
        listed = [name for name in members if name not in {"SHA256SUMS", "SHA256SUMS.note"}]
        text = "".join(f"{sha256(members[name]).hexdigest()}  {name}\n" for name in listed)
        members = members | {"SHA256SUMS": text.encode()}
    with path.open("wb") as file:
        write_archive(file.write, members.items())
    return path


def table(path):
    return members_of(path)["rows.csv"].decode().split("\r\n")[1:-1]


@pytest.mark.parametrize("size", [3, 255, 256, 257, 700])
def test_a_bundle_verifies_and_holds_all_rows(evidence, size):
    evidence.grow(size)
    path = evidence.bundle(acts=(Act.FIELD_DISCLOSED,))
    found = evidence.check(path)
    assert (found.verdict, found.findings, found.doubts) == (Verdict.FINE, (), ())
    assert len(table(path)) == size
    assert found.size == evidence.done.upto.size
    assert found.root == evidence.done.upto.root


def test_the_same_export_written_twice_gives_the_same_bytes(evidence):
    evidence.grow(300)
    path = evidence.bundle({"README.html": b"<p>", "report.pdf": b"%PDF"})
    again = io.BytesIO()
    export.write(evidence.vault, evidence.done, {"report.pdf": b"%PDF", "README.html": b"<p>"}, again.write)
    assert again.getvalue() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_any_changed_byte_is_found(evidence):
    evidence.grow(5)
    path = evidence.bundle({"README.html": b"read me", "verify.py": b"pass"}, acts=(Act.TOKEN_REVOKED,))
    whole = path.read_bytes()
    flipped = evidence.folder / "flipped.zip"
    missed = []
    # Bytes are bytes whatever wrote them: every one on one engine, a sample on the other.
    step = 1 if evidence.vault.engine.dialect.name == "sqlite" else 61
    for place in range(0, len(whole), step):
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        if evidence.check(flipped).verdict is not Verdict.TAMPERED:
            missed.append(place)
    assert not missed
    for cut in (1, 21, 22, 23, len(whole) // 2):
        flipped.write_bytes(whole[:-cut])
        assert evidence.check(flipped).verdict is Verdict.TAMPERED
    flipped.write_bytes(whole + b"\0")
    assert evidence.check(flipped).verdict is Verdict.TAMPERED


def test_whoever_changes_a_member_and_seals_nothing_is_found_by_the_seal(evidence):
    evidence.grow(4)
    path = evidence.bundle({"README.html": b"call this number"})
    for name in members_of(path):
        if name == "SHA256SUMS":
            continue
        members = members_of(path)
        members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
        assert evidence.check(rebuilt(evidence.folder / "x.zip", members)).verdict is Verdict.TAMPERED, name
        del members[name]
        assert evidence.check(rebuilt(evidence.folder / "x.zip", members)).verdict is Verdict.TAMPERED, name
    more = members_of(path) | {"tile/1/005": b"\0" * 32, "notes.txt": b"see?"}
    assert evidence.check(rebuilt(evidence.folder / "x.zip", more)).verdict is Verdict.TAMPERED


def test_without_the_seals_key_the_log_still_convicts_whoever_changes_rows_entries_or_filter(evidence):
    evidence.grow(600)
    path = evidence.bundle(acts=(Act.FIELD_DISCLOSED,))
    whole = members_of(path)
    key = evidence.keys[:1]
    assert evidence.check(path, keys=key).verdict is Verdict.UNDECIDED
    lines = whole["rows.csv"].split(b"\r\n")
    bundle = next(name for name in whole if name.startswith("tile/entries/") and name.endswith("001"))
    entry = whole[bundle]
    body = entry[2 : 2 + int.from_bytes(entry[:2])]
    other = body.replace(b'"allow"', b'"error"')
    selection = read_filter(whole["filter.json"])
    changed = {
        "a row left out": {"rows.csv": b"\r\n".join(lines[:-2] + lines[-1:])},
        "a row made up": {"rows.csv": b"\r\n".join([*lines[:-1], lines[1], b""])},
        "rows in another order": {"rows.csv": b"\r\n".join([lines[0], lines[2], lines[1], *lines[3:]])},
        "an entry changed": {bundle: entry.replace(body, other)},
        "a tile swapped": {bundle: whole["tile/entries/000"]},
        "another filter": {"filter.json": write_filter(replace(selection, outcome="deny"))},
        "a shorter range": {"filter.json": write_filter(replace(selection, first=256))},
        "another checkpoint": {"checkpoint": whole["checkpoint"].replace(b"\n\n", b"\nx\n\n")},
        "another export": {"export/entry.json": whole["export/entry.json"].replace(b"to:cnil", b"to:pals")},
    }
    for what, difference in changed.items():
        found = evidence.check(rebuilt(evidence.folder / "x.zip", whole | difference), keys=key)
        assert found.verdict is Verdict.TAMPERED, what


def test_a_later_checkpoint_of_the_same_log_does_not_fit(evidence):
    evidence.grow(10)
    path = evidence.bundle()
    evidence.grow(10)
    later = members_of(evidence.bundle())
    whole = members_of(path) | {"checkpoint": later["checkpoint"]}
    assert evidence.check(rebuilt(evidence.folder / "x.zip", whole)).verdict is Verdict.TAMPERED


def test_a_bundle_of_a_part_of_a_long_log_is_small_and_complete(evidence):
    evidence.grow(900)
    evidence.scene.clock.advance(1_000)
    begin = evidence.scene.clock.now()
    evidence.grow(30)
    evidence.scene.clock.advance(1_000)
    end = evidence.scene.clock.now()
    evidence.grow(600)
    path = evidence.bundle(asked=evidence.asked(begin, end))
    found = evidence.check(path)
    assert (found.verdict, found.doubts) == (Verdict.FINE, ())
    assert len(table(path)) == 30
    entries = [name for name in members_of(path) if name.startswith("tile/entries/")]
    assert len(entries) <= 2
    assert not [each for each in found.notices if "ends after" in each]
    # Somebody who says that the range begins later than the period does is asked for what lies between.
    selection = read_filter(members_of(path)["filter.json"])
    assert selection.first == 768
    earlier = members_of(path) | {"filter.json": write_filter(replace(selection, since="2020-01-01T00:00:00Z"))}
    found = evidence.check(rebuilt(evidence.folder / "x.zip", earlier))
    assert any("may lie before" in each for each in found.doubts)


def test_filters_select_as_asked_and_the_brand_is_spelt_out(evidence):
    evidence.grow(30)
    whole = evidence.bundle(asked=evidence.asked(brand=VANTIER))
    assert {line.split(",")[5] for line in table(whole)} == {"vantier-pos"}
    assert len(table(whole)) == 10
    assert read_filter(members_of(whole)["filter.json"]).actors == ("vantier-pos",)
    for asked in (evidence.asked(brand="solenne"), evidence.asked(brand=VANTIER, system="aurelle-crm")):
        path = evidence.bundle(asked=asked)
        assert table(path) == []
        assert evidence.check(path).verdict is Verdict.FINE
    assert len(table(evidence.bundle(asked=evidence.asked(system="aurelle-crm"), outcome="allow"))) == 20
    assert table(evidence.bundle(asked=evidence.asked(purpose="marketing"))) == []


def test_a_bundle_about_one_person_needs_their_key_and_finds_all_and_only_theirs(evidence):
    her, him = evidence.scene.person(), evidence.scene.person()
    evidence.scene.did("aurelle-crm", whom=her, times=3, **LOOK)
    evidence.scene.did("aurelle-crm", whom=him, times=2, **LOOK)
    asked = evidence.asked(brand=AURELLE, reference=her.references[AURELLE])
    path = evidence.bundle(asked=asked)
    key = evidence.done.subject_key
    assert [line.split(",")[2] for line in table(path)] == ["subject.registered", *["field.disclosed"] * 3]
    assert evidence.check(path, log_key=key).verdict is Verdict.FINE
    assert evidence.check(path).verdict is Verdict.UNDECIDED
    everything = path.read_bytes()
    for secret in (key, key.hex().encode(), her.references[AURELLE].encode()):
        assert secret not in everything


def test_another_persons_key_decides_nothing_and_hides_nothing(evidence):
    her, him = evidence.scene.person(), evidence.scene.person()
    evidence.scene.did("aurelle-crm", whom=her, times=3, **LOOK)
    evidence.bundle(asked=evidence.asked(brand=AURELLE, reference=him.references[AURELLE]))
    his = evidence.done.subject_key
    path = evidence.bundle(asked=evidence.asked(brand=AURELLE, reference=her.references[AURELLE]))
    for wrong in (his, b"\x01" * 32):
        found = evidence.check(path, log_key=wrong)
        assert (found.verdict, found.findings) == (Verdict.UNDECIDED, ())
        assert any("is not theirs" in each for each in found.doubts)
    whole = members_of(path)
    lines = whole["rows.csv"].split(b"\r\n")
    cut = rebuilt(evidence.folder / "x.zip", whole | {"rows.csv": b"\r\n".join(lines[:-2] + lines[-1:])})
    assert evidence.check(cut, keys=evidence.keys[:1], log_key=evidence.done.subject_key).verdict is Verdict.TAMPERED
    entry = whole["export/entry.json"].replace(b'"sref":"', b'"sref":"0')[:-1]
    for wrong in (his, evidence.done.subject_key):
        other = rebuilt(evidence.folder / "x.zip", whole | {"export/entry.json": entry})
        assert evidence.check(other, keys=evidence.keys[:1], log_key=wrong).verdict is Verdict.TAMPERED


def test_a_bundle_verifies_by_either_key_during_and_after_a_change(evidence):
    evidence.grow(3)
    old, seal = evidence.keys
    before = evidence.bundle()
    logkeys.rotate(evidence.vault, 1, DPO)
    new = logkeys.shown(evidence.vault)[0].key.vkey
    assert evidence.check(before, keys=[old, seal]).verdict is Verdict.FINE
    assert evidence.check(before, keys=[new, seal]).verdict is Verdict.UNDECIDED  # nothing in it tells of the new one
    path = evidence.bundle()
    for key in (old, new):
        assert evidence.check(path, keys=[key, seal]).verdict is Verdict.FINE
    evidence.scene.clock.advance(logkeys.DAY)
    assert logkeys.retire_due(evidence.vault) == 1
    path = evidence.bundle()
    assert evidence.check(path, keys=[new, seal]).verdict is Verdict.FINE
    found = evidence.check(path, keys=[old, seal])
    assert (found.verdict, found.findings) == (Verdict.FINE, ())
    assert any("on the log's own word" in each for each in found.notices)  # by the statements in it
    assert (evidence.check(path, keys=[seal]).verdict, evidence.check(path, keys=[]).findings) == (
        Verdict.UNDECIDED,
        (),
    )
    whole = members_of(path)
    without = {name: content for name, content in whole.items() if not name.startswith("keychange/")}
    assert len(whole) - len(without) == 2
    bare = rebuilt(evidence.folder / "x.zip", without)
    assert (evidence.check(bare, keys=[old]).verdict, evidence.check(bare, keys=[old]).findings) == (
        Verdict.UNDECIDED,
        (),
    )
    assert evidence.check(bare, keys=[old, seal]).verdict is Verdict.TAMPERED
    cut = rebuilt(evidence.folder / "x.zip", whole | {"rows.csv": b""})
    assert evidence.check(cut, keys=[old]).verdict is Verdict.TAMPERED
    for name in whole.keys() - without.keys():
        for content in (b"", whole[name].replace(b"extra ", b"extra A"), whole[name].replace(b"index ", b"index 1")):
            changed = rebuilt(evidence.folder / "x.zip", whole | {name: content})
            assert evidence.check(changed, keys=[old]).verdict is Verdict.TAMPERED, (name, content[:20])


def test_the_export_is_an_entry_that_says_what_went_to_whom(evidence):
    evidence.grow(7)
    path = evidence.bundle()
    members = members_of(path)
    entry = decode(members["export/entry.json"])
    assert (entry["act"], entry["actor"]["id"], entry["n"]) == ("audit.exported", DPO.id, len(table(path)))
    assert f"filter:{sha256(members['filter.json']).hexdigest()}" in entry["pol"]
    assert "to:cnil" in entry["pol"]
    assert sum(name.startswith("proofs/") for name in members) == min(len(table(path)), export.MOST_PROOFS)
    assert json.loads(members["schema.json"])["title"]


def test_a_policy_that_asks_for_witnesses_is_not_met_without_them(evidence):
    evidence.grow(3)
    path = evidence.bundle()
    key = CosignerKey("w.example/one", 0x04, b"\x07" * 32).vkey
    needs = parse_policy(f"log {evidence.keys[0]}\nwitness one {key}\nquorum one\n".encode())
    free = parse_policy(f"log {evidence.keys[0]}\nwitness one {key}\nquorum none\n".encode())
    assert evidence.check(path, policy=needs).verdict is Verdict.UNDECIDED
    assert evidence.check(path, policy=free).verdict is Verdict.FINE


def test_what_is_no_bundle_is_undecided(evidence):
    for content in (b"", b"PK", b"something else altogether, long enough to be something"):
        path = evidence.folder / "none.zip"
        path.write_bytes(content)
        with pytest.raises(CannotDecide):
            evidence.check(path)
    with pytest.raises(CannotDecide):
        evidence.check(evidence.folder / "missing.zip")


def test_no_member_is_slipped_in_by_the_callers_name(evidence):
    evidence.bundle()
    with pytest.raises(InvalidReport):
        export.write(evidence.vault, evidence.done, {"rows.csv": b""}, lambda _: None)


def test_the_one_file_verifier_checks_a_bundle_alone(evidence):
    evidence.grow(300)
    source = standalone()
    path = evidence.bundle({"verify.py": source.encode()})
    script = evidence.folder / "verify.py"
    script.write_text(source)

    def ran(*arguments):
        command = [sys.executable, "-I", str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=evidence.folder, check=False)

    keys = [each for key in evidence.keys for each in ("--key", key)]
    fine = ran(path, *keys)
    assert (fine.returncode, "verified" in fine.stdout) == (0, True), fine.stdout + fine.stderr
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert ran(path, *keys).returncode == 1
    assert ran(path).returncode == 1  # damaged is damaged, whatever key is missing
    (evidence.folder / "empty.zip").write_bytes(b"")
    assert ran(evidence.folder / "empty.zip", *keys).returncode == 2


def test_details_are_held_against_the_bundle_they_were_handed_over_beside(evidence, capsys):
    her = evidence.scene.person()
    with evidence.vault.unit() as uow:
        (row,) = locked.by_reference(uow, [(AURELLE, her.references[AURELLE])])
        pos = Actor(ActorKind.SYSTEM, "aurelle-crm")
        looked = Entry(Act.FIELD_DENIED, Outcome.DENY, pos, detail={"reason": "Malaise à la boutique"})
        uow.record(looked, log_key=row.log_key)
        uow.commit()
    path = evidence.bundle(asked=evidence.asked(brand=AURELLE, reference=her.references[AURELLE]))
    (evidence.folder / "key").write_text(evidence.done.subject_key.hex())
    details = export.details_of(evidence.vault, evidence.done)
    keys = [each for key in evidence.keys for each in ("--key", key)]

    def ran(document, *more, bundle=path):
        (evidence.folder / "details").write_bytes(document)
        given = [bundle, *keys, "--subject-key", evidence.folder / "key", "--details", evidence.folder / "details"]
        code = verify.main([str(each) for each in (*given, *more)])
        return code, capsys.readouterr().out

    code, told = ran(details)
    assert (code, "Malaise" in told, "what their entries commit to: 1" in told) == (0, True, True)
    (result, row) = map(json.loads, ran(details, "--json")[1].splitlines())
    assert (result["verdict"], json.loads(row["detail"])["reason"]) == ("fine", "Malaise à la boutique")
    code, told = ran(details.replace(b"Malaise", b"Maladie"))
    assert (code, "TAMPERED" in told, "Maladie" in told) == (1, True, False)
    handed = json.loads(details)["details"]
    stray = json.dumps({"v": 1, "details": [*handed, handed[0] | {"entry": "ab" * 16}]}).encode()
    for unusable in (stray, b"{}", json.dumps({"v": 1, "details": handed * 2}).encode()):
        code, told = ran(unusable)
        assert (code, "cannot decide" in told, "Malaise" in told) == (2, True, False)
    cut = rebuilt(evidence.folder / "x.zip", members_of(path) | {"rows.csv": b""})
    assert ran(details, bundle=cut)[0] == 1  # a detail heals no bundle
    assert (
        verify.main([str(evidence.folder), "--key", evidence.keys[0], "--details", str(evidence.folder / "details")])
        == 2
    )


def test_limits_of_the_archive_hold():
    with pytest.raises(VerificationError):
        write_archive(lambda _: None, ((f"m{place}", b"") for place in range(70_000)))


def test_a_damaged_leaf_is_not_exported(evidence):
    evidence.grow(20)
    evidence.scene.sign()
    rows(evidence.vault, "UPDATE log_entry SET body = ? WHERE idx = 3", b"{}")
    with pytest.raises(Exception, match=r"canonical|signed") as refused:
        evidence.bundle()
    assert refused.type.__module__.startswith("audit.")
