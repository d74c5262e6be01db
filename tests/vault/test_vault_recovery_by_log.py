"""Keystore and data put back together: only the log outside knows who was erased since, and nobody is served before."""

import shutil
from dataclasses import replace

import pytest
from maison_people import AURELLE, FIELDS, change, one, person, rows, take_in, value
from recovery_scene import OPERATOR, quiet
from rewound_scene import Rewound

from audit import ledger
from audit.entry import decode
from audit.errors import PublishingRefused
from audit.merkle import leaf_hash
from audit.reports.asked import Asked
from audit.tiles import pack_bundle, unpack_bundle
from vault import evidence, export, restrictions
from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.erasure.records import Cause, Scope
from vault.erasure.requests import Erase
from vault.errors import LogRefused, RestoreUnfinished, UnknownReference
from vault.keys.service import Slot
from vault.recovery import caughtup, logs, lost, mirrors, restores
from vault.recovery.again import Again
from vault.recovery.guard import Carried
from vault.restrictions import Ground
from vault.runtime import SystemEntropy
from vault.search import Search, search
from vault.setup import open_vault
from vault.store import dumps
from vault.subjects import describe
from vault.unit import execute, settled

NAMES = ("email", "phone", "birth_date", "ring_size")


def of(name, number):
    return FIELDS | {
        "client_number": f"AU-{number}",
        "email": [f"{name}@example.com"],
        "phone": [f"+3361234567{number % 10}"],
    }


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    scene = Rewound(vault, place, tmp_path, clock, databases)
    yield scene
    scene.close()


@pytest.fixture
def people(scene):
    """Who stays, and who goes: as a whole, one category, one field."""
    found = take_in(
        scene.vault, *(person(of(name, number)) for number, name in enumerate(("stays", "whole", "category", "field")))
    )
    scene.before = [(raw(scene.vault, each), stored(scene.vault, each)) for each in found]
    scene.published()
    scene.keep()
    return found


@pytest.fixture
def erased(scene, people):
    """The three are erased, destroyed, certified, and the log that says so lies outside; then everything is put back."""
    _, whole, category, field = people
    scene.whole(whole.subject)
    scene.category(category.subject, "contact")
    scene.field(field.subject, "email")
    scene.run()
    scene.published()
    scene.certified = [decode(each.body) for each in _records(scene.vault)]
    scene.rewind()
    return people


def _records(vault, shard=0):
    with vault.reading() as conn:
        return ledger.read(conn, shard, 0, 100_000)


def raw(vault, registered):
    return {name: value(vault, registered.subject, name) for name in NAMES}


def described(vault, registered):
    return execute(vault, settled(describe), [(AURELLE, registered.references[AURELLE])])[0]


def found(vault, name):
    answer = execute(vault, search, [Search(AURELLE, "aurelle-crm", "email", f"{name}@example.com")])[0]
    return [each.subject for each in answer.candidates]


def stored(vault, registered):
    """Every stored byte of one person's values."""
    query = "SELECT category_id, field_id, item, version, envelope FROM field_value WHERE subject_id = ? ORDER BY 1, 2, 3, 4"
    return [(*row[:4], bytes(row[4])) for row in rows(vault, query, registered.subject)]


