"""HPKE (RFC 9180) in base mode: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

Written from the RFC; vectors.py holds it to the published test vectors. AES-128-GCM is here for
them alone: appendix A.3 prints that suite.
"""

import hmac

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEM_ID, KDF_ID = 0x0010, 0x0001
AES_128_GCM, AES_256_GCM = 0x0001, 0x0002
KEY_LENGTH = {AES_128_GCM: 16, AES_256_GCM: 32}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def i2osp(n, length):
    return n.to_bytes(length, "big")


def extract(salt, ikm):
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(prk, info, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + i2osp(n, 1), "sha256")
        out, n = out + block, n + 1
    return out[:length]


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return expand(prk, i2osp(length, 2) + b"HPKE-v1" + suite + label + info, length)


def point(public):
    """The uncompressed point of a public key, 65 octets."""
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def public_key(octets):
    """The public key of an uncompressed point; ValueError when it is not on the curve."""
    if len(octets) != 65 or octets[0] != 4:
        raise ValueError("not an uncompressed P-256 point")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets)


KEM_SUITE = b"KEM" + i2osp(KEM_ID, 2)


def derive_key_pair(ikm):
    """DeriveKeyPair of section 7.1.3, for test vectors."""
    prk = labeled_extract(KEM_SUITE, b"", b"dkp_prk", ikm)
    for counter in range(256):
        octets = labeled_expand(KEM_SUITE, prk, b"candidate", i2osp(counter, 1), 32)
        scalar = int.from_bytes(octets, "big")
        if 0 < scalar < ORDER:
            return ec.derive_private_key(scalar, ec.SECP256R1())
    raise ValueError("no key")


def shared_secret(ours, theirs, enc, recipient):
    dh = ours.exchange(ec.ECDH(), theirs)
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    return labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + recipient, 32)


class Context:
    """What sender and recipient share; it seals or opens messages in order, and exports secrets."""

    def __init__(self, secret, info, aead=AES_256_GCM):
        self._suite = b"HPKE" + i2osp(KEM_ID, 2) + i2osp(KDF_ID, 2) + i2osp(aead, 2)
        mode_base = b"\x00"
        schedule = (mode_base + labeled_extract(self._suite, b"", b"psk_id_hash", b"")
                    + labeled_extract(self._suite, b"", b"info_hash", info))
        prk = labeled_extract(self._suite, secret, b"secret", b"")
        self._aead = AESGCM(labeled_expand(self._suite, prk, b"key", schedule, KEY_LENGTH[aead]))
        self._base_nonce = labeled_expand(self._suite, prk, b"base_nonce", schedule, 12)
        self._exporter = labeled_expand(self._suite, prk, b"exp", schedule, 32)
        self._sequence = 0

    def _nonce(self):
        nonce = int.from_bytes(self._base_nonce, "big") ^ self._sequence
        self._sequence += 1
        return i2osp(nonce, 12)

    def seal(self, aad, plaintext):
        return self._aead.encrypt(self._nonce(), plaintext, aad)

    def open(self, aad, ciphertext):
        return self._aead.decrypt(self._nonce(), ciphertext, aad)

    def export(self, context, length):
        return labeled_expand(self._suite, self._exporter, b"sec", context, length)


def sender(recipient, info, aead=AES_256_GCM, ephemeral=None):
    """SetupBaseS: enc, and the context. recipient is an uncompressed point."""
    ephemeral = ephemeral or ec.generate_private_key(ec.SECP256R1())
    enc = point(ephemeral.public_key())
    secret = shared_secret(ephemeral, public_key(recipient), enc, recipient)
    return enc, Context(secret, info, aead)


def recipient(private, enc, info, aead=AES_256_GCM):
    """SetupBaseR: the context for what was sealed to a private key."""
    secret = shared_secret(private, public_key(enc), enc, point(private.public_key()))
    return Context(secret, info, aead)
