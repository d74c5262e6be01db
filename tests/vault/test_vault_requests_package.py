"""The access package: everything that is owed, nothing that is somebody else's, sealed, signed, given out once, kept nowhere."""

import csv
import io
import json
import re
import subprocess
import tempfile
import zipfile
from dataclasses import replace
from hashlib import sha256
from html import unescape

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key
from maison_people import AURELLE, VANTIER, change, given, look, person
from policy_officers import APPROVER, AUTHOR
from print_reading import letters
from print_reading import opened as opened_pdf
from request_desk import SECRET, Desk

from api.packages import sealed
from api.packages.archive import archive_of, files_of, plain
from api.packages.document import Document, moment
from audit.note import open_note, parse_vkey, vkey
from audit.packagecheck import verify_package
from audit.receipt import receipt_key_name
from policies.rights import Right
from vault import restrictions
from vault.errors import Refused
from vault.keys.service import SigningKey
from vault.requests import delivering, handling
from vault.requests.content import Content
from vault.requests.records import Ground
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import by_person
from vault.unit import execute

FORMULA = '=HYPERLINK("http://evil.example","click")'
SCRIPT = "<script>alert(1)</script>"
FIELDS = {
    "client_number": "AU-0042",
    "name": {"family": SCRIPT, "given": "../../etc/passwd"},
    "email": ["Apolline.Rousselin@example.com"],
    "birth_date": "1984-05-17",
    "purchases": [
        {
            "date": "2026-01-05", "family": "jewellery", "product": FORMULA, "for": "Capucine Delorme",
            "price": {"amount": "3200.00", "currency": "EUR"},
        }
    ],
    "advisor_notes": [{"date": "2026-01-05", "topic": "taste", "text": "likes sapphires", "advisor": "adv-7781"}],
}  # fmt: skip


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock, person(FIELDS, consents=[given()], vantier={"client_number": "VA-SECRET"}))


def ready(desk, right=Right.ACCESS, **more):
    request = desk.reviewed(right, **more)
    return delivering.prepare(desk.vault, request.id, desk.by())


def package(desk, request):
    gathered, _ = delivering.hand_over(desk.vault, request.id, desk.by())
    return opened(archive_of(desk.vault, gathered))


