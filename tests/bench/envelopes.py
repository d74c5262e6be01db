"""Seal and open one 32-byte value in process: ours, Tink's envelope AEAD, and the AWS Encryption SDK.

All three draw a data key per value, wrap it under a key held in the process, and authenticate a context. They take
turns in short rounds and the median round counts, so that a busy neighbour slows all of them alike.
"""

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tink
from tink import aead

from tests.bench import aws_sdk
from tests.bench.report import Line, Verdict
from vault import envelope
from vault.keys.keystore import create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy

PLAINTEXT = secrets.token_bytes(32)
ROUNDS = 25
BATCH = 16  # fields of one record: what the vault hands to the key service at a time

Seal = Callable[[], list[bytes]]  # the stored values, each as a row of its own
Open = Callable[[list[bytes]], bytes]


def measure(*, quick: bool) -> list[Line]:
    """Return one line per way and direction, in microseconds per value."""
    with _contestants() as contestants:
        rounds = 3 if quick else ROUNDS
        seals: dict[str, list[float]] = {name: [] for name in contestants}
        opens: dict[str, list[float]] = {name: [] for name in contestants}
        sizes = {}
        for _ in range(rounds):
            for name, (seal, open_, count, each) in contestants.items():
                sealed = seal()
                sizes[name] = len(sealed[0])
                seals[name].append(_per_value(seal, count, each))
                opens[name].append(_per_value(lambda o=open_, s=sealed: o(s), count, each))
    return _lines(seals, opens, sizes)


def _per_value(act: Callable[[], object], count: int, each: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        act()
    return (time.perf_counter() - began) / (count * each) * 1e6


@contextmanager
def _contestants() -> Iterator[dict[str, tuple[Seal, Open, int, int]]]:
    """Name -> (seal, open, repetitions per round, values per repetition)."""
    with tempfile.TemporaryDirectory() as folder, _ours(Path(folder)) as ours:
        found = {"ecrin": (*ours, 100, BATCH), "tink": (*_tink(), 1600, 1)}
        for name, pair in {
            "aws": aws_sdk.keyring(signed=True) or aws_sdk.legacy(signed=True),
            "aws unsigned": aws_sdk.keyring(signed=False) or aws_sdk.legacy(signed=False),
            "aws unsigned, master key": aws_sdk.legacy(signed=False),
        }.items():
            seal, open_ = pair
            found[name] = (lambda seal=seal: [seal(PLAINTEXT)], lambda stored, open_=open_: open_(stored[0]), 20, 1)
        yield found


@contextmanager
def _ours(folder: Path) -> Iterator[tuple[Seal, Open]]:
    """The vault's own path: data keys wrapped and unwrapped by the key service in batches, one envelope per value."""
    provider = KeyFileProvider(folder / "root.key", SystemEntropy())
    made = {"geometry": Geometry(fanout=16, depth=3), "entropy": SystemEntropy(), "clock": SystemClock()}
    create_keystore(folder / "keystore.db", provider, "bench", **made)
    keys = open_keystore(folder / "keystore.db", provider, "bench")
    (slot,) = keys.reserve(1)
    entropy = SystemEntropy()
    subject = entropy.bytes(16)
    contexts = [envelope.FieldContext(b"bench", subject, 2, 201 + n, 0, 1, n + 1) for n in range(BATCH)]

    def seal() -> list[bytes]:
        deks = [entropy.bytes(32) for _ in contexts]
        wrapped = keys.wrap([(slot, dek) for dek in deks])
        return [
            envelope.seal(dek, outer, slot.generation, context, PLAINTEXT)
            for dek, outer, context in zip(deks, wrapped, contexts, strict=True)
        ]

    def open_(stored: list[bytes]) -> bytes:
        deks = keys.unwrap([(slot, each[envelope.WRAPPED]) for each in stored])
        return envelope.open_each(stored, deks, contexts)[-1]

    assert open_(seal()) == PLAINTEXT
    try:
        yield seal, open_
    finally:
        keys.close()


def _tink() -> tuple[Seal, Open]:
    """Tink's KMS envelope AEAD; its remote key is a local keyset, so that neither side pays for a network."""
    aead.register()
    remote = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
    kms = aead.KmsEnvelopeAead(aead.aead_key_templates.AES256_GCM, remote)
    context = secrets.token_bytes(60)
    return (lambda: [kms.encrypt(PLAINTEXT, context)]), (lambda stored: kms.decrypt(stored[0], context))


def _lines(seals: dict[str, list[float]], opens: dict[str, list[float]], sizes: dict[str, int]) -> list[Line]:
    lines = []
    for act, times in (("seal", seals), ("open", opens)):
        took = {name: statistics.median(each) for name, each in times.items()}
        holds = [
            Verdict("the time of Tink's envelope", _ratio(times["ecrin"], times["tink"]), 1.5, at_most=True),
            Verdict("as fast as the AWS Encryption SDK", _ratio(times["aws"], times["ecrin"]), 40),
        ]
        size = {"bytes": sizes["ecrin"]}
        lines.append(Line(f"{act} one 32-byte value", took["ecrin"], "µs", holds, aim=8, aim_at_most=True, extra=size))
        lines += [
            Line(f"  {act}, {name}", value, "µs", extra={"bytes": sizes[name]})
            for name, value in took.items()
            if name != "ecrin"
        ]
    return lines


def _ratio(over: list[float], under: list[float]) -> float:
    """The median of the rounds' ratios: what slows one round slows both of its sides."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
