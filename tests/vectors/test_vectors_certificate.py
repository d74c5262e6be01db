"""Certificates of erasure are kept by people for decades: the frozen one verifies for ever, and its maker is not ours."""

import json
from pathlib import Path

import generate_certificate_v1 as made

from audit.certificate import certificate_text, verify_certificate

FROZEN = json.loads(Path(__file__).with_name("certificate_v1.json").read_text("utf-8"))


def test_frozen_certificate():
    certificate = verify_certificate(FROZEN["note"], [FROZEN["key"]], [FROZEN["log_key"]])
    assert (certificate.scope, certificate.epoch, certificate.index, certificate.kept) == ("subject", 3, 2, ())
    assert FROZEN["note"].startswith(certificate_text(certificate))


def test_an_independent_maker_makes_the_same():
    assert made.document() == FROZEN