def opened(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        return {each.filename: found.read(each) for each in found.infolist()}


def table(content):
    return list(csv.reader(io.StringIO(content.decode())))


# ------------------------------------------------------------------------------------------------------------ content


def test_a_package_has_all_that_the_law_asks_for(desk):
    look(desk.vault, desk.person.subject, "name")
    files = package(desk, ready(desk))
    data = json.loads(files["data.json"])
    held = {each["category"]: each for each in data["categories"]}
    assert [each["value"] for each in held["contact"]["fields"][0]["values"]] == ["Apolline.Rousselin@example.com"]
    assert held["purchases"]["kept_by_law"]["days"] > 3000
    assert {each["purpose"] for each in data["purposes"]} >= {"clienteling", "legal.accounting"}
    assert all(each["basis"] for each in data["purposes"])
    assert {"id": "aurelle", "name": "Aurelle SA"}.items() <= data["controller"].items()
    assert "aurelle" in {each["id"] for each in data["recipients"]}
    assert [(each["state"], each["notice"]) for each in data["consents"]] == [("given", "clienteling")]
    assert files["notices/clienteling.1.fr.md"].decode() == desk.vault.bundle.notices["clienteling", 1, "fr"].text
    assert data["storage"] == ["FR"]
    assert files["package.pdf"].startswith(b"%PDF-")
    html = files["package.html"].decode()
    for heading in ("What is held", "Who looked, and why", "Your consents", "Your rights", "privacy@aurelle.example"):
        assert heading in html


def test_every_look_is_in_it_and_staff_are_numbers(vault, clock):
    desk = Desk(vault, clock, person(FIELDS, vantier={"client_number": "VA-7"}))
    from test_vault_restrictions import listens

    listens(vault, "aurelle-crm", AURELLE)
    listens(vault, "vantier-crm", VANTIER)
    request = ready(desk)
    handling.view(vault, request.id, desk.by(APPROVER))
    from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
    from vault import locked

    with vault.unit() as uow:
        key = locked.by_id(uow, {desk.person.subject})[desk.person.subject].log_key
        for name, fields in (("aurelle-crm", ("phone:masked",)), ("vantier-crm", ("client_number:raw",))):
            entry = Entry(
                Act.FIELD_DISCLOSED,
                Outcome.ALLOW,
                Actor(ActorKind.SYSTEM, name, asker=Asker(AURELLE, b"\x09" * 16)),
                fields,
                "clienteling.in_store",
                "consent",
            )
            uow.record(entry, log_key=key)
        uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "aurelle-crm"), ("name:raw",)))
        uow.commit()
    gathered, _ = delivering.hand_over(vault, request.id, desk.by())
    told_looks = [(each.act, each.by, each.fields, each.purpose) for each in gathered.looks]
    assert ("field.disclosed", "aurelle-crm", ("phone:masked",), "clienteling.in_store") in told_looks
    assert not [each for each in told_looks if each[1] == "vantier-crm"]  # another controller's to tell
    assert not [each for each in told_looks if each[2] == ("name:raw",)]  # somebody else's entry
    assert [each.staff for each in gathered.looks if each.by == "aurelle-crm"] == [1]
    officers = {each.by for each in gathered.looks if each.brand == "vault"}
    assert officers >= {"officer 1", "officer 2"}
    everything = b"".join(opened(archive_of(vault, gathered)).values())
    assert b'"staff":1' in everything.replace(b" ", b"")
    assert (b"\x09" * 16).hex().encode() not in everything
    assert AUTHOR.encode() not in everything
    assert APPROVER.encode() not in everything


def test_what_names_somebody_else_is_not_in_it(desk):
    files = package(desk, ready(desk))
    assert b"Apolline" not in b"".join(
        re.findall(rb"/(?:Title|Author|Subject|Keywords) \([^)]*\)", files["package.pdf"])
    )
    everything = b"".join(files.values())
    for theirs in (b"Capucine", b"adv-7781", b"VA-SECRET", desk.person.references[VANTIER].encode()):
        assert theirs not in everything
    assert b"likes sapphires" in everything


def test_free_text_is_looked_through_for_others_and_stays_whole_in_the_vault(vault, clock):
    text = (
        "Capucine, 06 12 34 56 78, etienne (at) example (dot) org; hers: Apolline.Rousselin@example.com. Ask adv-7781."
    )
    told = [{"date": "2026-01-05", "topic": "taste", "text": text, "advisor": "adv-7781"}]
    mended = [{"opened": "2026-01-05", "status": "ready", "product": "Montre", "work": "call husband 0612345678"}]
    fields = FIELDS | {"advisor_notes": told, "repairs": mended, "delivery_instructions": "concierge 06 12 34 56 78"}
    desk = Desk(vault, clock, person(fields))
    files = package(desk, ready(desk))
    everything = b"".join(files.values())
    for theirs in (b"06 12 34 56 78", b"0612345678", b"etienne", b"adv-7781", b"Capucine"):
        assert theirs not in everything, theirs
    assert "[…], […], […]; hers: Apolline.Rousselin@example.com. Ask […].".encode() in files["data.json"]
    from maison_people import value

    assert value(vault, desk.person.subject, "advisor_notes")[0]["text"] == text


def test_what_was_refused_in_part_is_not_in_it_and_said_so(desk):
    request = desk.reviewed()
    handling.propose_refusal(desk.vault, request.id, Ground.RIGHTS_OF_OTHERS, desk.by(), ["notes"])
    handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    request = delivering.prepare(desk.vault, request.id, desk.by())
    files = package(desk, request)
    assert b"likes sapphires" not in b"".join(files.values())
    assert json.loads(files["data.json"])["withheld"] == {"ground": "rights_of_others", "categories": ["notes"]}
    assert "Rights of others" in files["package.html"].decode()


