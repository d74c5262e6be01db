"""Certificates, receipts and single proofs through changes of the log's key, offline, by whichever key a reader was given.

A reader holds one key: of before the change, of after it, or of two changes ago. What the log signed under another is taken
on its own statement, and on no other word: not a changed statement, not a stranger's, not a key's that had ended.
"""

import pytest
from maison_people import FIELDS, one, person, take_in

from audit import certificatecheck as certificates_cli
from audit import checkpoint, verify
from audit.certificate import verify_certificate
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.errors import CannotDecide, VerificationError
from audit.keystatement import check_signers, take_statements
from audit.merkle import leaf_hash
from audit.note import parse_vkey, sign_note, split_note
from audit.tlogproof import format_proof, parse_proof
from vault import evidence, keystatements, logkeys, receipts
from vault.erasure import certificates
from vault.logkeys import DAY, LogSigner

OPERATOR = Actor(ActorKind.VAULT, "operator")
BEAT = Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, OPERATOR)


class Ages:
    """A log through three keys, with a certificate, a receipt and a proof of each age."""

    def __init__(self, scene):
        self.scene, self.vault = scene, scene.vault
        self.certificates, self.promises, self.proofs = [], [], []
        for age in range(3):
            if age:
                logkeys.rotate(self.vault, 1, OPERATOR)
                self.sign()
                scene.clock.advance(DAY)
                assert logkeys.retire_due(self.vault) == 1
            self.leave()

    def sign(self):
        with self.vault.unit() as uow:
            uow.record(BEAT)
            uow.commit()
        evidence.sign_checkpoints(self.vault, self.scene.outside)
        return evidence.latest_checkpoint(self.vault)

    def leave(self):
        who = one(take_in(self.vault, person(FIELDS)))
        asked = self.scene.category(who.subject, "contact")
        self.scene.run()
        self.certificates.append(certificates.certificate(self.vault, asked.erasure.hex()))
        with self.vault.unit() as uow:
            entry_id = uow.record(BEAT)
            commit = uow.commit()
            self.promises.append((receipts.issue(uow, commit, [[entry_id]])[0], commit.leaf(entry_id)))
        self.sign()
        self.proofs.append(evidence.proof_of(self.vault, entry_id))

    @property
    def keys(self):
        """The log's keys, oldest first."""
        return [each.key.vkey for each in reversed(logkeys.shown(self.vault))]

    @property
    def statements(self):
        with self.vault.reading() as conn:
            return [text for _, text in keystatements.statements(self.vault, conn)]


@pytest.fixture
def ages(scene):
    return Ages(scene)


def test_whatever_the_log_signed_verifies_by_any_of_its_keys_with_its_statements(ages, tmp_path, capsys):
    keys, told = ages.keys, ages.statements
    assert (len(keys), len(told)) == (3, 4)  # two came in, two ended
    erasure, receipt = certificates.verifier_key(ages.vault), receipts.verifier_key(ages.vault)
    for number, text in enumerate(told):
        (tmp_path / f"{number}.tlog-proof").write_text(text)
    given = [each for number in range(4) for each in ("--keychange", str(tmp_path / f"{number}.tlog-proof"))]
    for held, key in enumerate(keys):
        for age in range(3):
            note, (promise, leaf), proof = ages.certificates[age], ages.promises[age], ages.proofs[age]
            own = age == held
            paths = {"certificate": note, "promise": promise, "proof": proof}
            for name, content in paths.items():
                (tmp_path / name).write_text(content)
            assert verify_certificate(note, [erasure], [key], told).scope == "category contact"
            plain = [str(tmp_path / "certificate"), "--key", erasure, "--log-key", key]
            assert certificates_cli.main([*plain, *given]) == 0
            assert certificates_cli.main(plain) == (0 if own else 2)
            asked = ["proof", str(tmp_path / "proof"), "--leaf", leaf.hex(), "--key", key]
            assert verify.main([*asked, *given]) == 0
            assert verify.main(asked) == (0 if own else 2)
            # A receipt's key is none of the log's, and does not change with it.
            assert verify.main(["receipt", str(tmp_path / "promise"), "--leaf", leaf.hex(), "--key", receipt]) == 0
    assert "on the log's own word" in capsys.readouterr().err


