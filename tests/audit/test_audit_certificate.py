"""Certificates of erasure: read back as said, and refused for every change, exchange and foreign key."""

import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit import checkpoint
from audit.certificate import (
    SENTENCES,
    Certificate,
    KeptBack,
    certificate_key_name,
    certificate_text,
    parse_certificate,
    told,
    verify_certificate,
)
from audit.certificatecheck import main
from audit.checkpoint import Checkpoint
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from audit.errors import VerificationError
from audit.findings import Verdict
from audit.inclusion import prove
from audit.merkle import leaf_hash, root_hash
from audit.note import sign_note, vkey
from audit.standalone import OF_CERTIFICATES, standalone

ORIGIN = "vault.example/audit"
NOW = 1_790_000_000


class Key:
    def __init__(self, name, seed):
        self.name, self._key = name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message):
        return self._key.sign(message)

    @property
    def vkey(self):
        return vkey(self.name, self.public_key)


LOG = Key(ORIGIN, 1)
ERASURE = Key(certificate_key_name(ORIGIN), 2)


def entry(act=Act.SUBJECT_ERASED, number=7):
    com = bytes(32) if act is Act.SUBJECT_ERASED else None
    return encode(Entry(act, Outcome.ALLOW, Actor(ActorKind.VAULT, "ecrin"), com=com), bytes([number]) * 16, NOW, None)


def made(act=Act.SUBJECT_ERASED, size=5, index=3, signer=LOG, origin=ORIGIN, **changes):
    bodies = [entry(number=number) for number in range(size)]
    bodies[index] = entry(act, 99)
    hashes = [leaf_hash(body) for body in bodies]
    note = sign_note(checkpoint.format(Checkpoint(origin, size, root_hash(hashes))), [signer])
    (proof,) = prove([index], size, hashes)
    whole = Certificate(
        origin=ORIGIN,
        id="ab" * 16,
        scope="subject",
        cause="request",
        requested="2026-11-24T02:18:21Z",
        destruction_class="B",
        effective="2026-12-01T02:18:21Z",
        epoch=4,
        root="cd" * 16,
        kept=(),
        keys=("01" * 16, "02" * 16),
        index=index,
        entry=bodies[index],
        checkpoint=note,
        proof=tuple(proof),
    )
    return replace(whole, **changes)


def signed(certificate, signer=ERASURE):
    return sign_note(certificate_text(certificate), [signer])


def verified(note, keys=(ERASURE.vkey,), log_keys=(LOG.vkey,)):
    return verify_certificate(note, keys, log_keys)


def test_what_was_said_is_what_is_read():
    certificate = made(kept=(KeptBack("purchases", "law", "Code de commerce, art. L. 123-22", "2036-11-21T00:00:00Z"),
                             KeptBack("contact", "hold", "legal_claim", "")))  # fmt: skip
    assert verified(signed(certificate)) == certificate
    assert told(certificate)["class"] == "B"
    assert "still" not in told(certificate)["en"]


def test_what_is_kept_of_addresses_is_said_with_its_day():
    certificate = made(listed="2030-03-01T00:00:00Z")
    read = verified(signed(certificate))
    assert read == certificate
    assert told(read)["listed_until"] == "2030-03-01T00:00:00Z"
    assert "keyed hashes" in told(read)["en"]
    assert "empreintes" in told(read)["fr"]
    assert told(made())["listed_until"] is None
    assert "hashes" not in told(made())["en"]
    # Nobody drops the sentence, or the line, from what was signed for.
    text = certificate_text(certificate)
    for broken in (
        text.replace("listed until 2030-03-01T00:00:00Z\n", ""),
        text.replace("listed until 2030", "listed until soon"),
    ):
        with pytest.raises(VerificationError):
            parse_certificate(broken)


