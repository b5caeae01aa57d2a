// Octets and texts: base64url without padding, and fields with a two-octet length before each.

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const utf8 = (text) => encoder.encode(text);
export const fromUtf8 = (octets) => decoder.decode(octets);

export function toBase64url(octets) {
  let text = '';
  for (const b of new Uint8Array(octets)) text += String.fromCharCode(b);
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

// Throws on anything that is not base64url without padding.
export function fromBase64url(text) {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
    throw new Error('not base64url');
  }
  const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

// Joins texts so that no two lists of them give the same octets.
export function fields(...parts) {
  const encoded = parts.map(utf8);
  const out = new Uint8Array(encoded.reduce((n, p) => n + 2 + p.length, 0));
  let at = 0;
  for (const p of encoded) {
    if (p.length > 0xffff) throw new Error('field too long');
    out.set([p.length >> 8, p.length & 0xff], at);
    out.set(p, at + 2);
    at += 2 + p.length;
  }
  return out;
}
