"""What holds on a token alone: keys that nobody brought, a mark that remains, a PIN that is not tried to death."""

import secrets
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from vault.errors import Sealed
from vault.keys.provider import DestructionClass, RootState
from vault.keys.providers.pkcs11 import Pkcs11Provider
from vault.runtime import SystemClock, SystemEntropy

KEY = bytes(range(32))
CONTEXT = b"context"
ENTROPY, CLOCK = SystemEntropy(), SystemClock()


@pytest.fixture
def ref():
    return secrets.token_hex(16)


@pytest.fixture
def provider(hsm):
    return Pkcs11Provider(hsm.module, "ecrin-test", hsm.pin, ENTROPY, CLOCK)


@contextmanager
def operator(hsm):
    """A session such as the operator's own tools have."""
    with pkcs11.lib(str(hsm.module)).get_token(token_label="ecrin-test").open(rw=True, user_pin=hsm.pin) as session:
        yield session


def refuses(provider, ref):
    for verb in (
        lambda: provider.create(ref),
        lambda: provider.wrap(ref, KEY, CONTEXT),
        lambda: provider.unwrap(ref, b"\x01" + bytes.fromhex(ref) + bytes(60), CONTEXT),
    ):
        with pytest.raises(Sealed):
            verb()
    return True


def test_the_key_never_leaves_the_token(provider, hsm, ref):
    provider.create(ref)
    with operator(hsm) as session:
        (key,) = session.get_objects({Attribute.LABEL: f"ecrin-root-{ref}"})
        assert key[Attribute.ID] == bytes.fromhex(ref)
        for attribute in (
            Attribute.EXTRACTABLE,
            Attribute.MODIFIABLE,
            Attribute.COPYABLE,
            Attribute.WRAP,
            Attribute.DERIVE,
        ):
            assert key[attribute] is False, attribute
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = key[Attribute.VALUE]


def test_a_key_that_somebody_brought_is_no_root(provider, hsm, ref):
    """The group's own long-lived key, imported under a root's label."""
    with operator(hsm) as session:
        brought = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.TOKEN: True,
            Attribute.LABEL: f"ecrin-root-{ref}",
            Attribute.VALUE: bytes(32),
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.ENCRYPT: True,
            Attribute.DECRYPT: True,
        }
        session.create_object(brought)
    assert refuses(provider, ref)


@pytest.mark.parametrize("template", [{Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}])
def test_a_key_that_can_leave_is_no_root(provider, hsm, ref, template):
    with operator(hsm) as session:
        capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
        session.generate_key(
            KeyType.AES, 256, store=True, label=f"ecrin-root-{ref}", capabilities=capabilities, template=template
        )
    assert refuses(provider, ref)


def test_a_short_key_is_no_root(provider, hsm, ref):
    with operator(hsm) as session:
        drawn = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        session.generate_key(KeyType.AES, 128, store=True, label=f"ecrin-root-{ref}", template=drawn)
    assert refuses(provider, ref)


def test_two_keys_of_one_name_are_no_root_and_both_are_destroyed(provider, hsm, ref):
    provider.create(ref)
    wrapped = provider.wrap(ref, KEY, CONTEXT)
    with operator(hsm) as session:
        session.generate_key(KeyType.AES, 256, store=True, label=f"ecrin-root-{ref}")
    with pytest.raises(Sealed):
        provider.unwrap(ref, wrapped, CONTEXT)
    provider.destroy(ref)
    with operator(hsm) as session:
        assert not list(
            session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: f"ecrin-root-{ref}"})
        )


def test_a_destruction_half_done_is_pending_opens_nothing_and_is_resumed(provider, hsm, ref):
    provider.create(ref)
    wrapped = provider.wrap(ref, KEY, CONTEXT)
    with operator(hsm) as session:  # the mark is written, then the process dies
        provider._mark(session, f"ecrin-root-{ref}")
    assert provider.status(ref).state is RootState.PENDING
    assert refuses(provider, ref)
    with pytest.raises(Sealed):
        provider.unwrap(ref, wrapped, CONTEXT)
    provider.destroy(ref)
    assert provider.status(ref).state is RootState.GONE


OTHER_PROCESS = """
import sys
from pathlib import Path
from vault.errors import Sealed
from vault.keys.providers.pkcs11 import Pkcs11Provider
from vault.runtime import SystemClock, SystemEntropy
module, pin, ref, wrapped = sys.argv[1:]
provider = Pkcs11Provider(Path(module), "ecrin-test", pin, SystemEntropy(), SystemClock())
try:
    print(provider.unwrap(ref, bytes.fromhex(wrapped), b"context").hex())
except Sealed:
    print("sealed", provider.status(ref).state.value)
"""


def test_destruction_holds_in_another_process(provider, hsm, ref):
    def elsewhere():
        arguments = [str(hsm.module), hsm.pin, ref, wrapped.hex()]
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, *arguments], check=True, capture_output=True, text=True, cwd=root
        )
        return done.stdout.strip()

    provider.create(ref)
    wrapped = provider.wrap(ref, KEY, CONTEXT)
    assert elsewhere() == KEY.hex()
    provider.destroy(ref)
    assert elsewhere() == "sealed gone"


def test_a_software_token_is_not_class_a(provider):
    """SoftHSM2 keeps its objects in a folder: whoever copied the folder has them."""
    assert provider.capabilities.destruction_class is DestructionClass.BEST_EFFORT
    assert provider.capabilities.provider_copies


def test_no_token_is_sealed_and_tells_no_status(hsm, ref):
    for module, token in ((hsm.module, "another"), (Path("/absent.so"), "ecrin-test"), (Path(__file__), "ecrin-test")):
        provider = Pkcs11Provider(module, token, hsm.pin, ENTROPY, CLOCK)
        assert refuses(provider, ref)
        assert provider.status(ref).state is RootState.UNKNOWN
        with pytest.raises(Sealed):
            provider.destroy(ref)
        with pytest.raises(Sealed):
            _ = provider.capabilities


def test_a_refused_pin_is_tried_once(hsm, provider, ref):
    """A holder that tries again by itself would lock the token for good."""
    wrong = Pkcs11Provider(hsm.module, "ecrin-test", "not-the-pin", ENTROPY, CLOCK)
    with pytest.raises(Sealed, match=r"refused its PIN$"):
        wrong.create(ref)
    with pytest.raises(Sealed, match="refused its PIN before"):
        wrong.create(ref)
    assert wrong.status(ref).state is RootState.UNKNOWN
    provider.create(ref)