def test_what_was_known_before_is_in_it_with_its_days_and_its_source(vault, clock):
    desk = Desk(vault, clock, person(FIELDS | {"ring_size": {"value": "52", "system": "eu"}}))
    born = clock.now()
    clock.advance(86_400)
    change(vault, desk.person, set={"ring_size": {"value": "54", "system": "eu"}})
    files = package(desk, ready(desk))
    (field,) = [
        each
        for category in json.loads(files["data.json"])["categories"]
        for each in category["fields"]
        if each["field"] == "ring_size"
    ]
    (now,), (before,) = field["values"], field["earlier"]
    assert (now["value"]["value"], now["source"], now["replaced"]) == ("54", "aurelle-crm", None)
    assert (before["value"]["value"], before["replaced"]) == ("52", now["recorded"])
    assert before["recorded"] == moment(born)
    rows = table(files["csv/measurements.csv"])
    assert rows[0] == ["field", "value", "source", "recorded", "valid_from", "valid_until", "replaced", "withheld"]
    assert [row[-2:] for row in rows[1:]] == [["", ""], [now["recorded"], ""]]
    assert "Earlier values" in files["package.html"].decode()
    assert "52" not in json.dumps(json.loads(files["portable/data.json"])["data"]["measurements"])


def test_earlier_values_name_nobody_else_either(vault, clock):
    desk = Desk(vault, clock, person(FIELDS))
    purchase = {**FIELDS["purchases"][0], "for": "Hortense Vasseur"}
    answer = change(vault, desk.person, append={"purchases": [purchase]})
    assert not isinstance(answer, Exception)
    everything = b"".join(package(desk, ready(desk)).values())
    assert b"Hortense" not in everything
    assert b"Capucine" not in everything


@pytest.mark.parametrize(
    ("region", "jurisdiction", "authority"),
    [
        ("fr", "", "https://www.cnil.fr"),
        ("it", "", "https://www.garanteprivacy.it"),
        ("de", "", "https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"),
        ("gb", "", "https://ico.org.uk"),
        ("cn", "", "https://www.cac.gov.cn"),
        ("ae", "", "https://www.cnil.fr"),
        ("fr", "uk", "https://ico.org.uk"),  # handed in as one under another law
    ],
)
def test_the_authority_is_that_of_where_the_person_lives(vault, clock, region, jurisdiction, authority):
    desk = Desk(vault, clock, person(FIELDS, region=region))
    files = package(desk, ready(desk, jurisdiction=jurisdiction))
    assert json.loads(files["data.json"])["authority"]["site"] == authority
    assert authority in files["package.html"].decode()


def test_it_has_the_look_of_its_house_and_says_codes_in_words(desk):
    look(desk.vault, desk.person.subject, "name")
    html = package(desk, ready(desk, language="fr"))["package.html"].decode()
    house = desk.vault.bundle.parties.named(AURELLE)
    for each in (house.name, house.address, house.contact, f".house {{ color: {house.accent};"):
        assert each in html
    for code in ("explicit_consent", "legal_obligation", "legitimate_interest", "field.disclosed", "data_subject.own"):
        assert code not in html
    assert "obligation légale" in html