def state(scene):
    """All that a refused log might have changed."""
    tables = (
        "log_head",
        "log_entry",
        "restoration",
        "erasure",
        "erasure_leaf",
        "subject",
        "compartment",
        "search_token",
    )
    held = [rows(scene.vault, f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables]  # noqa: S608 - ours
    told = scene.outside.read_text() if scene.outside.exists() else None
    return repr(held), told, scene.vault.keys.status().retired


def gone(vault, people):
    """Whether the three are denied what was erased of them, and only that."""
    _, whole, category, field = people
    return (
        isinstance(described(vault, whole), UnknownReference)
        and found(vault, "whole") == found(vault, "category") == found(vault, "field") == []
        and value(vault, category.subject, "email") is None
        and value(vault, field.subject, "email") is None
        and value(vault, category.subject, "birth_date") == FIELDS["birth_date"]
        and value(vault, field.subject, "phone") is not None
    )


# The proof


def test_put_back_together_they_forget_who_was_erased(scene, erased):
    """The control: without a log outside the guard has nothing to go by, and whoever was erased is served."""
    assert restores.admit(scene.vault, scene.history, scene.outside) == Carried()
    assert not restores.begin(scene.vault, scene.outside, now=scene.clock.now())
    assert value(scene.vault, erased[1].subject, "email") == ["whole@example.com"]
    assert not gone(scene.vault, erased)


def test_a_guard_that_reads_only_the_log_brought_back_is_caught(scene, erased):
    """The mutant: the log that came back with the data agrees with itself, and says nothing."""
    mirror = scene.folder / "own"
    mirror.mkdir()
    evidence.mirror(scene.vault, mirror)
    told, done = scene.by_log(mirror)
    assert (told.anything, done) == (False, None)
    assert not gone(scene.vault, erased)


def test_whom_the_log_outside_calls_erased_is_erased_again_before_anybody_is_served(scene, erased):
    stays, whole, category, field = erased
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, scene.history, scene.outside, scene.mirror)
    told, done = scene.by_log()
    assert done.again == Again(subjects=1, categories=1, fields=1)
    assert done.carried == Carried() and done.successions[0].lost == told.beyond > 0
    restores.admit(scene.vault, scene.history, scene.outside, scene.mirror)
    assert gone(scene.vault, erased)
    assert (raw(scene.vault, stays), stored(scene.vault, stays)) == scene.before[0]
    assert raw(scene.vault, category)["birth_date"] == scene.before[2][0]["birth_date"]
    assert raw(scene.vault, field)["phone"] == scene.before[3][0]["phone"]
    # The entries say that it was asked for again, and by whose word.
    asked = [each for each in scene.entries() if each["act"] == "erasure.requested"]
    assert {rule for each in asked for rule in each["pol"]} == {
        "erasure.request", "erasure.again", "erasure.subject", "erasure.category", "erasure.field", "erasure.suppressed",
    }  # fmt: skip
    ends = [each for each in scene.entries() if each["act"] in {"erasure.carried", "deployment.restored"}]
    told = [(each["act"], each["pol"], each["n"]) for each in ends]
    assert told == [("erasure.carried", ["carried.log"], 3), ("deployment.restored", ["log:read"], 0)]
    # The usual road to its end: an epoch, the rows, the entry with the very commitment, and certificates.
    scene.run()
    assert not rows(scene.vault, "SELECT 1 FROM subject WHERE id = ?", whole.subject)
    before = [each["com"] for each in scene.certified if each["act"] == "subject.erased"]
    assert [each["com"] for each in scene.entries() if each["act"] == "subject.erased"] == before
    assert rows(scene.vault, "SELECT count(*) FROM erasure WHERE state = 'done' AND certificate IS NOT NULL") == [(3,)]
    assert (raw(scene.vault, stays), stored(scene.vault, stays)) == scene.before[0]
    # And nothing more is to be done, whoever asks.
    scene.published()
    assert scene.by_log()[1] is None
    restores.admit(scene.vault, scene.history, scene.outside, scene.mirror)


def test_an_erasure_that_waits_for_its_epoch_is_denied_again(scene, people):
    """Nothing was destroyed yet, and the copy of the keystore, of the same epoch, has no queue."""
    _, whole, category, _ = people
    scene.whole(whole.subject)
    scene.category(category.subject, "contact")
    scene.published()
    scene.rewind()
    assert scene.vault.keys.status().retired == 0
    _, done = scene.by_log()
    assert (done.again.subjects, done.again.categories) == (1, 1)
    assert isinstance(described(scene.vault, whole), UnknownReference)
    assert scene.vault.keys.status().retired > 0
    assert len(scene.run().ended) == 1
    assert not rows(scene.vault, "SELECT 1 FROM subject WHERE id = ?", whole.subject)


