// Token codes: RFC 6238 with SHA-1, steps of 30 seconds, six digits.

export const STEP_MS = 30_000;

export async function tokenCode(seedKey, nowMs) {
  const message = new DataView(new ArrayBuffer(8));
  message.setBigUint64(0, BigInt(Math.floor(nowMs / STEP_MS)));
  const mac = new DataView(await crypto.subtle.sign('HMAC', seedKey, message.buffer));
  const offset = mac.getUint8(19) & 0x0f;
  const number = (mac.getUint32(offset) & 0x7fffffff) % 1_000_000;
  return String(number).padStart(6, '0');
}

export const leftMs = (nowMs) => STEP_MS - (nowMs % STEP_MS);
