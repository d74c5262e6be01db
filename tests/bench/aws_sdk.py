"""The AWS Encryption SDK for Python with a local raw AES key, set up the way its own guide says."""

import secrets
from collections.abc import Callable

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import AlgorithmSuite, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

Seal = Callable[[bytes], bytes]
Open = Callable[[bytes], bytes]

CONTEXT = {"subject": "0123456789abcdef", "field": "phone"}
UNSIGNED = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY


class _Provider(RawMasterKeyProvider):
    """The SDK's way to a local key before material providers: still supported, and faster than their keyring."""

    provider_id = "bench"

    def _get_raw_key(self, key_id):
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=b"k" * 32,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def legacy(*, signed: bool) -> tuple[Seal, Open]:
    """Master key provider; `signed` is the SDK's default suite (ECDSA over each message), else its fastest safe one."""
    provider = _Provider()
    provider.add_master_key(b"key-1")
    client = aws_encryption_sdk.EncryptionSDKClient()
    suite = {} if signed else {"algorithm": UNSIGNED}

    def seal(plaintext):
        return client.encrypt(source=plaintext, key_provider=provider, encryption_context=CONTEXT, **suite)[0]

    return seal, lambda sealed: client.decrypt(source=sealed, key_provider=provider)[0]


def keyring(*, signed: bool) -> tuple[Seal, Open] | None:
    """Raw AES keyring of the material providers library; None when that package is not installed."""
    try:
        from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
        from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
        from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
    except ImportError:
        return None
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    ring = providers.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace="bench",
            key_name="key-1",
            wrapping_key=secrets.token_bytes(32),
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )
    client = aws_encryption_sdk.EncryptionSDKClient()
    suite = {} if signed else {"algorithm": UNSIGNED}

    def seal(plaintext):
        return client.encrypt(source=plaintext, keyring=ring, encryption_context=CONTEXT, **suite)[0]

    return seal, lambda sealed: client.decrypt(source=sealed, keyring=ring, encryption_context=CONTEXT)[0]