def test_data_alone_put_back_and_a_request_of_which_everything_was_kept_is_known_by_the_log(scene, people):
    """With the current keystore only: nothing was destroyed, so it has no trace of the request."""
    stays, whole, *_ = people
    holds.place(scene.vault, whole.subject, HoldReason.LEGAL_CLAIM, OPERATOR)
    scene.back_up()
    asked = scene.whole(whole.subject)
    assert {each.because for each in asked.kept} == {"hold"}
    scene.published()
    scene.move(scene.load())
    _, done = scene.by_log()
    assert done.again.subjects == 1
    assert isinstance(described(scene.vault, whole), UnknownReference)
    assert rows(scene.vault, "SELECT state FROM erasure") == [("partial",)]
    assert found(scene.vault, "stays") == [stays.subject]


def test_a_retention_sweep_is_carried_out_again_for_its_own_reason(scene, people):
    _, whole, category, _ = people
    scene.erase(Erase(whole.subject, OPERATOR, cause=Cause.RETENTION))
    contact = scene.vault.bundle.catalogue.category("contact").id
    scene.erase(Erase(category.subject, OPERATOR, Scope.CATEGORY, contact, cause=Cause.RETENTION))
    scene.run()
    scene.published()
    scene.rewind()
    _, done = scene.by_log()
    assert (done.again.subjects, done.again.categories) == (1, 1)
    assert rows(scene.vault, "SELECT DISTINCT cause FROM erasure") == [("retention",)]


def test_whoever_came_after_the_backup_and_went_is_nobody_here(scene, people):
    late = one(take_in(scene.vault, person(of("late", 9))))
    scene.whole(late.subject)
    scene.run()
    scene.published()
    scene.rewind()
    _, done = scene.by_log()
    assert done.again == Again(strangers=2)  # the request and the end of it
    assert len(rows(scene.vault, "SELECT 1 FROM subject")) == len(people)


def test_what_the_catalogue_of_that_day_has_no_name_for_is_for_an_officer(scene, people):
    _, _, category, _ = people
    scene.category(category.subject, "contact")
    scene.published()
    scene.rewind()
    told = logs.examine(scene.vault, [scene.mirror], scene.outside)
    renamed = replace(told.asked[0], names=("category:of_a_later_day",))
    lost.advance(told.notes, scene.outside)
    restores.begin(scene.vault, scene.outside, now=scene.clock.now(), lost=told)
    told = replace(told, asked=(renamed,))
    done = restores.carry_on(scene.vault, scene.outside, OPERATOR, scene.history, quiet, told)
    assert done.again == Again(restricted=1)
    with scene.vault.reading() as conn:
        assert [(each.brand, each.ground) for each in restrictions.listed(conn)] == [("", Ground.RESTORED)]
    assert found(scene.vault, "category") == []


def test_a_newer_backup_and_an_evidence_bundle_say_as_much(scene, people):
    _, whole, category, field = people
    scene.whole(whole.subject)
    scene.category(category.subject, "contact")
    scene.field(field.subject, "email")
    scene.run()
    scene.published()
    places = {"bundle": scene.folder / "range.zip"}
    with places["bundle"].open("wb") as archive:
        now = scene.clock.now()
        done = export.export(scene.vault, Asked(0, now + 1), OPERATOR, "tests", scene.outside)
        done, _ = export.settle(scene.vault, done)
        export.write(scene.vault, done, {}, archive.write)
    if scene.databases.backend == "sqlite":
        evidence.sign_checkpoints(scene.vault, scene.outside)
        scene.back_up("newer")
        places["backup"] = scene.folder / "newer"
    for name, place in places.items():
        scene.rewind()
        _, done = scene.by_log(place)
        assert done.again == Again(subjects=1, categories=1, fields=1), name
        assert gone(scene.vault, people)


# After another restore


def test_an_earlier_restore_is_not_done_again(scene, erased):
    """What was written since is nobody's erasure."""
    _, _, category, _ = erased
    scene.by_log()
    scene.run()
    change(scene.vault, category, set={"email": ["new@example.com"]})
    scene.published()
    scene.back_up()
    scene.move(scene.load())
    _, done = scene.by_log()
    assert done.again == Again()
    assert value(scene.vault, category.subject, "email") == ["new@example.com"]


