"""Codes: to an address on file and no other, few tries, good once, and one answer for everybody who is not meant."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from counted_keys import work_of
from erasure_scene import Scene
from maison_people import AURELLE, FIELDS, VANTIER, change, one, person, rows, take_in
from policy_officers import APPROVER
from request_desk import Desk

from policies.rights import Assurance, Right
from vault import remembering
from vault.erasure import requests as erasures
from vault.errors import InvalidFields, Refused
from vault.requests import codes, handling, letters
from vault.requests.codes import MOST_AT_ONCE, SECONDS, TRIES, Wish
from vault.requests.content import Content
from vault.requests.letters import Carried, LetterKind
from vault.requests.records import Ground
from vault.requests.states import Move
from vault.requests.steps import by_vault
from vault.store.tables import metadata

MAIL = "apolline.rousselin@example.com"
HERS = Wish(AURELLE, "email", MAIL)
NOBODYS = Wish(AURELLE, "email", "nobody@example.com")


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock)


def post(vault):
    """The codes that the post takes out now."""
    return [each for each in letters.claim(vault, 50) if each.kind is LetterKind.CODE]


def code_of(vault):
    (letter,) = post(vault)
    assert letter.kind is LetterKind.CODE
    letters.settle(vault, [Carried(letter.id, "")])
    return letter.words["code"]


def refused(vault, handle, code):
    with pytest.raises(Refused) as caught:
        codes.check(vault, handle, code)
    return caught.value.code == "code_refused"


def test_a_code_goes_to_the_address_on_file_and_proves_its_holder(desk):
    handle = codes.begin(desk.vault, HERS)
    (letter,) = post(desk.vault)
    assert (letter.channel, letter.address, letter.brand) == ("email", "Apolline.Rousselin@example.com", AURELLE)
    proven = codes.check(desk.vault, handle, letter.words["code"])
    assert (proven.brand, proven.reference) == (AURELLE, desk.person.references[AURELLE])
    assert [each["act"] for each in desk.log()[-3:]] == [
        "request.code_sent", "request.letter_sent", "request.code_checked"
    ]  # fmt: skip


def test_whose_address_a_code_was_for_dies_with_the_epoch(vault, place, tmp_path, clock):
    """A backup of those ten minutes, every key that lives and a dictionary of addresses: nobody is found."""
    scene = Scene(vault, place, tmp_path, clock)
    whoever = one(take_in(vault))
    codes.begin(vault, HERS)
    (stolen,) = rows(vault, "SELECT whom_mac FROM identity_code")

    def guessed():
        (made,) = remembering.handles(vault.keys, "identity/seen", [((AURELLE, "email"), MAIL.encode())])
        return bytes(stolen[0]) in [each.content for each in made]

    assert guessed()
    scene.whole(whoever.subject)
    scene.run()
    assert not guessed()
    assert bytes(stolen[0]) not in vault.keys.mac("identity/whom", [f"{AURELLE}/email/{MAIL}".encode()])


def test_a_telephone_does_too_however_it_is_written(desk):
    codes.begin(desk.vault, Wish(AURELLE, "phone", "+33 6 39 98 12 34"))
    (letter,) = post(desk.vault)
    assert (letter.channel, letter.address) == ("phone", "+33639981234")


def test_a_code_is_good_once(desk):
    handle = codes.begin(desk.vault, HERS)
    code = code_of(desk.vault)
    codes.check(desk.vault, handle, code)
    assert refused(desk.vault, handle, code)


def test_a_code_is_good_for_ten_minutes(desk, clock):
    handle = codes.begin(desk.vault, HERS)
    code = code_of(desk.vault)
    clock.advance(SECONDS)
    assert refused(desk.vault, handle, code)


def test_a_code_stands_few_tries(desk):
    handle = codes.begin(desk.vault, HERS)
    code = code_of(desk.vault)
    wrong = "00000000" if code != "00000000" else "11111111"
    for _ in range(TRIES):
        assert refused(desk.vault, handle, wrong)
    assert refused(desk.vault, handle, code)


def test_the_last_try_may_be_the_right_one(desk):
    handle = codes.begin(desk.vault, HERS)
    code = code_of(desk.vault)
    for _ in range(TRIES - 1):
        assert refused(desk.vault, handle, "")
    assert codes.check(desk.vault, handle, code).brand == AURELLE


@pytest.mark.parametrize("handle", ["", "zz", "00" * 16, "00" * 15, "é" * 32])
@pytest.mark.parametrize("code", ["", "12345678", "é", "١٢٣٤٥٦٧٨", "1" * 10_000])
def test_what_is_no_handle_or_no_code_is_refused_alike(desk, handle, code):
    assert refused(desk.vault, handle, code)


def test_a_code_of_one_handle_is_none_of_another(desk):
    first = codes.begin(desk.vault, HERS)
    code = code_of(desk.vault)
    second = codes.begin(desk.vault, HERS)
    code_of(desk.vault)
    assert refused(desk.vault, second, code)
    assert codes.check(desk.vault, first, code).brand == AURELLE


def test_nobody_is_answered_as_somebody_is(desk):
    """Same answer, same statements and key operations, same rows; only what the carrier finds in the letter differs."""
    works, handles = [], []
    for wish in (HERS, NOBODYS, Wish(VANTIER, "email", MAIL)):
        with work_of(desk.vault) as work:
            handles.append(codes.begin(desk.vault, wish))
        works.append(work)
    assert works[1] == works[0]
    assert works[2] == works[0]
    assert {len(each) for each in handles} == {32}
    with desk.vault.reading() as conn:
        for name in ("letter", "identity_code"):
            rows = [dict(row._mapping) for row in conn.execute(metadata.tables[name].select())]
            assert len(rows) == 3
            alike = {
                tuple(len(value) if isinstance(value, bytes) else value for key, value in row.items() if key != "brand")
                for row in rows
            }
            assert len(alike) == 1
    assert [each.brand for each in post(desk.vault)] == [AURELLE]
    assert all(refused(desk.vault, handle, "12345678") for handle in handles)


def test_who_shares_an_address_gets_no_code_by_it(desk):
    """The household: one telephone of two people proves neither of them."""
    one(take_in(desk.vault, person(FIELDS | {"client_number": "AU-0044", "email": ["other@example.com"]})))
    codes.begin(desk.vault, Wish(AURELLE, "phone", "+33 6 39 98 12 34"))
    assert post(desk.vault) == []
    codes.begin(desk.vault, HERS)
    assert len(post(desk.vault)) == 1


def test_an_address_that_is_not_on_file_is_never_added_nor_written_to(desk):
    before = desk.person.version
    codes.begin(desk.vault, NOBODYS)
    assert post(desk.vault) == []
    assert change(desk.vault, desk.person, expected=before, set={"ring_size": {"value": "53", "system": "eu"}}).version


def test_a_sister_brand_does_not_have_it_on_file(desk):
    codes.begin(desk.vault, Wish(VANTIER, "email", MAIL))
    assert post(desk.vault) == []


def test_an_address_that_went_meanwhile_gets_nothing(desk):
    codes.begin(desk.vault, HERS)
    change(desk.vault, desk.person, set={"email": []})
    assert post(desk.vault) == []


def test_who_is_erased_gets_nothing_and_proves_nothing(desk):
    first, second = codes.begin(desk.vault, HERS), codes.begin(desk.vault, HERS)
    letter = post(desk.vault)[0]
    erasures.erase(desk.vault, [erasures.Erase(desk.person.subject, by_vault(desk.vault).actor)])
    assert all(refused(desk.vault, handle, letter.words["code"]) for handle in (first, second))
    codes.begin(desk.vault, HERS)
    assert post(desk.vault) == []


def test_few_letters_go_to_one_address(desk, clock):
    for _ in range(MOST_AT_ONCE + 2):
        codes.begin(desk.vault, HERS)
    assert len(post(desk.vault)) == MOST_AT_ONCE
    clock.advance(SECONDS + 1)
    codes.begin(desk.vault, HERS)
    assert len(post(desk.vault)) == 1


def test_those_who_ask_at_once_get_no_more(desk):
    """Eight at a time, each in a thread of its own: counted one after the other, whichever engine it is."""
    start = Barrier(8)

    def ask(_):
        start.wait(30)
        return codes.begin(desk.vault, HERS)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 8
    assert len(post(desk.vault)) == MOST_AT_ONCE


@pytest.mark.parametrize("wish", [Wish(AURELLE, "birth_date", "1984-05-17"), Wish(AURELLE, "email", "no address")])
def test_what_is_no_address_is_said_so(desk, wish):
    with pytest.raises(InvalidFields):
        codes.begin(desk.vault, wish)


# ---------------------------------------------------------------------------------------------------- letters of a request


def test_the_person_hears_of_each_turn_and_the_letter_says_nothing_of_it(desk):
    request = desk.reviewed(Right.ERASURE, content=Content(words="je suis enceinte"))
    request = desk.advance(request, Move.EXTEND, reason="complexity")
    handling.propose_refusal(desk.vault, request.id, Ground.LEGAL_CLAIMS, desk.by())
    handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    sent = letters.claim(desk.vault, 50)
    assert sorted(each.kind for each in sent) == ["extended", "received", "refused"]
    assert {each.address for each in sent} == {"Apolline.Rousselin@example.com"}
    assert all(each.words == {"request": request.name} for each in sent)


def test_who_is_asked_who_they_are_hears_of_it_and_of_what_came_of_it(desk):
    doubted = desk.ask(assurance=Assurance.NONE)
    desk.advance(doubted, Move.ASK_IDENTITY)
    desk.advance(doubted, Move.FAIL_IDENTITY, reason="no_answer")
    taken_back = desk.ask(Right.PORTABILITY)
    desk.advance(taken_back, Move.WITHDRAW)
    sent = [(each.words["request"], each.kind.value) for each in letters.claim(desk.vault, 50)]
    assert sorted(kind for name, kind in sent if name == doubted.name) == ["identity", "received", "unverified"]
    assert sorted(kind for name, kind in sent if name == taken_back.name) == ["received", "withdrawn"]


def test_what_was_stopped_at_once_is_told_once(desk):
    desk.ask(Right.OBJECTION)
    assert [each.kind for each in letters.claim(desk.vault, 50)] == [LetterKind.DONE]


# ----------------------------------------------------------------------------------------------------------- at rest


def test_no_row_holds_a_code_or_an_address(desk):
    codes.begin(desk.vault, HERS)
    (letter,) = post(desk.vault)
    stored = desk.stored()
    assert letter.words["code"].encode() not in stored
    assert MAIL.encode() not in stored.lower()
    assert desk.person.subject not in stored
    assert letter.words["code"] not in repr(letter)
    assert MAIL not in repr(letter).lower()
    assert "apolline" not in str(desk.log()).lower()


def test_a_letter_is_dropped_when_it_went_and_void_when_it_is_late(desk, clock):
    codes.begin(desk.vault, HERS)
    (letter,) = post(desk.vault)
    assert post(desk.vault) == []  # leased
    letters.settle(desk.vault, [Carried(letter.id, "unreachable")])
    clock.advance(letters.LEASE_SECONDS)
    (again,) = post(desk.vault)
    assert again.id == letter.id
    letters.settle(desk.vault, [Carried(letter.id, "")])
    codes.begin(desk.vault, HERS)
    clock.advance(SECONDS)
    assert post(desk.vault) == []
    with desk.vault.reading() as conn:
        rows = conn.execute(metadata.tables["letter"].select()).all()
    assert {(row.state, row.payload) for row in rows} == {("sent", b""), ("void", b"")}