@pytest.mark.parametrize(
    ("language", "words", "other"),
    [
        ("fr", ["Or jaune", "Par SMS", "3 ans", "5 janvier 2026", "3\u202f200,00\xa0€", "52 (eu)", "Suisse", "oui"], "Yellow gold"),
        ("en", ["Yellow gold", "By text message", "3 years", "January 5, 2026", "€3,200.00", "52 (eu)", "Switzerland", "yes"], "Or jaune"),
    ],
)  # fmt: skip
def test_page_and_paper_say_values_in_words_and_only_the_machines_files_say_codes(vault, clock, language, words, other):
    more = {
        "preferred_metals": ["yellow_gold"], "contact_channel": ["text_message"], "ring_size": {"value": "52", "system": "eu"},
        "identity_verified": True, "residence_country": "CH",
        "postal_address": [{"lines": ["3 rue du Cygne"], "postal_code": "1204", "locality": "Geneva", "country": "CH", "use": "home"}],
    }  # fmt: skip
    desk = Desk(vault, clock, person(FIELDS | more))
    gathered, _ = delivering.hand_over(vault, ready(desk, language=language).id, desk.by())
    files = opened(archive_of(vault, replace(gathered, names={"aurelle-crm": "Till of Aurelle"})))
    assert b"Till of Aurelle" in files["package.html"]
    html = unescape(files["package.html"].decode())
    paper = letters(opened_pdf(files["package.pdf"])).replace(" ", "")
    for each in words:
        assert each in html, each
        assert re.sub(r"\s", "", each) in re.sub(r"\s", "", paper), each
    assert "3 rue du Cygne · 1204 · Geneva" in html
    assert other not in html
    for code in ("yellow_gold", "text_message", "aurelle-crm", "amount", "postal_code", "1095"):
        assert code not in html, code
    assert "yellow_gold" in files["csv/preferences.csv"].decode()
    assert {"aurelle-crm"} == {
        value["source"]
        for category in json.loads(files["data.json"])["categories"]
        for field in category["fields"]
        for value in field["values"]
    }


def test_the_paper_says_what_the_page_says_in_the_letters_of_the_name(vault, clock):
    name = {"family": "Wang", "given": "Xiaoming", "native": {"family": "王", "given": "小明", "script": "Hans"}}
    desk = Desk(vault, clock, person({**FIELDS, "name": name}, consents=[given()]))
    files = package(desk, ready(desk))
    paper = letters(opened_pdf(files["package.pdf"])).replace(" ", "")
    for each in ("Whatisheld", "Wholooked,andwhy", "Yourconsents", "王", "小明", "AurelleSA"):
        assert each in paper, each
    assert "[U+" not in paper


def test_a_request_for_one_category_gives_that_one(desk):
    data = json.loads(package(desk, ready(desk, names=("contact",)))["data.json"])
    assert [each["category"] for each in data["categories"]] == ["contact"]


def test_the_portable_part_is_what_the_person_gave(desk):
    files = package(desk, ready(desk, Right.PORTABILITY))
    assert "package.html" not in files
    portable = json.loads(files["portable/data.json"])["data"]
    assert portable["identity"]["client_number"] == ["AU-0042"]
    assert "notes" not in portable
    assert table(files["portable/contact.csv"]) == [["field", "value"], ["email", "Apolline.Rousselin@example.com"]]


def test_a_restriction_does_not_keep_the_persons_own_from_them(desk):
    """Nor an objection: it is their right and no use of the brand's."""
    asked = restrictions.Restrict(
        AURELLE, desk.person.references[AURELLE], restrictions.Ground.UNLAWFUL, desk.by().actor
    )
    execute(desk.vault, restrictions.restrictions, [asked])
    assert b"Apolline.Rousselin" in b"".join(package(desk, ready(desk)).values())


def test_it_is_written_in_the_persons_language(desk):
    html = package(desk, ready(desk, language="fr"))["package.html"].decode()
    assert '<html lang="fr">' in html
    assert "Vos droits" in html


def test_every_opening_is_on_record_before(desk):
    request = ready(desk)
    package(desk, request)
    exported = [each for each in desk.log() if each["act"] == "subject.exported"]
    assert exported
    assert all("sref" in each and each["pur"] == "data_subject.own" for each in exported)
    assert {name for each in exported for name in each["fld"]} >= {"email:raw", "name:raw"}