def test_a_log_that_is_found_later_is_gone_by_later(scene, erased):
    """The operator went on without it: the log that was closed then still says who was erased."""
    _, whole, *_ = erased
    scene.outside.write_text(_newest(scene))  # all that was left was the checkpoint
    assert restores.begin(scene.vault, scene.outside, now=scene.clock.now(), waived=True)
    done = restores.carry_on(scene.vault, scene.outside, OPERATOR, scene.history, quiet, waived=True)
    assert [each["pol"] for each in scene.entries() if each["act"] == "deployment.restored"] == [["log:waived"]]
    assert done.successions and value(scene.vault, whole.subject, "email")
    evidence.sign_checkpoints(scene.vault, scene.outside)
    _, done = scene.by_log()
    assert done.again == Again(subjects=1, categories=1, fields=1)
    assert gone(scene.vault, erased)


def test_the_log_that_followed_an_earlier_restore_counts_as_well(scene, people):
    """Two logs outside: the one of these data, and the one that went on after it."""
    _, whole, category, field = people
    scene.back_up()
    scene.whole(whole.subject)
    scene.published()
    scene.move(scene.load())
    scene.by_log()
    scene.category(category.subject, "contact")
    scene.field(field.subject, "email")
    scene.run()
    scene.published()
    scene.rewind()
    _, done = scene.by_log()
    assert done.again == Again(subjects=1, categories=1, fields=1)
    assert gone(scene.vault, people)
    # Where only the first of them is to be had, something may be missing.
    scene.rewind()
    for each in scene.mirror.iterdir():
        if (each / "checkpoint").read_text().partition("\n")[0] != scene.vault.origin:
            follower = each
    follower.rename(scene.folder / "elsewhere")
    scene.outside.write_text((scene.folder / "elsewhere" / "checkpoint").read_text())
    with pytest.raises(LogRefused):
        scene.by_log()
    (scene.folder / "elsewhere").rename(follower)
    (scene.mirror / evidence.mirror_of(scene.mirror, scene.vault.origin).name).rename(scene.folder / "first")
    with pytest.raises(LogRefused):
        scene.by_log()


def test_a_manifest_names_no_log_that_was_closed_and_a_pruned_beginning_says_nothing_of_it(scene, people):
    """Before the data are in place only their own log is known; what it followed is known when they are."""
    scene.back_up()
    scene.published()
    take_in(scene.vault, person(of("lost", 7)))
    scene.published()
    scene.move(scene.load())
    scene.by_log()
    take_in(scene.vault, *(person(of("many", number)) for number in range(100, 400)))
    scene.published()
    (own,) = (each for each in manifest_of(scene.back_up("later")) if each.shard == 0)
    scene.whole(people[1].subject)
    scene.published()
    (_folder(scene) / "tile" / "entries" / "000").unlink()
    publics = lost.publics_of(scene.vault.keys)
    told = lost.examine([scene.mirror], publics, [own], lost.pins_of(scene.outside, 1), None)
    assert len(told.asked) == 1
    with pytest.raises(LogRefused):  # in place, the data know all of theirs
        lost.examine([scene.mirror], publics, [own], [], lambda *_: True)
    assert len(logs.examine(scene.vault, [scene.mirror], scene.outside).asked) == 0


def manifest_of(told):
    return [lost.Known(each.shard, each.origin, each.size, bytes.fromhex(each.root)) for each in told.log]


def _newest(scene):
    return (evidence.mirror_of(scene.mirror, scene.vault.origin) / "checkpoint").read_text()


# What is refused


def _folder(scene):
    return evidence.mirror_of(scene.mirror, scene.vault.origin)


def _unsigned(scene):
    note = _folder(scene) / "checkpoint"
    note.write_text(note.read_text().replace(scene.vault.origin, scene.vault.origin + "x"))


def _shortened(scene):
    """An older checkpoint than the one last signed."""
    scene.outside.write_text(_newest(scene))
    (_folder(scene) / "checkpoint").write_text((scene.folder / "kept" / "checkpoint").read_text())


