"""Checkpoints: one spelling per statement, and bound to the log that made it."""

import base64

import pytest

from audit import checkpoint
from audit.checkpoint import Checkpoint, open_checkpoint, parse
from audit.errors import VerificationError
from audit.merkle import EMPTY_ROOT
from audit.note import sign_note

ROOT = bytes(range(32))
ENCODED = base64.b64encode(ROOT).decode()
GOOD = f"vault.example/audit\n42\n{ENCODED}\n"


def test_format_and_parse_are_each_others_inverse():
    made = Checkpoint("vault.example/audit", 42, ROOT)
    assert checkpoint.format(made) == GOOD
    assert parse(GOOD) == made


def test_extension_lines_of_others_are_kept():
    assert parse(GOOD + "more\n").extension == ("more",)
    assert checkpoint.format(parse(GOOD + "more\n")) == GOOD + "more\n"


def test_the_empty_log():
    empty = Checkpoint("o", 0, EMPTY_ROOT)
    assert parse(checkpoint.format(empty)) == empty
    assert checkpoint.format(empty).splitlines()[2] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "x\n\n",
        f"\n42\n{ENCODED}\n",
        f"o\n042\n{ENCODED}\n",
        f"o\n+42\n{ENCODED}\n",
        f"o\n-1\n{ENCODED}\n",
        f"o\n4_2\n{ENCODED}\n",
        f"o\n 42\n{ENCODED}\n",
        f"o\n\u0664\u0662\n{ENCODED}\n",
        f"o\n\n{ENCODED}\n",
        f"o\n{1 << 63}\n{ENCODED}\n",
        f"o\n{'9' * 5000}\n{ENCODED}\n",
        f"o\n0\n{ENCODED}\n",
        f"o\n42\n{ENCODED[:-1]}\n",
        f"o\n42\n{ENCODED.replace('=', '==')}\n",
        f"o\n42\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"o\n42\n{base64.urlsafe_b64encode(bytes([0xFB] * 32)).decode()}\n",
        f"o\n42\n{ENCODED[:10]} {ENCODED[10:]}\n",
        "o\n42\n\n",
        "o\n42\n\u00e9\n",
        "o\n42\n",
        "o\n",
    ],
)
def test_malformed_checkpoints_are_refused(text):
    with pytest.raises(VerificationError):
        parse(text)


def test_a_root_has_one_spelling():
    with pytest.raises(VerificationError):
        parse(GOOD.replace("Hh8=", "Hh9="))


@pytest.mark.parametrize(
    "wrong",
    [
        Checkpoint("", 1, ROOT),
        Checkpoint("o\no", 1, ROOT),
        Checkpoint("o", -1, ROOT),
        Checkpoint("o", 1, ROOT[:-1]),
        Checkpoint("o", 0, ROOT),
        Checkpoint("o", 1, ROOT, ("",)),
    ],
)
def test_checkpoints_that_say_nothing_cannot_be_made(wrong):
    with pytest.raises(VerificationError):
        checkpoint.format(wrong)


def test_an_opened_checkpoint_is_of_the_log_asked_for(signer):
    note = sign_note(GOOD, (signer,))
    assert open_checkpoint(note, (signer.vkey,), signer.name).size == 42
    with pytest.raises(VerificationError):
        open_checkpoint(note, (signer.vkey,), "vault.example/other")


def test_a_key_of_another_name_does_not_vouch(signer):
    """One key pair may serve several logs; a checkpoint of one must not pass for one of another."""
    other = type(signer)("vault.example/other")
    note = sign_note(GOOD, (other,))
    with pytest.raises(VerificationError):
        open_checkpoint(note, (other.vkey,), "vault.example/audit")