def test_a_field_that_does_not_open_is_said_and_not_passed_over(desk):
    request = ready(desk)
    with desk.vault.unit() as uow:
        from sqlalchemy import text

        uow.conn.execute(text("UPDATE field_value SET holder = 'aurelle' WHERE 1 = 0"))
        uow.conn.execute(text("UPDATE field_value SET version = version + 1000 WHERE field_id = 201 OR field_id = 202"))
        uow.commit()
    data = json.loads(package(desk, request)["data.json"])
    assert data["not_opened"] == ["email"]


# ------------------------------------------------------------------------------------------------------------- safety


def test_nothing_in_it_runs(desk):
    files = package(desk, ready(desk))
    html = files["package.html"].decode()
    assert SCRIPT not in html
    assert "&lt;script&gt;" in html
    assert "default-src 'none'" in html
    for name, content in files.items():
        if name.endswith(".csv"):
            assert not [
                cell
                for row in table(content)
                for cell in row
                if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            ]
    purchases = [each for each in json.loads(files["data.json"])["categories"] if each["category"] == "purchases"]
    assert purchases[0]["fields"][0]["values"][0]["value"]["product"] == FORMULA  # told as it is where nothing runs it


def test_no_path_in_it_is_anybodys_but_ours(desk):
    for name in package(desk, ready(desk)):
        assert re.fullmatch(r"(?:(?:csv|portable|notices)/)?[a-zA-Z0-9_.]+", name)
        assert ".." not in name


def test_the_manifest_holds_for_every_file_and_for_nothing_else(desk):
    request = ready(desk)
    files = package(desk, request)
    name = f"{desk.vault.origin}/package"
    key = vkey(name, desk.vault.keys.public_key(SigningKey.RECEIPT))
    text = open_note(files.pop("manifest.txt").decode(), [key]).text
    signer, whose, _, *lines = text.splitlines()
    assert (signer, whose) == (name, request.name)
    assert dict(reversed(line.split("  ")) for line in lines) == {
        each: sha256(content).hexdigest() for each, content in files.items()
    }


def test_whoever_has_the_key_of_receipts_verifies_it_offline(desk, tmp_path):
    gathered, _ = delivering.hand_over(desk.vault, ready(desk).id, desk.by())
    path = tmp_path / "package.zip"
    path.write_bytes(archive_of(desk.vault, gathered))
    key = vkey(receipt_key_name(desk.vault.origin), desk.vault.keys.public_key(SigningKey.RECEIPT))
    assert verify_package(path, [parse_vkey(key)]).request == gathered.request.name


def test_it_is_made_the_same_twice(desk):
    gathered, _ = delivering.hand_over(desk.vault, ready(desk).id, desk.by())
    assert archive_of(desk.vault, gathered) == archive_of(desk.vault, gathered)


