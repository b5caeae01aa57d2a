// The keys of one account. All of them are CryptoKeys that cannot be exported: not this page, nor
// a script smuggled into it, can read them out and carry them away.
import { utf8, fromUtf8, fields, toBase64url, fromBase64url } from './bytes.js';

const ES256 = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGN = { name: 'ECDSA', hash: 'SHA-256' };
const NONCE = 12;

// Makes the signing key. Returns the private CryptoKey, the public JWK and the device id
// (RFC 7638 thumbprint).
export async function makeSigningKey() {
  const pair = await crypto.subtle.generateKey(ES256, false, ['sign', 'verify']);
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const jwk = { kty, crv, x, y };
  return { signKey: pair.privateKey, jwk, deviceId: await thumbprint(jwk) };
}

async function thumbprint({ crv, kty, x, y }) {
  const canonical = JSON.stringify({ crv, kty, x, y }); // RFC 7638: these members, in this order
  return toBase64url(await crypto.subtle.digest('SHA-256', utf8(canonical)));
}

// The secret of the codes that a device shows which belongs to nobody yet.
export const makeSeed = () => crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-1', length: 160 }, false, ['sign']);

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

// The serial number of the two keys of such a device: 85 bits of their hash, and a character that finds mistyped ones
// (docs/protocol/device.md).
export async function serialNumber(deviceId, boxJwk) {
  const octets = new Uint8Array(await crypto.subtle.digest('SHA-256', fields('sallyport/v1 serial', deviceId, await thumbprint(boxJwk))));
  const bit = (n) => (octets[n >> 3] >> (7 - (n & 7))) & 1;
  const double = (v) => (v & 16 ? (v << 1) ^ 0x25 : v << 1);
  let out = '';
  let check = 0;
  for (let i = 0; i < 17; i += 1) {
    let v = 0;
    for (let n = 5 * i; n < 5 * i + 5; n += 1) v = (v << 1) | bit(n);
    out += CROCKFORD[v];
    check = double(check) ^ v;
  }
  return out + CROCKFORD[double(check)];
}

// Derives the three keys of an enrolment from the link's secret, and wipes the secret.
export async function deriveKeys(secret, deviceId) {
  const base = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  secret.fill(0);
  const derive = (info, algorithm, uses) => crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: utf8(deviceId), info: utf8(info) }, base, algorithm, false, uses);
  return {
    proofKey: await derive('sallyport/v1 enrol proof', { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign']),
    detailsKey: await derive('sallyport/v1 details', { name: 'AES-GCM', length: 256 }, ['encrypt', 'decrypt']),
    seedKey: await derive('sallyport/v1 token code', { name: 'HMAC', hash: 'SHA-1', length: 160 }, ['sign']),
  };
}

export async function prove(proofKey, ...parts) {
  return toBase64url(await crypto.subtle.sign('HMAC', proofKey, fields(...parts)));
}

// Opens a sealed value (nonce, ciphertext, tag in base64url) and parses the JSON inside.
export async function open(detailsKey, sealed, ...aad) {
  const box = fromBase64url(sealed);
  const plain = await crypto.subtle.decrypt(
    { name: 'AES-GCM', iv: box.subarray(0, NONCE), additionalData: fields(...aad) }, detailsKey, box.subarray(NONCE));
  return JSON.parse(fromUtf8(plain));
}

export async function seal(detailsKey, text, ...aad) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const box = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv: nonce, additionalData: fields(...aad) }, detailsKey, utf8(text));
  const out = new Uint8Array(NONCE + box.byteLength);
  out.set(nonce);
  out.set(new Uint8Array(box), NONCE);
  return toBase64url(out);
}

// Signs claims as a compact JWS with the device's key.
export async function sign({ signKey, deviceId }, typ, claims) {
  const part = (value) => toBase64url(utf8(JSON.stringify(value)));
  const input = `${part({ alg: 'ES256', typ, kid: deviceId })}.${part(claims)}`;
  return `${input}.${toBase64url(await crypto.subtle.sign(SIGN, signKey, utf8(input)))}`;
}

export async function hash(text) {
  return toBase64url(await crypto.subtle.digest('SHA-256', utf8(text)));
}
