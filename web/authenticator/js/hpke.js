// HPKE (RFC 9180), base mode, the receiving side: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
import { utf8 } from './bytes.js';

const ECDH = { name: 'ECDH', namedCurve: 'P-256' };
const HMAC = { name: 'HMAC', hash: 'SHA-256' };
const ENC = 65;

const join = (...parts) => {
  const octets = parts.map((p) => (typeof p === 'string' ? utf8(p) : new Uint8Array(p)));
  const out = new Uint8Array(octets.reduce((n, o) => n + o.length, 0));
  let at = 0;
  for (const o of octets) {
    out.set(o, at);
    at += o.length;
  }
  return out;
};
const KEM = join('KEM', [0, 0x10]);
const SUITE = join('HPKE', [0, 0x10, 0, 1, 0, 2]);

const hmac = async (key, data) => crypto.subtle.sign('HMAC', await crypto.subtle.importKey('raw', key, HMAC, false, ['sign']), data);
// An empty salt is 32 zeros: the same to HMAC, and WebCrypto refuses an empty key.
const extract = (suite, salt, label, ikm) => hmac(salt ?? new Uint8Array(32), join('HPKE-v1', suite, label, ikm));
// Good for up to 32 octets, which is all that is asked for here.
const expand = async (suite, prk, label, info, length) => (await hmac(prk, join([0, length], 'HPKE-v1', suite, label, info, [1]))).slice(0, length);

// Makes a key to receive with. Its private half cannot be exported.
export async function makeBoxKey() {
  const pair = await crypto.subtle.generateKey(ECDH, false, ['deriveBits']);
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  return { private: pair.privateKey, point: await crypto.subtle.exportKey('raw', pair.publicKey), jwk: { kty, crv, x, y } };
}

// Opens what was sealed to a key: encapsulated key, then ciphertext. Returns the text, and exporter(label), which makes a key that
// seals an answer. Throws when it does not open.
export async function openBox(key, box, info, aad) {
  const enc = box.subarray(0, ENC);
  const theirs = await crypto.subtle.importKey('raw', enc, ECDH, false, []);
  const dh = await crypto.subtle.deriveBits({ name: 'ECDH', public: theirs }, key.private, 256);
  const secret = await expand(KEM, await extract(KEM, null, 'eae_prk', dh), 'shared_secret', join(enc, key.point), 32);
  const context = join([0], await extract(SUITE, null, 'psk_id_hash', ''), await extract(SUITE, null, 'info_hash', info));
  const scheduled = await extract(SUITE, secret, 'secret', '');
  const aes = await crypto.subtle.importKey('raw', await expand(SUITE, scheduled, 'key', context, 32), 'AES-GCM', false, ['decrypt']);
  const iv = await expand(SUITE, scheduled, 'base_nonce', context, 12);
  const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData: aad }, aes, box.subarray(ENC));
  const exporter = async (label) => {
    const raw = await expand(SUITE, await expand(SUITE, scheduled, 'exp', context, 32), 'sec', label, 32);
    return crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']);
  };
  return { plain, exporter };
}