def _cut(scene):
    (bundles,) = (_folder(scene) / "tile" / "entries").glob("000.p")
    shutil.rmtree(bundles)
    shutil.rmtree(_folder(scene) / "tile" / "0")


def _hashes_only(scene):
    shutil.rmtree(_folder(scene) / "tile" / "entries")


def _altered(scene):
    for path in (_folder(scene) / "tile" / "entries" / "000.p").iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"act":"subject.erased"', b'"act":"subject.listed"'))


def _dropped(scene):
    """The entry that tells of the erasure left out, bundle and hashes fitting each other."""
    for path in (_folder(scene) / "tile" / "entries" / "000.p").iterdir():
        bodies = [each for each in unpack_bundle(path.read_bytes()) if b'"subject.erased"' not in each]
        path.write_bytes(pack_bundle(bodies + bodies[-1:]))
        (_folder(scene) / "tile" / "0" / "000.p" / path.name).write_bytes(
            b"".join(map(leaf_hash, [*bodies, bodies[-1]]))
        )


def _empty(scene):
    shutil.rmtree(_folder(scene))


DISTURBED = (_unsigned, _shortened, _cut, _hashes_only, _altered, _dropped, _empty)


@pytest.mark.parametrize("disturb", DISTURBED)
def test_a_log_that_does_not_hold_is_refused_and_nothing_is_changed(scene, erased, disturb):
    disturb(scene)
    before = state(scene)
    with pytest.raises(LogRefused):
        scene.by_log()
    assert state(scene) == before


def test_a_log_of_another_deployment_and_a_fork_are_refused(scene, erased, places, clock, bundle, tmp_path):
    (tmp_path / "other").mkdir()
    with places(tmp_path / "other") as place:
        other = open_vault(place, bundle, clock=clock, entropy=SystemEntropy())
        take_in(other, person())
        (tmp_path / "foreign").mkdir()
        evidence.sign_checkpoints(other, tmp_path / "other-checkpoint")
        evidence.mirror(other, tmp_path / "foreign")
        other.close()
    before = state(scene)
    with pytest.raises(LogRefused):
        scene.by_log(tmp_path / "foreign")
    assert state(scene) == before
    # Data that were served after they were put back have a history of their own, signed by the same key.
    take_in(scene.vault, person(of("new", 8)))
    before = state(scene)
    with pytest.raises(LogRefused):
        scene.by_log()
    assert state(scene) == before


def test_entries_behind_the_last_signature_are_nobodys_word(scene, people):
    if scene.databases.backend != "sqlite":
        pytest.skip("a data file")
    scene.back_up("before")
    scene.whole(people[1].subject)
    scene.back_up("unsigned")
    scene.rewind()
    with pytest.raises(LogRefused, match="not signed"):
        scene.by_log(scene.folder / "unsigned")
    assert scene.by_log(scene.folder / "before")[1] is None


# The mirror


def test_no_service_opens_where_the_mirror_says_more_or_is_not_there(scene, people):
    guarded = (scene.history, scene.outside, scene.mirror)
    assert restores.admit(scene.vault, *guarded) == Carried()
    take_in(scene.vault, person(of("late", 9)))
    assert restores.admit(scene.vault, *guarded) == Carried()  # the mirror is behind: that is its way
    aside = scene.folder / "aside"
    _folder(scene).rename(aside)
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, *guarded)
    scene.mirror.rmdir()
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, *guarded)
    with pytest.raises(PublishingRefused):
        evidence.mirror(scene.vault, scene.mirror)
    scene.mirror.mkdir()
    assert not mirrors.fits(scene.vault, scene.mirror)
    aside.rename(_folder(scene))
    scene.published()
    scene.rewind()
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, *guarded)
    assert set(mirrors.ahead(scene.vault, scene.mirror)) == {0}
    _unsigned(scene)
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, *guarded)
    mirrors.set_aside(scene.vault, scene.mirror)
    assert [each.name.partition(".")[2][:6] for each in scene.mirror.iterdir()] == ["ended-"]