def test_nothing_is_left_on_the_disk(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no-such-folder"))
    request = ready(desk, content=Content(words=SECRET))
    package(desk, request)
    desk.advance(request, Move.CLOSE)
    found = subprocess.run(
        ["grep", "-rlaE", "Apolline.Rousselin@example.com|rue des Lilas", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""


# -------------------------------------------------------------------------------------------------------------- links


def test_a_link_gives_it_out_once(desk):
    request = ready(desk)
    secret = delivering.link(desk.vault, request.id, desk.by())
    gathered, _ = delivering.fetch(desk.vault, secret)
    assert gathered.request.state is State.DELIVERED
    with pytest.raises(Refused) as caught:
        delivering.fetch(desk.vault, secret)
    assert caught.value.code == "link_refused"
    assert secret.encode() not in desk.stored()


def test_a_link_is_good_for_a_week_and_the_newest_alone(desk, clock):
    request = ready(desk)
    first = delivering.link(desk.vault, request.id, desk.by())
    second = delivering.link(desk.vault, request.id, desk.by())
    with pytest.raises(Refused):
        delivering.fetch(desk.vault, first)
    clock.advance(delivering.GOOD_FOR)
    with pytest.raises(Refused):
        delivering.fetch(desk.vault, second)
    assert desk.history(request)[0].state is State.READY


@pytest.mark.parametrize("secret", ["", "x", "é" * 43, "\udcff", "A" * 43])
def test_what_is_no_link_is_refused(desk, secret):
    with pytest.raises(Refused):
        delivering.fetch(desk.vault, secret)


def test_there_is_no_link_before_the_review_and_none_for_other_rights(desk):
    for request in (desk.ask(), desk.reviewed(Right.PORTABILITY), desk.reviewed(Right.COMPLAINT)):
        with pytest.raises(IllegalMove):
            delivering.link(desk.vault, request.id, desk.by())
        with pytest.raises(IllegalMove):
            delivering.hand_over(desk.vault, request.id, by_person(desk.vault))


def test_after_the_end_there_is_nothing_to_fetch(desk):
    request = ready(desk)
    secret = delivering.link(desk.vault, request.id, desk.by())
    desk.advance(request, Move.WITHDRAW)
    with pytest.raises(IllegalMove):
        delivering.fetch(desk.vault, secret)


# ------------------------------------------------------------------------------------------------------------- sealing


@pytest.mark.parametrize(
    "key",
    [
        OKPKey.generate_key("X25519"),
        ECKey.generate_key("P-256"),
        ECKey.generate_key("P-521"),
        RSAKey.generate_key(2048),
    ],
    ids=["x25519", "p-256", "p-521", "rsa"],
)
def test_it_is_sealed_to_the_key_that_the_person_gave(key):
    token = sealed.seal(b"archive", key.as_dict(private=False))
    algorithms = ["RSA-OAEP-256", "ECDH-ES+A256KW", "A256GCM"]
    assert (
        jwe.decrypt_compact(token.decode(), import_key(key.as_dict(private=True)), algorithms=algorithms).plaintext
        == b"archive"
    )


def test_the_key_travels_in_the_request(desk):
    key = OKPKey.generate_key("X25519")
    request = ready(desk, content=Content(key=key.as_dict(private=False)))
    gathered, written = delivering.hand_over(desk.vault, request.id, desk.by())
    token = sealed.seal(archive_of(desk.vault, gathered), written.key)
    archive = jwe.decrypt_compact(token.decode(), key, algorithms=["ECDH-ES+A256KW", "A256GCM"]).plaintext
    assert "package.html" in opened(archive)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ECKey.generate_key("P-256").as_dict(private=True), "private_key"),
        (OctKey.generate_key(256).as_dict(private=True), "private_key"),
        (OKPKey.generate_key("Ed25519").as_dict(private=False), "curve"),
        (ECKey.generate_key("secp256k1").as_dict(private=False), "curve"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "not_a_key"),
        ({"kty": "EC"}, "not_a_key"),
        ({}, "not_a_key"),
        ({"kty": "none"}, "not_a_key"),
        ({"kty": "RSA", "n": "A" * 5000, "e": "AQAB"}, "too_long"),
    ],
)
def test_what_is_no_key_to_seal_to_is_refused(key, reason):
    with pytest.raises(sealed.InvalidKey) as caught:
        sealed.check(key)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (7, "7"),
        ({"a": "b", "c": ["d", 1]}, "a: b, c: d; 1"),
        (["a", "b"], "a; b"),
        (None, "null"),
    ],
)
def test_values_are_told_plainly(value, text):
    assert plain(value) == text


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_value_that_looks_like_a_formula_is_text(value):
    document = Document("en", "00" * 16, {}, {"data": {"identity": {"name": [value]}}}, {}, {}, {}, {}, {})
    (_, row) = table(files_of(document, whole=False)["portable/identity.csv"])
    assert row == ["name", f"'{value}"]
