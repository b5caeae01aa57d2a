/*!
 * Sallyport login overlay: passkeys (WebAuthn level 3), to sign in with and, for enrol.js, to make.
 */
document.currentScript.sallyport({}, function (kit) {
  'use strict';

  var say = kit.say, el = kit.el;

  function show(a, p) {
    p.at = p.at || Date.now();
    kit.again('passkey', 'passkey', p, function () {
      kit.put('passkey', [
        kit.title(say('passkeyTitle')),
        el('p', { 'class': 'lead', text: say('passkeyHelp') }),
        p.reason === 'wrong_code' ? kit.alertBox(say('passkeyFailed'), p.supportCode) : kit.reason(p),
        kit.remember(a, p),
        button(a, 'passkey', say('use_passkey'), function () { return get(p.passkey); }, function (response) {
          return { action: 'passkey', response: response };
        }),
        kit.hintLine(),
        kit.others(a, p),
        kit.cancelButton(a)
      ], 'passkey');
    });
  }

  // A button that asks the browser and sends what it gives. Browsers want a click before they ask.
  function button(a, id, text, ask, message) {
    return kit.button(id, text, 'primary', function () {
      if (kit.isBusy(id)) return;
      kit.alarm('');
      kit.busy(id, true);
      ask().then(function (response) { return kit.send(a, id, message(response)); }, function (e) {
        kit.busy(id, false);
        if (!a.over) kit.alarm(say(sentence(e)));
      });
    });
  }

  var SENTENCES = {
    NotAllowedError: 'passkeyCancelled', AbortError: 'passkeyCancelled', TimeoutError: 'passkeyCancelled', InvalidStateError: 'passkeyTwice',
    NotSupportedError: 'passkeyNone', SecurityError: 'passkeyNone'
  };

  function sentence(e) { return SENTENCES[e && e.name] || 'passkeyFailed'; }

  // Options come as JSON; the browser's own conversion is newer than many browsers.
  function binary(options, names) {
    var out = copy(options);
    names.forEach(function (name) { if (out[name]) out[name] = out[name].map(withId); });
    out.challenge = kit.decode(options.challenge);
    return out;
  }

  function withId(thing) {
    var out = copy(thing);
    out.id = kit.decode(thing.id);
    return out;
  }

  function copy(from) {
    var out = {}, key;
    for (key in from) out[key] = from[key];
    return out;
  }

  function ask(what, options) {
    var container = navigator.credentials, stop = new AbortController(), gone;
    if (!window.PublicKeyCredential || !container || !container[what]) return Promise.reject({ name: 'NotSupportedError' });
    kit.leave(function () {
      gone = true;
      stop.abort();
    });
    return container[what]({ publicKey: options, signal: stop.signal }).then(function (credential) {
      if (!credential || gone) throw { name: 'AbortError' };
      return json(credential);
    });
  }

  function get(options) {
    return prepared(function () { return ask('get', binary(options, ['allowCredentials'])); });
  }

  function create(options) {
    return prepared(function () {
      var o = binary(options, ['excludeCredentials']);
      o.user = withId(options.user);
      return ask('create', o);
    });
  }

  // Options that cannot be read are an error like any other.
  function prepared(f) {
    try {
      return f();
    } catch (e) {
      return Promise.reject(e);
    }
  }

  // AuthenticationResponseJSON or RegistrationResponseJSON.
  function json(c) {
    var r = c.response, out = {};
    ['clientDataJSON', 'authenticatorData', 'signature', 'userHandle', 'attestationObject'].forEach(function (name) {
      if (r[name]) out[name] = kit.encode(r[name]);
    });
    if (r.getTransports) out.transports = r.getTransports();
    if (r.getAuthenticatorData) out.authenticatorData = kit.encode(r.getAuthenticatorData());
    if (r.getPublicKeyAlgorithm) out.publicKeyAlgorithm = r.getPublicKeyAlgorithm();
    if (r.getPublicKey && r.getPublicKey()) out.publicKey = kit.encode(r.getPublicKey());
    return {
      id: c.id, rawId: kit.encode(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment || undefined,
      clientExtensionResults: c.getClientExtensionResults(), response: out
    };
  }

  return { show: show, button: button, get: get, create: create };
});