@pytest.mark.parametrize("letter", ["A", "B", "C"])
def test_each_class_says_what_it_rests_on_in_two_languages(letter):
    certificate = made(destruction_class=letter)
    english, french = verified(signed(certificate)).sentences
    assert english.startswith(SENTENCES[letter][0])
    assert french.startswith(SENTENCES[letter][1])
    assert ("provided that" in english) == (letter == "C")


@pytest.mark.parametrize("act", [act for act in Act if act not in {Act.SUBJECT_ERASED, Act.CATEGORY_ERASED}])
def test_an_entry_that_records_something_else_is_refused(act):
    with pytest.raises(VerificationError):
        verified(signed(made(act)))


def test_a_partial_entry_does_not_make_a_whole_certificate():
    with pytest.raises(VerificationError):
        verified(signed(made(Act.CATEGORY_ERASED)))
    kept = (KeptBack("contact", "hold", "legal_claim", ""),)
    assert verified(signed(made(Act.CATEGORY_ERASED, kept=kept)))


def test_foreign_keys_names_and_logs_are_refused():
    for note in (
        signed(made(), Key(certificate_key_name(ORIGIN), 9)),
        signed(made(), LOG),
        signed(made(signer=Key(ORIGIN, 9))),
        signed(made(origin="other.example/audit", signer=Key("other.example/audit", 1))),
    ):
        with pytest.raises(VerificationError):
            verified(note)
    with pytest.raises(VerificationError):  # a key of ours under a name that is not this log's
        other = Key("other.example/audit/erasure", 2)
        verified(sign_note(certificate_text(made()), [other]), [other.vkey])
    with pytest.raises(VerificationError):
        verified(signed(made()), [])
    with pytest.raises(VerificationError):
        verified(signed(made()), log_keys=[])


def test_another_place_in_the_log_is_refused():
    certificate = made()
    for changed in (
        replace(certificate, index=2),
        replace(certificate, index=5),
        replace(certificate, proof=certificate.proof[:-1]),
        replace(certificate, proof=certificate.proof[::-1]),
        replace(certificate, proof=()),
        replace(certificate, entry=entry(number=98)),
        replace(certificate, checkpoint=made(size=6).checkpoint),
    ):
        with pytest.raises(VerificationError):
            verified(signed(changed))


@given(st.data())
def test_a_changed_character_is_noticed(data):
    note = signed(made())
    place = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != note[place]))
    with pytest.raises(VerificationError):
        verified(note[:place] + other + note[place + 1 :])


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_is_no_certificate_is_refused(content):
    with pytest.raises(VerificationError):
        verified(content)


def test_a_certificate_whose_words_were_changed_before_signing_is_refused():
    """The sentences are the class's own: a certificate cannot promise more than its destruction holds."""
    text = certificate_text(made(destruction_class="C"))
    better = text.replace(SENTENCES["C"][0], SENTENCES["A"][0])
    with pytest.raises(VerificationError):
        verified(sign_note(better, [ERASURE]))
    for pattern, change in (
        (r"scope subject", "scope everybody"),
        (r"proof ([^\n]+)\n", r"proof \1=\n"),
        (r"index 3", "index 03"),
        (r"checkpoint [^\n]+", "checkpoint " + b64encode(b"\xff\xfe").decode()),
        (r"key 01", "key 0G"),
    ):
        changed = re.sub(pattern, change, text, count=1)
        assert changed != text
        with pytest.raises(VerificationError):
            verified(sign_note(changed, [ERASURE]))


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "subject\nkept contact until-release hold x"},
        {"root": "x"},
        {"kept": (KeptBack("contact", "law", "two\nlines", "2036-11-21T00:00:00Z"),)},
        {"keys": ("ab",)},
        {"requested": "yesterday"},
        {"epoch": -1},
    ],
)
def test_what_could_not_be_read_back_is_not_signed(changes):
    with pytest.raises(VerificationError):
        certificate_text(made(**changes))


