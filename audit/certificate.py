"""Certificates of erasure: what was destroyed, from when on nobody can read it, what was kept, and where the log says so.

A signed note under a key of its own, without personal data. Its text, line by line:

    <origin>/erasure
    certificate <32 hex digits>
    scope subject | category <name> | field <name>
    cause request | retention
    requested <time>
    destroyed A|B|C <time of effect> epoch <number> root <name>
    kept <category> until <time> law <citation>             for each category that a law keeps
    kept <category> until-release hold <reason>             for each category that a hold keeps
    listed until <time>                                     if erased addresses are not to be solicited again
    key <32 hex digits>                                     for each key destroyed: opaque
    en <sentence>
    fr <sentence>
    index <number>
    entry <base64>                                          the log entry that records it
    checkpoint <base64>                                     a signed checkpoint that covers the entry
    proof <base64>                                          for each hash from the entry's leaf to the root

`verify` needs the certificate and two public keys, and nothing of ours: standard library and `cryptography` only. The
class says what the destruction rests on; `SENTENCES` says it so that the person concerned understands.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from audit.checkpoint import open_checkpoint
from audit.errors import VerificationError
from audit.grammar import read_form
from audit.keystatement import check_signers, take_statements
from audit.merkle import leaf_hash, verify_inclusion
from audit.note import VerifierKey, open_note, parse_vkey

_SUFFIX = "/erasure"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_HEX = r"[0-9a-f]{32}"
_NAME = r"[a-z0-9_]{1,64}"
_TEXT = re.compile(
    rf"(?P<origin>[^\n]+){_SUFFIX}\n"
    rf"certificate (?P<id>{_HEX})\n"
    rf"scope (?P<scope>subject|category {_NAME}|field {_NAME})\n"
    r"cause (?P<cause>request|retention)\n"
    rf"requested (?P<requested>{_MOMENT})\n"
    rf"destroyed (?P<class>[ABC]) (?P<effective>{_MOMENT}) epoch (?P<epoch>[0-9]{{1,19}}) root (?P<root>{_HEX})\n"
    rf"(?P<kept>(?:kept {_NAME} until(?: {_MOMENT} law [^\n]{{1,128}}|-release hold [a-z_]{{1,32}})\n)*)"
    rf"(?:listed until (?P<listed>{_MOMENT})\n)?"
    rf"(?P<keys>(?:key {_HEX}\n)*)"
    r"en (?P<en>[^\n]+)\n"
    r"fr (?P<fr>[^\n]+)\n"
    r"index (?P<index>0|[1-9][0-9]{0,18})\n"
    r"entry (?P<entry>[A-Za-z0-9+/]+={0,2})\n"
    r"checkpoint (?P<checkpoint>[A-Za-z0-9+/]+={0,2})\n"
    r"(?P<proof>(?:proof [A-Za-z0-9+/]{43}=\n)*)"
)
# What an entry may be that records an erasure of each scope. A field goes with its category, and both with the person.
_ACTS = MappingProxyType(
    {
        "subject": frozenset({b"subject.erased", b"category.erased"}),
        "category": frozenset({b"subject.erased", b"category.erased"}),
        "field": frozenset({b"subject.erased", b"category.erased", b"field.erased"}),
    }
)
SENTENCES = MappingProxyType(
    {
        "A": (
            (
                "The key to this data was destroyed inside the device that alone held it. From the moment stated, no copy of "
                "the data, in any backup of any date, can be read by anybody, ourselves included."
            ),
            (
                "La clé de ces données a été détruite dans l’appareil qui seul la détenait. À compter du moment indiqué, aucune "
                "copie de ces données, dans aucune sauvegarde, ne peut être lue par quiconque, nous compris."
            ),
        ),
        "B": (
            (
                "The key to this data has been given up for destruction, and we can no longer use it. From the date stated, no "
                "copy of the data, in any backup of any date, can be read by anybody, ourselves included."
            ),
            (
                "La clé de ces données a été remise à la destruction et nous ne pouvons plus l’utiliser. À compter de la date "
                "indiquée, aucune copie de ces données, dans aucune sauvegarde, ne peut être lue par quiconque, nous compris."
            ),
        ),
        "C": (
            (
                "The key to this data has been deleted. No copy of the data, in any backup of any date, can be read by anybody, "
                "ourselves included, provided that no copy of the deleted key file survives anywhere."
            ),
            (
                "La clé de ces données a été supprimée. Aucune copie de ces données, dans aucune sauvegarde, ne peut être lue "
                "par quiconque, nous compris, à condition qu’aucune copie du fichier de clé supprimé ne subsiste."
            ),
        ),
    }
)
LIMIT_SENTENCES = (
    " This says nothing of what was given to others before the erasure was asked for.",
    " Ceci ne dit rien de ce qui a été remis à des tiers avant la demande d’effacement.",
)
KEPT_SENTENCES = (
    " The categories listed as kept are not used for anything, and will be erased when their time has come.",
    " Les catégories indiquées comme conservées ne servent à rien d’autre et seront effacées le moment venu.",
)
LISTED_SENTENCES = (
    (
        " So that no list brings them back to marketing, keyed hashes of the erased addresses are kept until the listed time: "
        "until then we can tell whether an address is one of them, and nothing else."
    ),
    (
        " Pour qu’aucune liste ne les ramène à la prospection, des empreintes à clé des adresses effacées sont conservées "
        "jusqu’à la date indiquée : d’ici là, nous pouvons dire si une adresse est l’une d’elles, et rien d’autre."
    ),
)


@dataclass(frozen=True, slots=True)
class KeptBack:
    """A category that was not erased. `until` is a time, or empty where a hold keeps it until it is released."""

    category: str
    because: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says. Times are `YYYY-MM-DDThh:mm:ssZ`; `keys` are opaque names of the keys destroyed.

    `listed` is until when erased addresses are not to be solicited again, as keyed hashes; empty where none are.
    """

    origin: str
    id: str
    scope: str
    cause: str
    requested: str
    destruction_class: str
    effective: str
    epoch: int
    root: str
    kept: tuple[KeptBack, ...]
    keys: tuple[str, ...]
    index: int
    entry: bytes
    checkpoint: str
    proof: tuple[bytes, ...]
    listed: str = ""

    @property
    def sentences(self) -> tuple[str, str]:
        """Say in English and in French what the destruction rests on."""
        english, french = SENTENCES[self.destruction_class]
        said = [LIMIT_SENTENCES]
        if self.kept:
            said.append(KEPT_SENTENCES)
        if self.listed:
            said.append(LISTED_SENTENCES)
        return english + "".join(each[0] for each in said), french + "".join(each[1] for each in said)


