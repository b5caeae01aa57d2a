// The browser's half of a passkey (WebAuthn): a form with data-passkey="create" or "get" carries the options, and
// is sent with the authenticator's answer in its field "answer".
'use strict';

const fromB64 = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const toB64 = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const descriptors = list => list?.map(d => ({ ...d, id: fromB64(d.id) }));

const create = async o => {
  const c = await navigator.credentials.create({ publicKey: {
    ...o, challenge: fromB64(o.challenge), user: { ...o.user, id: fromB64(o.user.id) }, excludeCredentials: descriptors(o.excludeCredentials),
  } });
  return { ...plain(c), response: {
    clientDataJSON: toB64(c.response.clientDataJSON), attestationObject: toB64(c.response.attestationObject), transports: c.response.getTransports?.() ?? [],
  } };
};

const get = async o => {
  const c = await navigator.credentials.get({ publicKey: { ...o, challenge: fromB64(o.challenge), allowCredentials: descriptors(o.allowCredentials) } });
  const r = c.response;
  return { ...plain(c), response: {
    clientDataJSON: toB64(r.clientDataJSON), authenticatorData: toB64(r.authenticatorData), signature: toB64(r.signature),
    ...(r.userHandle ? { userHandle: toB64(r.userHandle) } : {}),
  } };
};

const plain = c => ({
  id: c.id, rawId: toB64(c.rawId), type: c.type, clientExtensionResults: c.getClientExtensionResults(),
  ...(c.authenticatorAttachment ? { authenticatorAttachment: c.authenticatorAttachment } : {}),
});

const words = err => ({
  InvalidStateError: 'This passkey was added already.',
  NotAllowedError: 'Nothing came from the passkey. Please try again.',
  SecurityError: 'Passkeys do not work at this address. Open the console by its host name, with a certificate that the browser trusts.',
}[err.name] ?? 'The browser could not use a passkey here.');

for (const form of document.querySelectorAll('form[data-passkey]')) {
  form.addEventListener('submit', async e => {
    if (form.elements.answer.value) return; // with the answer: let it go
    e.preventDefault();
    const trouble = form.querySelector('[data-passkey-trouble]');
    trouble.hidden = true;
    try {
      const options = JSON.parse(form.dataset.options);
      form.elements.answer.value = JSON.stringify(await (form.dataset.passkey === 'create' ? create : get)(options));
    } catch (err) {
      trouble.textContent = window.PublicKeyCredential ? words(err) : 'This browser has no passkeys.';
      trouble.hidden = false;
      return;
    }
    form.requestSubmit();
  });
}