def test_it_verifies_from_the_command_line_without_a_vault(tmp_path, capsys):
    path = tmp_path / "certificate"
    path.write_text(signed(made()), "utf-8")
    keys = ["--key", ERASURE.vkey, "--log-key", LOG.vkey]
    assert main([str(path), *keys]) == 0
    assert '"class": "B"' in capsys.readouterr().out
    path.write_text(signed(made()).replace("class", "x").replace("index 3", "index 2"), "utf-8")
    assert main([str(path), *keys]) == 1
    assert parse_certificate(certificate_text(made())) == made()


def test_where_something_is_missing_or_unreadable_it_cannot_decide_and_never_says_that_it_does_not_hold(
    tmp_path, capsys
):
    path, none, junk = tmp_path / "certificate", tmp_path / "none", tmp_path / "junk"
    path.write_text(signed(made()), "utf-8")
    junk.write_bytes(b"\xff\xfe")
    mine = ["--key", ERASURE.vkey, "--log-key", LOG.vkey]
    other, later = Key(certificate_key_name(ORIGIN), 3), Key(ORIGIN, 4)
    for arguments in (
        [none, *mine],  # a file that is not there, or is none of ours
        [tmp_path, *mine],
        [junk, *mine],
        [path, "--key", none, "--log-key", LOG.vkey],
        [path, "--key", junk, "--log-key", LOG.vkey],
        [path, "--key", f"{ERASURE.vkey}x", "--log-key", LOG.vkey],
        [path, *mine, "--keychange", none],
        [path, *mine, "--keychange", junk],
        [path, "--key", other.vkey, "--log-key", LOG.vkey],  # no key of its signer
        [path, "--key", ERASURE.vkey, "--log-key", later.vkey],  # the log's key changed, and nobody said so
    ):
        assert main([str(each) for each in arguments]) == Verdict.UNDECIDED, arguments
        told = capsys.readouterr()
        assert told.err.startswith("cannot decide: ")
        assert not told.out and str(tmp_path) not in told.err
    (tmp_path / "key").write_text(f"{ERASURE.vkey}\n", "utf-8")
    assert main([str(path), "--key", str(tmp_path / "key"), "--log-key", LOG.vkey]) == Verdict.FINE


def test_what_a_known_key_should_have_signed_and_did_not_does_not_hold(tmp_path, capsys):
    path = tmp_path / "certificate"
    mine = ["--key", ERASURE.vkey, "--log-key", LOG.vkey]
    good = signed(made())
    forged = sign_note(certificate_text(made(signer=Key(ORIGIN, 4))), [Key(certificate_key_name(ORIGIN), 3)])
    lines = forged.replace(forged.splitlines()[-1], good.splitlines()[-1])  # its text under our signature line
    for text in (good.replace("epoch 4", "epoch 5"), good.replace("class", "x").replace("index 3", "index 2"), lines):
        path.write_text(text, "utf-8")
        assert main([str(path), *mine]) == Verdict.TAMPERED
        assert capsys.readouterr().err.startswith("not verified: ")
    path.write_text(signed(made(signer=Key(ORIGIN, 4))), "utf-8")
    assert main([str(path), *mine]) == Verdict.UNDECIDED  # well signed, over a checkpoint of a key that is not known


def test_it_verifies_from_one_file_on_another_machine(tmp_path):
    (tmp_path / "verify.py").write_text(standalone(OF_CERTIFICATES), "utf-8")
    path = tmp_path / "certificate"
    path.write_text(signed(made()), "utf-8")
    command = [sys.executable, "-I", tmp_path / "verify.py", path, "--key", ERASURE.vkey, "--log-key", LOG.vkey]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"class": "B"' in ended.stdout
    path.write_text(signed(made()).replace("index 3", "index 2"), "utf-8")
    assert subprocess.run(command, check=False, capture_output=True, cwd=tmp_path, timeout=60).returncode == 1
    path.unlink()
    assert subprocess.run(command, check=False, capture_output=True, cwd=tmp_path, timeout=60).returncode == 2