def test_a_log_that_the_data_do_not_know_and_that_follows_theirs_stops_the_start(scene, people):
    scene.back_up()
    scene.published()
    scene.keep("later")
    take_in(scene.vault, person(of("late", 9)))
    scene.published()
    scene.move(scene.load())
    scene.by_log()
    scene.published()
    assert restores.admit(scene.vault, scene.history, scene.outside, scene.mirror) == Carried()
    scene.rewind("later")
    evidence.mirror_of(scene.mirror, scene.vault.origin).rename(scene.folder / "lost")
    with pytest.raises(RestoreUnfinished):
        restores.admit(scene.vault, scene.history, scene.outside, scene.mirror)


def test_a_log_that_was_never_signed_needs_no_mirror_yet(vault, place, tmp_path, clock, databases):
    scene = Rewound(vault, place, tmp_path, clock, databases)
    try:
        assert restores.admit(scene.vault, scene.history, scene.outside, scene.mirror) == Carried()
    finally:
        scene.close()


# Stopped on the way


def test_a_restore_that_was_begun_with_a_log_does_not_end_without_it(scene, erased):
    told = logs.examine(scene.vault, [scene.mirror], scene.outside)
    lost.advance(told.notes, scene.outside)
    restores.begin(scene.vault, scene.outside, now=scene.clock.now(), lost=told)
    for _ in range(2):
        with pytest.raises(RestoreUnfinished):
            restores.carry_on(scene.vault, scene.outside, OPERATOR, scene.history, quiet)
        with pytest.raises(RestoreUnfinished):
            restores.admit(scene.vault, scene.history, scene.outside)
    _, done = scene.by_log()
    assert done.again == Again(subjects=1, categories=1, fields=1)
    assert gone(scene.vault, erased)


def test_a_restore_stopped_anywhere_goes_on_and_asks_once(scene, erased, monkeypatch):
    class Stopped(Exception):
        pass

    def stopping(after):
        told = []

        def progress(what, done, of):
            told.append(what)
            if len(told) > after:
                raise Stopped

        return progress

    for steps in range(20):
        told = logs.examine(scene.vault, [scene.mirror], scene.outside)
        lost.advance(told.notes, scene.outside)
        assert restores.begin(scene.vault, scene.outside, now=scene.clock.now(), lost=told)
        with pytest.raises(RestoreUnfinished):
            restores.admit(scene.vault, scene.history, scene.outside, scene.mirror)
        try:
            restores.carry_on(scene.vault, scene.outside, OPERATOR, scene.history, stopping(steps % 4), told)
        except Stopped:
            continue
        break
    assert gone(scene.vault, erased)
    assert scene.acts().count("erasure.requested") == 3
    assert scene.acts().count("log.succession") == 1


# The keystore


def test_a_keystore_of_an_earlier_epoch_than_the_data_is_not_served_from_and_what_was_destroyed_goes_again(
    scene, people
):
    _, whole, category, _ = people
    scene.whole(whole.subject)
    scene.category(category.subject, "contact")
    scene.run()
    scene.published()
    dumps.dump(scene.place.database, scene.folder / "newest", quiet, quiet)
    pinned = scene.outside.read_text()
    url = scene.vacant()
    dumps.load(scene.folder / "newest", url, "00", quiet, quiet)
    scene.rewind()
    scene.outside.write_text(pinned)
    scene.move(url)  # the newest data, with the keystore of before the erasures
    assert caughtup.ahead_of_keys(scene.vault)
    with pytest.raises(RestoreUnfinished, match="earlier epoch"):
        restores.admit(scene.vault, scene.history, scene.outside)
    leaves = [Slot(*row) for row in rows(scene.vault, "SELECT slot, generation FROM erasure_leaf")]
    assert any(scene.vault.keys.alive(leaves))
    _, done = scene.by_log()
    assert done.revived > 0
    assert not any(scene.vault.keys.alive(leaves))
    assert restores.admit(scene.vault, scene.history, scene.outside) == Carried()
    assert value(scene.vault, people[0].subject, "birth_date") == FIELDS["birth_date"]
    scene.run()
    assert not any(scene.vault.keys.alive(leaves))
