// The enrolment link: <device page>#e=<tenant>.<enrolment>.<secret>
import { fromBase64url } from './bytes.js';

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const SECRET_OCTETS = 32;
const MAX = 1024;
const PAGE = '/authenticator/';

// The device address of this page: its own address up to /authenticator/.
export const ownAddress = () => location.origin + location.pathname.slice(0, location.pathname.lastIndexOf(PAGE));

// Reads a link as opened, scanned or pasted. Returns {deviceURL, tenantId, enrolmentId, secret},
// or null when text is not an enrolment link.
export function parseLink(text) {
  const trimmed = String(text).trim();
  if (trimmed.length > MAX) return null;
  let url;
  try {
    url = new URL(trimmed);
  } catch {
    return null;
  }
  const deviceURL = addressOf(url);
  const parts = url.hash.startsWith('#e=') ? url.hash.slice(3).split('.') : [];
  if (deviceURL === null || parts.length !== 3) return null;
  const [tenantId, enrolmentId, encoded] = parts;
  if (!ID.test(tenantId) || !ID.test(enrolmentId)) return null;
  try {
    const secret = fromBase64url(encoded);
    return secret.length === SECRET_OCTETS ? { deviceURL, tenantId, enrolmentId, secret } : null;
  } catch {
    return null;
  }
}

function addressOf(url) {
  if (!/^https?:$/.test(url.protocol) || url.search || url.username || !url.pathname.endsWith(PAGE)) return null;
  return url.origin + url.pathname.slice(0, -PAGE.length);
}