def certificate_key_name(origin: str) -> str:
    """Return the name under which certificates are signed: not the log's own, so neither can stand for the other."""
    return origin + _SUFFIX


def certificate_text(certificate: Certificate) -> str:
    """Return the text to sign. Raises `VerificationError` for a certificate that could not be read back."""
    kept = (
        f"kept {each.category} until-release hold {each.reason}"
        if each.because == "hold"
        else f"kept {each.category} until {each.until} law {each.reason}"
        for each in certificate.kept
    )
    english, french = certificate.sentences
    lines = (
        f"{certificate.origin}{_SUFFIX}",
        f"certificate {certificate.id}",
        f"scope {certificate.scope}",
        f"cause {certificate.cause}",
        f"requested {certificate.requested}",
        (
            f"destroyed {certificate.destruction_class} {certificate.effective} epoch {certificate.epoch} "
            f"root {certificate.root}"
        ),
        *kept,
        *((f"listed until {certificate.listed}",) if certificate.listed else ()),
        *(f"key {each}" for each in certificate.keys),
        f"en {english}",
        f"fr {french}",
        f"index {certificate.index}",
        f"entry {b64encode(certificate.entry).decode()}",
        f"checkpoint {b64encode(certificate.checkpoint.encode()).decode()}",
        *(f"proof {b64encode(each).decode()}" for each in certificate.proof),
    )
    text = "".join(f"{line}\n" for line in lines)
    if parse_certificate(text) != certificate:
        raise VerificationError("the certificate does not read back as what was to be said")
    return text