def test_statements_are_taken_in_any_order_and_one_is_enough_for_one_step(ages):
    first, second, third = map(parse_vkey, ages.keys)
    told = ages.statements
    for order in (told, told[::-1], [told[2], told[0], told[3], told[1]]):
        for key in (first, second, third):
            assert set(take_statements(order, [key]).keys) == {first, second, third}
    assert set(take_statements(told[:1], [first]).keys) == {first, second}
    alone = take_statements(told[:1], [third])
    assert (alone.keys, alone.strange) == ((third,), 1)  # nothing that the reader trusts vouches for it


def test_a_changed_or_strange_statement_brings_in_no_key(ages):
    first = parse_vkey(ages.keys[0])
    added = ages.statements[0]
    taken = parse_proof(added)
    stranger = LogSigner(ages.vault.keys, ages.vault.origin, 9)
    forged = taken.extra.replace(parse_vkey(ages.keys[1]).public_key.hex().encode(), stranger.public_key.hex().encode())
    assert forged != taken.extra
    for wrong in (
        format_proof(taken.index, taken.hashes, taken.checkpoint, forged),
        format_proof(taken.index - 1, taken.hashes, taken.checkpoint, taken.extra),
        format_proof(taken.index, taken.hashes[::-1], taken.checkpoint, taken.extra),
    ):
        with pytest.raises(VerificationError):
            take_statements([wrong], [first])
    note = sign_note(split_note(taken.checkpoint).text, (stranger,))
    assert take_statements([format_proof(taken.index, taken.hashes, note, taken.extra)], [first]).brought == ()
    other = ages.proofs[0]
    for none in (
        "",
        "x",
        b"\xff",
        other,
        other.replace("\nindex", "\nextra e30=\nindex"),
        format_proof(0, [], note, b"{}"),
    ):
        with pytest.raises(CannotDecide):
            take_statements([none], [first])


def test_what_a_key_signs_after_its_end_does_not_hold_although_the_reader_has_it(ages, tmp_path):
    told, keys = ages.statements, ages.keys
    newest = checkpoint.parse(split_note(ages.sign()).text)
    thief = sign_note(checkpoint.format(newest), (LogSigner(ages.vault.keys, ages.vault.origin, 1),))
    known = take_statements(told, [parse_vkey(keys[0])])
    with pytest.raises(VerificationError, match="ended at entry"):
        check_signers(thief, known)
    check_signers(evidence.latest_checkpoint(ages.vault), known)
    (tmp_path / "old").write_text(parse_proof(ages.proofs[0]).checkpoint)
    (tmp_path / "thief").write_text(thief)
    files = []
    for number, text in enumerate(told):
        (tmp_path / f"{number}").write_text(text)
        files += ["--keychange", str(tmp_path / f"{number}")]
    assert verify.main(["extend", str(tmp_path / "old"), str(tmp_path / "thief"), "--key", keys[0], *files]) == 1
    (tmp_path / "none").write_text("nothing")
    assert verify.main(["extend", str(tmp_path / "none"), str(tmp_path / "thief"), "--key", keys[0], *files[:2]]) == 2
    assert verify.main(["extend", str(tmp_path / "old"), str(tmp_path / "thief"), "--key", keys[2], *files[:2]]) == 2


def test_a_log_of_one_key_has_nothing_to_state(store, tmp_path):
    evidence.sign_checkpoints(store, tmp_path / "kept")
    with store.reading() as conn:
        assert keystatements.statements(store, conn) == []
    logkeys.rotate(store, 1, OPERATOR)
    with store.reading() as conn:
        assert keystatements.statements(store, conn) == []  # no checkpoint covers it yet
    with store.unit() as uow:
        uow.record(BEAT)
        uow.commit()
    evidence.sign_checkpoints(store, tmp_path / "kept")
    with store.reading() as conn:
        ((index, text),) = keystatements.statements(store, conn)
    assert parse_proof(text).index == index
    assert leaf_hash(parse_proof(text).extra)