def parse_certificate(text: str) -> Certificate:
    """Read the text of a certificate; checks its form alone. Raises `VerificationError`."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise VerificationError("not a certificate of erasure")
    certificate = Certificate(
        match["origin"],
        match["id"],
        match["scope"],
        match["cause"],
        match["requested"],
        match["class"],
        match["effective"],
        int(match["epoch"]),
        match["root"],
        tuple(_kept(line) for line in match["kept"].splitlines()),
        tuple(line.removeprefix("key ") for line in match["keys"].splitlines()),
        int(match["index"]),
        _decoded(match["entry"]),
        _decoded(match["checkpoint"]).decode("utf-8", "strict"),
        tuple(_decoded(line.removeprefix("proof ")) for line in match["proof"].splitlines()),
        match["listed"] or "",
    )
    if certificate.sentences != (match["en"], match["fr"]):
        raise VerificationError("the certificate's sentences are not those of its class")
    return certificate


def verify_certificate(
    note: str | bytes,
    erasure_keys: Iterable[str | VerifierKey],
    log_keys: Iterable[str | VerifierKey],
    statements: Sequence[str | bytes] = (),
) -> Certificate:
    """Check all that a certificate can be checked for: both signatures, its entry, and the entry's place in the log.

    `statements` are the log's on changes of its key, for a reader who was given another one. Raises `VerificationError`, and
    `CannotDecide` for a statement that is none. What no signature can prove, that no copy of the key was kept, the class says.
    """
    opened = open_note(note, erasure_keys)
    try:
        certificate = parse_certificate(opened.text)
    except UnicodeDecodeError:
        raise VerificationError("not a certificate of erasure") from None
    if all(each.name != certificate_key_name(certificate.origin) for each in opened.verified):
        raise VerificationError("the certificate is signed under another log's name")
    form = read_form(certificate.entry)
    if form is None or form.act not in _ACTS[certificate.scope.partition(" ")[0]]:
        raise VerificationError("the certificate's log entry does not record an erasure")
    if certificate.scope == "subject" and not certificate.kept and form.act != b"subject.erased":
        raise VerificationError("the log entry does not record that the whole person was erased")
    known = take_statements(statements, [parse_vkey(each) if isinstance(each, str) else each for each in log_keys])
    signed = open_checkpoint(certificate.checkpoint, known.keys, certificate.origin)
    check_signers(certificate.checkpoint, known)
    leaf = leaf_hash(certificate.entry)
    verify_inclusion(certificate.index, signed.size, leaf, certificate.proof, signed.root)
    return certificate


def told(certificate: Certificate) -> dict[str, object]:
    """Return what a certificate says to people, as plain JSON."""
    english, french = certificate.sentences
    return {
        "certificate": certificate.id,
        "scope": certificate.scope,
        "cause": certificate.cause,
        "requested": certificate.requested,
        "class": certificate.destruction_class,
        "effective": certificate.effective,
        "kept": [
            {"category": e.category, "because": e.because, "reason": e.reason, "until": e.until}
            for e in certificate.kept
        ],
        "listed_until": certificate.listed or None,
        "keys_destroyed": len(certificate.keys),
        "log": certificate.origin,
        "index": certificate.index,
        "en": english,
        "fr": french,
    }


def _kept(line: str) -> KeptBack:
    _, category, until, *rest = line.split(" ", 3)
    if until == "until-release":
        return KeptBack(category, "hold", rest[0].removeprefix("hold "), "")
    time, _, reason = rest[0].partition(" law ")
    return KeptBack(category, "law", reason, time)


def _decoded(encoded: str) -> bytes:
    try:
        decoded = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("base64 is malformed") from None
    if b64encode(decoded).decode() != encoded:
        raise VerificationError("base64 is not in its one spelling")
    return decoded
