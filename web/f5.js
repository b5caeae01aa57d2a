/*! Sallyport login overlay for BIG-IP APM */
// docs/protocol/browser.md describes what it speaks.
//
// Written in the syntax of 1999 on purpose: a browser that cannot be served must still be able to read
// the file far enough to leave the page alone.
//
// This is the script that the gateway's page pins: the sign-in form, what seals and watches, and the way back to the
// gateway's own form. What comes after the password, and every language but English, stands in overlay/, is pinned by
// this script and loaded when it is needed.
(function (window, document) {
  'use strict';

  if (!canServe()) return reveal();

  // --- Where this script stands, and what its tag says ---

  var root = document.documentElement;
  var script = document.currentScript || document.querySelector('script[data-access-token],script[src*="/f5.js#"]');

  // The standard page carries the values as attributes, the modern one in the fragment of the address.
  function readTag() {
    var src = script.src, fragment = {}, token = script.getAttribute('data-access-token');
    src.replace(/[#&](\w)=([^&]*)/g, function (_, name, value) { fragment[name] = decodeURIComponent(value); });
    var raw = toBinary(token || fragment.t), claims = JSON.parse(raw);
    return {
      base: src.replace(/[#?].*$/, '').replace(/\/embed\/.*$/, ''),
      modern: !token,
      token: btoa(raw),
      tenant: claims.tenantId,
      integration: claims.contextData.authInstanceId,
      pin: script.getAttribute('data-key') || fragment.k,
      language: script.getAttribute('data-lang') || fragment.l
    };
  }

  function canServe() {
    return window.isSecureContext !== false && window.crypto && window.crypto.subtle && window.fetch &&
      window.Promise && window.TextEncoder && window.AbortController && window.MutationObserver &&
      document.documentElement.attachShadow && window.atob;
  }

  // --- Words: those of overlay/lang, where a language without a sentence falls back to English ---

  // web.go puts in the English words of this script. Those of a part come with it, those of a language in its file.
  var ENGLISH = {};
  var words = ENGLISH, language = 'en';

  // The first language of the browser's that there is, then the integration's own, then English.
  function pickLanguage() {
    return [].concat(navigator.languages || navigator.language || [], tag.language || []).map(function (wanted) {
      return String(wanted).toLowerCase().split('-')[0];
    }).filter(function (name) { return name === 'en' || LANGUAGES[name]; })[0] || 'en';
  }

  function direction() { return language === 'ar' ? 'rtl' : 'ltr'; }

  function knows(key) { return words[key] || ENGLISH[key]; }

  // What is put into a sentence keeps its own direction: a name or a number must not turn the sentence around it.
  function say(key, values) {
    return (knows(key) || knows('internal')).replace(/\{(\w+)\}/g, function (_, name) {
      return direction() === 'rtl' ? '\u2068' + values[name] + '\u2069' : values[name];
    });
  }

  // --- What is loaded when it is needed ---

  // The SHA-384 of each part and each language by name: it is the address, and the browser holds what comes to it.
  // web.go puts them in.
  var PARTS = {}, LANGUAGES = {};
  var loading = {};

  // Resolves to what the part gives, fetched once; where that fails, once more, past whatever holds a bad copy.
  function load(name) {
    if (!loading[name]) {
      loading[name] = fetchPart(name, '').then(null, function () {
        return wait(300).then(function () { return fetchPart(name, '?again'); });
      }).then(null, function () {
        loading[name] = null;
        throw failure('part');
      });
    }
    return loading[name];
  }

  function partAddress(hash, rest) { return tag.base + '/embed/v1/part/' + hash + rest; }

  function integrity(hash) { return 'sha384-' + hash.replace(/-/g, '+').replace(/_/g, '/'); }

  // A part finds its way to us by its own script element: nothing is put into the page's global names.
  function fetchPart(name, again) {
    return new Promise(function (resolve, reject) {
      var s = document.createElement('script'), timer = setTimeout(leave, 6000);
      function leave() {
        clearTimeout(timer);
        s.sallyport = function () {};
        if (s.parentNode) s.parentNode.removeChild(s);
        reject(failure('part'));
      }
      s.sallyport = function (english, make) {
        for (var key in english) ENGLISH[key] = english[key];
        resolve(make(kit));
      };
      s.src = partAddress(PARTS[name], '.js' + again);
      s.integrity = integrity(PARTS[name]);
      s.crossOrigin = 'anonymous';
      s.referrerPolicy = 'no-referrer';
      s.nonce = script.nonce || '';
      s.onload = s.onerror = leave;
      document.head.appendChild(s);
    });
  }

  // Resolves in any case: a language that does not come in time is English.
  function loadLanguage() {
    var hash = LANGUAGES[language = pickLanguage()], late;
    if (!hash) return Promise.resolve();
    function get(again) {
      return window.fetch(partAddress(hash, '.json' + again), {
        integrity: integrity(hash), mode: 'cors', credentials: 'omit', referrerPolicy: 'no-referrer'
      }).then(function (r) { return r.json(); });
    }
    return Promise.race([
      get('').then(null, function () { return get('?again'); }).then(function (all) { if (!late) words = all; }),
      wait(1500)
    ]).then(null, function () {}).then(function () {
      late = true;
      if (words === ENGLISH) language = 'en';
    });
  }

  // The part that remembers this browser, where there is one, may take a hand in a login. The login goes on without it.
  function remembering(step, a, what) {
    return PARTS.remember ? Promise.race([wait(1500), load('remember').then(function (part) {
      return part[step](a, what);
    })]).then(null, function () {}) : Promise.resolve();
  }

  // --- Octets ---

  function toBinary(base64) { return atob(base64.replace(/-/g, '+').replace(/_/g, '/')); }

  function decode(base64) {
    var s = toBinary(base64), out = new Uint8Array(s.length), i;
    for (i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
    return out;
  }

  function encode(octets) {
    return btoa(String.fromCharCode.apply(null, new Uint8Array(octets)))
      .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }

  function utf8(s) { return new TextEncoder().encode(s); }

  function join() {
    var parts = [].map.call(arguments, function (p) { return typeof p === 'string' ? utf8(p) : new Uint8Array(p); });
    var out = new Uint8Array(parts.reduce(function (n, p) { return n + p.length; }, 0)), at = 0;
    parts.forEach(function (p) { out.set(p, at); at += p.length; });
    return out;
  }

  // Each text with its length in two octets before it, so that no two lists give the same octets.
  function fields() {
    return join.apply(null, [].map.call(arguments, function (text) {
      var b = utf8(String(text));
      return join([b.length >> 8, b.length & 255], b);
    }));
  }

  // --- HPKE (RFC 9180), base mode: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM ---

  var P256 = { name: 'ECDH', namedCurve: 'P-256' };
  var KEM_SUITE = join('KEM', [0, 0x10]);
  var HPKE_SUITE = join('HPKE', [0, 0x10, 0, 1, 0, 2]);

  function hmac(key, data) {
    var alg = { name: 'HMAC', hash: 'SHA-256' };
    return crypto.subtle.importKey('raw', key, alg, false, ['sign']).then(function (k) {
      return crypto.subtle.sign(alg, k, data);
    });
  }

  // An empty salt is 32 zeros: the same to HMAC, and WebCrypto refuses an empty key.
  function extract(suite, salt, label, ikm) {
    return hmac(salt || new Uint8Array(32), join('HPKE-v1', suite, label, ikm));
  }

  // Good for up to 32 octets, which is all that is asked for here.
  function expand(suite, prk, label, info, length) {
    return hmac(prk, join([0, length], 'HPKE-v1', suite, label, info, [1])).then(function (t) { return t.slice(0, length); });
  }

  function encapsulate(pub) {
    var subtle = crypto.subtle;
    return Promise.all([
      subtle.generateKey(P256, false, ['deriveBits']),
      subtle.importKey('raw', pub, P256, false, [])
    ]).then(function (keys) {
      return Promise.all([
        subtle.exportKey('raw', keys[0].publicKey),
        subtle.deriveBits({ name: 'ECDH', 'public': keys[1] }, keys[0].privateKey, 256)
      ]);
    }).then(function (r) {
      return extract(KEM_SUITE, null, 'eae_prk', r[1]).then(function (prk) {
        return expand(KEM_SUITE, prk, 'shared_secret', join(r[0], pub), 32);
      }).then(function (secret) { return { enc: r[0], secret: secret }; });
    });
  }

  // Resolves to {enc, ciphertext, exporter(label)}.
  function hpkeSeal(pub, info, aad, plaintext) {
    return Promise.all([
      encapsulate(pub),
      extract(HPKE_SUITE, null, 'psk_id_hash', ''),
      extract(HPKE_SUITE, null, 'info_hash', info)
    ]).then(function (r) {
      var context = join([0], r[1], r[2]);
      return extract(HPKE_SUITE, r[0].secret, 'secret', '').then(function (secret) {
        return Promise.all([
          expand(HPKE_SUITE, secret, 'key', context, 32),
          expand(HPKE_SUITE, secret, 'base_nonce', context, 12),
          expand(HPKE_SUITE, secret, 'exp', context, 32)
        ]);
      }).then(function (k) {
        return gcm('encrypt', k[0], k[1], aad, plaintext).then(function (ciphertext) {
          return {
            enc: r[0].enc,
            ciphertext: ciphertext,
            exporter: function (label) { return expand(HPKE_SUITE, k[2], 'sec', label, 32); }
          };
        });
      });
    });
  }

  // --- Boxes: nonce, ciphertext, tag ---

  function gcm(what, key, nonce, aad, data) {
    return crypto.subtle.importKey('raw', key, 'AES-GCM', false, [what]).then(function (k) {
      return crypto.subtle[what]({ name: 'AES-GCM', iv: nonce, additionalData: aad }, k, data);
    });
  }

  function sealBox(key, aad, plaintext) {
    var nonce = crypto.getRandomValues(new Uint8Array(12));
    return gcm('encrypt', key, nonce, aad, plaintext).then(function (box) { return join(nonce, box); });
  }

  function openBox(key, aad, box) {
    return gcm('decrypt', key, box.subarray(0, 12), aad, box.subarray(12)).then(function (plain) {
      return new TextDecoder().decode(plain);
    });
  }

  // Resolves to the statement when the root key is the one the page pins and has signed it.
  function verifyKeys(keys, tag) {
    var octets = decode(keys.statement), st = JSON.parse(new TextDecoder().decode(octets));
    var point = decode(st.root), alg = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    return crypto.subtle.digest('SHA-256', point).then(function (print) {
      if (encode(print) !== tag.pin || st.v !== 1 || st.tenant !== tag.tenant) throw failure('untrusted');
      return crypto.subtle.importKey('raw', point, alg, false, ['verify']);
    }).then(function (k) {
      return crypto.subtle.verify(alg, k, decode(keys.signature), join('sallyport/v1 keys\n', octets));
    }).then(function (good) {
      if (!good) throw failure('untrusted');
      return st;
    });
  }

  // --- The cloud ---

  // Once ended, asking again will not help.
  function failure(code, supportCode, ended) { return { code: code, supportCode: supportCode, ended: ended }; }

  function failureOf(body) { return failure(body.code || 'internal', body.supportCode, body.ended); }

  function asFailure(e) { return e && e.code && typeof e.code === 'string' ? e : failure('internal'); }

  function request(path, options, session, signal) {
    var headers = options.headers || {};
    if (session) headers.Authorization = 'Bearer ' + session;
    return window.fetch(tag.base + '/v1/logins' + path, {
      method: options.body ? 'POST' : 'GET', headers: headers, body: options.body, signal: signal,
      mode: 'cors', credentials: options.cookies ? 'include' : 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer'
    });
  }

  function answer(response) {
    if (response.status === 204) return null;
    return response.json().then(function (body) {
      if (response.ok) return body;
      throw failureOf(body);
    }, function () {
      // Not our cloud speaking, but something on the way, or an answer cut short.
      throw failure('network');
    });
  }

  function call(path, body, session, ms, cookies) {
    var stop = new AbortController(), timer = setTimeout(function () { stop.abort(); }, ms);
    var options = body ? { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, cookies: cookies } : {};
    return request(path, options, session, stop.signal)
      .then(answer, function () { throw failure('network'); })
      .then(function (v) { clearTimeout(timer); return v; }, function (e) { clearTimeout(timer); throw e; });
  }

  // For requests that may be repeated octet for octet, when the answer got lost or nobody was there to give one. With cookies is
  // the first try alone: if its answer cannot be read, perhaps because it has them, the next one's can.
  function insist(path, body, session, tries, cookies) {
    return call(path, body, session, 20000, cookies).then(null, function (e) {
      if (tries < 1 || e.ended || (e.code !== 'network' && e.code !== 'unavailable')) throw e;
      return wait(700 * (3 - tries)).then(function () { return insist(path, body, session, tries - 1); });
    });
  }

  function wait(ms) { return new Promise(function (resolve) { setTimeout(resolve, ms); }); }

  function begin(ms) {
    var at = Date.now();
    return call('', { accessToken: tag.token }, '', ms).then(function (r) {
      return verifyKeys(r.keys, tag).then(function (st) {
        return { id: r.loginId, keys: st, until: at + r.expiresInMs - 30000 };
      });
    });
  }

  // --- One attempt to log in ---

  // What a person began: {user, password, login, session, up, down, version, over}. Once over, nothing that
  // still arrives for it is looked at.
  var attempt = null;
  var ready = null; // a login id fetched while the person types

  function freshLogin() {
    var r = ready;
    ready = null;
    return r && r.until > Date.now() ? Promise.resolve(r) : begin(10000);
  }

  function sealPassword(a) {
    var st = a.login.keys, password = utf8(a.password), plain = new Uint8Array(512);
    plain[0] = password.length >> 8;
    plain[1] = password.length & 255;
    plain.set(password, 2);
    var aad = fields(tag.tenant, tag.integration, a.login.id, a.user, location.origin, st.kid, st.iat);
    return hpkeSeal(decode(st.pub), utf8('sallyport/v1 login'), aad, plain).then(function (s) {
      return Promise.all([s.exporter('sallyport/v1 to browser'), s.exporter('sallyport/v1 to appliance')]).then(function (k) {
        a.down = k[0];
        a.up = k[1];
        return {
          accessToken: tag.token, userName: a.user, kid: st.kid, iat: st.iat, language: language, shows: ['choose', 'passkey', 'enrol'],
          enc: encode(s.enc), ciphertext: encode(s.ciphertext)
        };
      });
    });
  }

  function sendCredentials(a, mayRestart) {
    return freshLogin().then(function (login) {
      a.login = login;
      return sealPassword(a);
    }).then(function (body) {
      return remembering('claim', a, body).then(function () { return body; });
    }).then(function (body) {
      return insist('/' + encodeURIComponent(a.login.id) + '/credentials', body, '', 2, !!body.remembered);
    }).then(null, function (e) {
      // The login id was too old or taken; nobody has been asked about the password under it by us.
      if (mayRestart && !e.ended && (e.code === 'expired' || e.code === 'conflict')) return sendCredentials(a, false);
      throw e;
    });
  }

  function logIn(user, password) {
    var a = attempt = { user: user, password: password, version: 0, fails: 0, chain: Promise.resolve() };
    sendCredentials(a, true).then(function (r) {
      a.session = r.session;
      return accept(a, r.view);
    }).then(function () {
      if (!a.over) stream(a);
    }).then(null, function (e) { fail(a, e); });
  }

  function path(a, rest) { return '/' + encodeURIComponent(a.login.id) + rest; }

  // Opens a view and shows it. Views are taken one after the other, older ones dropped.
  function accept(a, view) {
    return (a.chain = a.chain.then(function () {
      if (a.over || !view || !(view.version > a.version)) return;
      return openBox(a.down, fields(a.login.id, view.version, view.phase), decode(view.sealed)).then(JSON.parse)
        .then(null, function () { throw failure('untrusted'); })
        .then(function (prompt) {
          if (a.over) return;
          a.version = view.version;
          a.kind = prompt.kind + (prompt.enrol ? prompt.enrol.step : '');
          return showPrompt(a, prompt);
        });
    }));
  }

  function end(a) {
    a.over = true;
    if (a.stop) a.stop.abort();
    if (attempt === a) attempt = null;
  }

  function fail(a, e) {
    if (a.over) return;
    end(a);
    showError(asFailure(e), a);
  }

  // --- Watching: a stream of events, or long polling where something on the way holds the stream back ---

  function stream(a) {
    var stop = a.stop = new AbortController(), heard = false, left = false, timer;
    function leave(next) {
      if (left || a.over) return;
      left = true;
      clearTimeout(timer);
      stop.abort();
      next();
    }
    function again(e) { leave(function () { retry(a, e, heard || a.fails < 2 ? stream : poll); }); }
    function alarm() {
      clearTimeout(timer);
      timer = setTimeout(function () {
        if (heard) again(failure('network'));
        else leave(function () { poll(a); });
      }, heard ? 25000 : 3000);
    }
    alarm();
    request(path(a, '/events'), { headers: { Accept: 'text/event-stream' } }, a.session, stop.signal).then(function (r) {
      var type = r.headers.get('Content-Type') || '';
      if (!r.ok) return answer(r);
      if (!/event-stream/.test(type) || !r.body || !r.body.getReader) return leave(function () { poll(a); });
      return read(r.body.getReader(), function (view) {
        if (left) return;
        if (!heard) online(a);
        heard = true;
        alarm();
        if (view) return accept(a, view);
      });
    }).then(function () { again(failure('network')); }, again);
  }

  // Calls heard for every piece that arrives: with a view, or with nothing for a comment.
  function read(reader, heard) {
    var text = new TextDecoder(), rest = '';
    function pump() {
      return reader.read().then(function (piece) {
        if (piece.done) return;
        rest += text.decode(piece.value, { stream: true });
        var events = rest.split(/\r?\n\r?\n/);
        rest = events.pop();
        if (rest.length > 65536) throw failure('network');
        return events.reduce(function (before, event) {
          return before.then(function () { return heard(viewOf(event)); });
        }, Promise.resolve()).then(pump);
      });
    }
    return pump();
  }

  function viewOf(event) {
    var data = '', name = '';
    event.split(/\r?\n/).forEach(function (line) {
      var m = /^(event|data): ?(.*)$/.exec(line);
      if (m && m[1] === 'event') name = m[2];
      if (m && m[1] === 'data') data += m[2];
    });
    if (name === 'error') throw failureOf(JSON.parse(data));
    return name === 'view' && data ? JSON.parse(data) : null;
  }

  function poll(a) {
    if (a.over) return;
    var before = a.version;
    a.stop = null;
    call(path(a, '/events?after=' + before), null, a.session, 30000).then(function (view) {
      online(a);
      return accept(a, view).then(function () {
        if (view && a.version === before) return wait(1000);
      });
    }).then(function () { poll(a); }, function (e) { retry(a, e, poll); });
  }

  function online(a) {
    a.fails = 0;
    a.lost = 0;
    if (a.silent) hint('');
    a.silent = false;
  }

  // Tries again after a while that grows; gives up when the login is gone or nothing was heard for 20 s.
  function retry(a, e, how) {
    if (a.over) return;
    e = asFailure(e);
    if (e.code === 'internal' && !e.ended) e = failure('network'); // an aborted or broken stream has no code of ours
    a.lost = a.lost || Date.now();
    if (e.ended) return fail(a, e);
    if (e.code === 'denied' || e.code === 'not_found' || e.code === 'expired') return fail(a, failure('expired'));
    if (e.code === 'untrusted' || Date.now() - a.lost > 20000) return fail(a, e);
    if (a.fails > 1) {
      a.silent = true;
      hint(say('reconnecting'));
    }
    wait(Math.min(8000, 400 * Math.pow(2, a.fails++)) * (0.5 + Math.random() / 2)).then(function () {
      if (!a.over) how(a);
    });
  }

  // --- Saying something to the appliance ---

  function tell(a, message, mayRepeat) {
    var version = a.version, kind = a.kind, once = true;
    return sealBox(a.up, fields(a.login.id, version, 'message'), utf8(JSON.stringify(message))).then(function (box) {
      var body = { version: version, sealed: encode(box) };
      return call(path(a, '/messages'), body, a.session, 20000).then(null, function (e) {
        if (e.code !== 'network') throw e;
        once = false; // it may have been heard: a conflict from now on can be our own doing
        return wait(700).then(function () { return insist(path(a, '/messages'), body, a.session, 1); });
      });
    }).then(function (view) { return accept(a, view); }, function (e) {
      if (e.code !== 'conflict') throw e;
      return call(path(a, '/events?after=' + version), null, a.session, 25000).then(function (view) {
        return accept(a, view);
      }).then(function () {
        if (once && mayRepeat && !a.over && a.kind === kind) return tell(a, message, false);
      });
    });
  }

  function cancel(a) {
    if (a.session) tell(a, { action: 'cancel' }, true).then(null, function () {});
    end(a);
  }

  // --- The gateway's own form ---

  var OURS = { username: 1, password: 1, password1: 1 };

  function nativeForm() {
    var input = document.querySelector('form#auth_form') || document.querySelector('form input[name="username"]');
    return input && (input.form || input);
  }

  // By name only: ids are positions, and the table around the fields differs from site to site.
  function nativeField(name) {
    var form = nativeForm(), all = form ? form.querySelectorAll('input,select,textarea') : [], i;
    for (i = 0; i < all.length; i++) if (all[i].name === name && all[i].type !== 'hidden') return all[i];
    return null;
  }

  // Whether this page is ours: 'serve', 'leave' (some other page of the gateway), or 'wait' (no form yet).
  function look() {
    var form = nativeForm();
    if (document.querySelector('form#hidden_form,input[name="choice"],[name="_F5_challenge"],[name="_F5_verify_password"]')) return 'leave';
    if (!form) return 'wait';
    if (form.querySelector('iframe,.g-recaptcha,textarea,input[type="file"]')) return 'leave';
    var password = nativeField('password');
    return nativeField('username') && password && password.type === 'password' && nativeField('password1') ? 'serve' : 'leave';
  }

  // Sets a value the way typing does, so that a page that keeps its own state (the modern one) hears of it.
  function setNative(field, property, value) {
    var proto = Object.getPrototypeOf(field), setter = Object.getOwnPropertyDescriptor(proto, property);
    if (setter && setter.set) setter.set.call(field, value);
    else field[property] = value;
    ['input', 'change'].forEach(function (name) { field.dispatchEvent(new Event(name, { bubbles: true })); });
  }

  function fill(name, value, purpose) {
    var field = nativeField(name);
    if (!field || field.disabled || field.readOnly) return;
    field.setAttribute('autocomplete', purpose); // so that no password manager takes the token for a new password
    setNative(field, 'value', value);
  }

  function shownByPage(field, form) {
    for (var e = field; e && e !== form; e = e.parentNode) if (getComputedStyle(e).display === 'none') return false;
    return true;
  }

  function extraFields() {
    var form = nativeForm();
    return [].filter.call(form.querySelectorAll('input,select'), function (f) {
      return f.name && !OURS[f.name] && !/^(hidden|submit|reset|button|image)$/.test(f.type) && shownByPage(f, form);
    });
  }

  function labelOf(field) {
    var label = (field.labels && field.labels[0]) || (field.id && document.querySelector('label[for="' + field.id + '"]'));
    return tidy(label) || field.getAttribute('aria-label') || field.name;
  }

  function tidy(node) { return node ? node.textContent.replace(/\s+/g, ' ').replace(/\s*:?\s*$/, '').replace(/^\s/, '') : ''; }

  // The page's own complaint about the last attempt.
  function pageError() {
    var form = nativeForm();
    return tidy(document.getElementById('credentials_table_postheader')) ||
      tidy(form.querySelector('[role="alert"],[class*="error"]')) ||
      tidy(form.parentNode.querySelector('[role="alert"],[class*="error"]'));
  }

  function pageTitle() {
    var title = tidy(document.getElementById('credentials_table_header'));
    return /^secure logon\s*(for)?\s*f5 networks$/i.test(title) || title.length > 400 ? '' : title;
  }

  // Submits as the page's own automatic submit does: form.submit() alone would skip onsubmit.
  function submitNative(a, token) {
    fill('username', a.user, 'username');
    fill('password', a.password, 'current-password');
    fill('password1', token, 'one-time-code');
    setTimeout(function () {
      var form = nativeForm();
      if (tag.modern) return pressNative(form);
      if (typeof window.disableSubmit === 'function') window.disableSubmit(form);
      if (form.onsubmit && form.onsubmit() === false) return showRestart();
      HTMLFormElement.prototype.submit.call(form);
    }, tag.modern ? 60 : 0); // the modern page takes its values over between two frames
    setTimeout(function () {
      if (handed) showError(failure('stuck'), null);
    }, 15000);
  }

  function pressNative(form) {
    var button = form.querySelector('[type="submit"],button:not([type])');
    if (button && !button.disabled) button.click();
    else if (form.requestSubmit) form.requestSubmit();
    else form.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  }

  // --- Covering the page, and giving it back ---

  var sheets = []; // of parts
  var tag, host, shadow, main, status, screen = '', unveil, viewport, leaving = [];
  var spoken, serving = false, handed = false, finished = false; // words there; our page; handed to the gateway; nothing more to show

  // Sheets made by script pass a site's content security policy; the style element is for browsers without them.
  function addSheet(where, css) {
    try {
      var sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      where.adoptedStyleSheets = [].slice.call(where.adoptedStyleSheets).concat(sheet);
      return function () {
        where.adoptedStyleSheets = [].filter.call(where.adoptedStyleSheets, function (s) { return s !== sheet; });
      };
    } catch (e) {
      var style = document.createElement('style');
      style.textContent = css;
      (where === document ? root : where).appendChild(style);
      return function () { style.parentNode.removeChild(style); };
    }
  }

  // A body that is not displayed cannot flash, and cannot be given the focus by the page's own script.
  // The standard page has no viewport, so a phone would show the overlay, too, at the width of a desk; and no language.
  function complete() {
    if (!root.lang) root.lang = language;
    if (document.querySelector('meta[name="viewport"]')) return;
    viewport = el('meta', { name: 'viewport', content: 'width=device-width,initial-scale=1' });
    document.head.appendChild(viewport);
  }

  function veil() { if (!unveil) unveil = addSheet(document, 'html>body{display:none!important}'); }

  function reveal() {
    if (unveil) unveil();
    unveil = null;
    if (document.body) document.body.style.animation = 'none'; // ends the guard that the pasted snippet may have set
  }

  // Beside the body, not in it: out of reach of the page's renderer and of the script that disables every input.
  // The shadow root is open because password managers look into open ones only; it hides nothing from the page anyway.
  function cover() {
    if (host) return;
    veil();
    complete();
    host = document.createElement('div');
    host.id = 'sallyport';
    host.lang = language;
    host.dir = direction();
    shadow = host.attachShadow({ mode: 'open' });
    [CSS].concat(sheets).forEach(function (css) { addSheet(shadow, css); });
    status = el('div', { id: 'status', 'class': 'sr', role: 'status', 'aria-live': 'polite' });
    main = el('main', { 'class': 'card' });
    shadow.appendChild(el('div', { 'class': 'page' }, [main, status]));
    root.appendChild(host);
  }

  function uncover() {
    if (attempt) cancel(attempt);
    leave();
    if (host) root.removeChild(host);
    if (viewport) document.head.removeChild(viewport);
    host = viewport = null;
    screen = '';
    serving = false;
    reveal();
  }

  // The gateway's own form comes back, with a word on how to use it, and with what was typed so far.
  function giveBack(key, user, password) {
    finished = true;
    uncover();
    var third = nativeField('password1'), name = nativeField('username'), word = nativeField('password');
    if (!third) return;
    if (name && !name.value && user) fill('username', user, 'username');
    if (word && !word.value && password) fill('password', password, 'current-password');
    host = document.createElement('div');
    host.id = 'sallyport';
    host.lang = language;
    host.dir = direction();
    host.setAttribute('data-screen', 'native');
    shadow = host.attachShadow({ mode: 'open' });
    addSheet(shadow, CSS);
    shadow.appendChild(el('div', { 'class': 'notice', role: 'alert', text: say(key, { field: labelOf(third) }) }));
    root.insertBefore(host, document.body);
    (name && !name.value ? name : word && !word.value ? word : third).focus();
  }

  // --- Building blocks ---

  function el(name, attributes, children) {
    var e = document.createElement(name), key;
    for (key in attributes) {
      if (key === 'text') e.textContent = attributes[key];
      else if (typeof attributes[key] === 'function') e.addEventListener(key, attributes[key]);
      else if (attributes[key] !== null && attributes[key] !== false) e.setAttribute(key, attributes[key] === true ? '' : attributes[key]);
    }
    (children || []).forEach(function (c) { if (c) e.appendChild(c); });
    return e;
  }

  function drawing(size, parts) {
    var space = 'http://www.w3.org/2000/svg', svg = document.createElementNS(space, 'svg');
    svg.setAttribute('viewBox', '0 0 ' + size + ' ' + size);
    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('focusable', 'false');
    parts.forEach(function (p) {
      var shape = document.createElementNS(space, p.d ? 'path' : 'circle'), key;
      for (key in p) shape.setAttribute(key, p[key]);
      svg.appendChild(shape);
    });
    return svg;
  }

  function byId(id) { return shadow.getElementById(id); }

  function button(id, text, kind, action) {
    return el('button', { id: id, type: 'button', 'class': kind, text: text, click: action });
  }

  function alertBox(text, supportCode) {
    return el('div', { id: 'alert', 'class': 'alert', role: 'alert' }, text ? [
      el('span', { text: text }), supportCode && el('span', { 'class': 'support', text: say('support', { code: supportCode }) })
    ] : []);
  }

  // Puts a message into the alert of the screen that is shown: read out at once.
  function alarm(text, supportCode) {
    var old = byId('alert');
    if (old) old.parentNode.replaceChild(alertBox(text, supportCode), old);
  }

  function hint(text) {
    var h = shadow && byId('hint');
    if (h) h.textContent = text;
  }

  function title(text) { return el('h1', { id: 'title', tabindex: -1, text: text }); }

  // Puts a screen up: what it is called, what stands in it, and what gets the focus.
  function put(name, children, focus) {
    if (finished) return;
    cover();
    leave();
    var where = el('p', { 'class': 'where' }, [drawing(24, [{ d: 'M4 21V4l9-2v20l-9-1zm9-17h7v17h-7M10 11v3' }]), el('span', { text: location.host })]);
    main.textContent = '';
    [where].concat(children).forEach(function (c) { if (c) main.appendChild(c); });
    main.setAttribute('aria-labelledby', 'title');
    host.setAttribute('data-screen', screen = name);
    status.textContent = '';
    var target = focus && byId(focus);
    if (target) target.focus();
  }

  function leave() { leaving.splice(0).forEach(function (f) { f(); }); }

  function busy(id, on) {
    var b = byId(id);
    if (!b) return;
    if (on) {
      b.setAttribute('data-label', b.textContent);
      b.textContent = say('checking');
      b.setAttribute('aria-disabled', 'true');
    } else if (b.getAttribute('aria-disabled')) {
      b.textContent = b.getAttribute('data-label');
      b.removeAttribute('aria-disabled');
    }
  }

  function isBusy(id) { return byId(id).getAttribute('aria-disabled'); }

  // --- Screens ---

  function textField(id, label, attributes, after) {
    attributes.id = id;
    attributes['aria-describedby'] = id + '-problem';
    return el('div', { 'class': 'field' }, [
      el('label', { 'for': id, text: label }),
      el('div', { 'class': 'box' }, [el('input', attributes), after]),
      el('p', { id: id + '-problem', 'class': 'problem' })
    ]);
  }

  function problem(id, key) {
    byId(id + '-problem').textContent = key ? say(key) : '';
    if (key) byId(id).setAttribute('aria-invalid', 'true');
    else byId(id).removeAttribute('aria-invalid');
    return key ? id : '';
  }

  function showSignIn(message, supportCode, user, password) {
    var own = nativeField('username'), locked = own && (own.readOnly || own.disabled);
    var eye = el('button', { id: 'reveal', type: 'button', 'class': 'eye', 'aria-pressed': 'false', 'aria-label': say('show'), click: togglePassword },
      [drawing(24, [{ d: 'M2 12s3.6-6.5 10-6.5S22 12 22 12s-3.600 6.500-10 6.500S2 12 2 12z' }, { cx: 12, cy: 12, r: 3 }, { d: 'M4 4l16 16', 'class': 'strike' }])]);
    var site = pageTitle();
    put('signin', [
      title(say('signIn')),
      site && el('p', { 'class': 'site', text: site }),
      alertBox(message, supportCode),
      el('form', { id: 'form', method: 'post', novalidate: true, submit: submitSignIn }, [
        textField('username', say('user'), {
          name: 'username', type: 'text', autocomplete: 'username', autocapitalize: 'none', autocorrect: 'off',
          spellcheck: 'false', readonly: locked, required: true
        }),
        textField('password', say('password'), {
          name: 'password', type: 'password', autocomplete: 'current-password', autocapitalize: 'none', spellcheck: 'false', required: true,
          keydown: capsLock, keyup: capsLock, click: capsLock, blur: function () { caps(false); }
        }, eye),
        el('p', { id: 'caps', 'class': 'caps', role: 'status' })
      ].concat(extraFields().map(mirror).filter(Boolean), [
        el('button', { id: 'submit', type: 'submit', 'class': 'primary', text: say('signIn') }),
        el('p', { id: 'hint', 'class': 'hint', role: 'status' })
      ]))
    ]);
    byId('username').value = user || (own && own.value) || '';
    byId('password').value = password || '';
    byId(byId('username').value ? 'password' : 'username').focus();
  }

  function togglePassword() {
    var p = byId('password'), shown = p.type === 'text', eye = byId('reveal');
    p.type = shown ? 'password' : 'text';
    eye.setAttribute('aria-pressed', String(!shown));
    eye.setAttribute('aria-label', say(shown ? 'show' : 'hide'));
    p.focus();
  }

  function capsLock(event) { if (event.getModifierState) caps(event.getModifierState('CapsLock')); }

  function caps(on) {
    var text = on ? say('caps') : '', line = byId('caps');
    if (line && line.textContent !== text) line.textContent = text;
  }

  function submitSignIn(event) {
    event.preventDefault();
    if (isBusy('submit')) return;
    var user = byId('username').value.replace(/^\s+|\s+$/g, ''), password = byId('password').value;
    var wrong = [
      problem('username', !user ? 'needUser' : utf8(user).length > 256 ? 'longUser' : ''),
      problem('password', !password ? 'needPassword' : utf8(password).length > 256 ? 'longPassword' : '')
    ].filter(Boolean)[0];
    if (wrong) return byId(wrong).focus();
    byId('username').value = user;
    byId('password').type = 'password';
    alarm('');
    busy('submit', true);
    logIn(user, password);
    setTimeout(function () { if (screen === 'signin' && attempt) hint(say('slow')); }, 6000);
  }

  // A copy of one of the page's other fields; what happens to the copy happens to the field.
  function mirror(field, i, all) {
    if (field.type === 'radio') return mirrorRadios(field, i, all);
    var id = 'extra' + i, name = field.name, box = field.type === 'checkbox', copy;
    function write() { setNative(nativeField(name), box ? 'checked' : 'value', box ? copy.checked : copy.value); }
    copy = el(field.options ? 'select' : 'input', {
      id: id, type: field.options ? null : field.type, disabled: field.disabled, readonly: field.readOnly, autocomplete: 'off', change: write
    }, [].map.call(field.options || [], function (o) { return el('option', { value: o.value, text: o.text }); }));
    if (box) copy.checked = field.checked;
    else copy.value = field.value;
    if (!box) copy.addEventListener('input', write);
    return box ? choice(copy, labelOf(field)) : el('div', { 'class': 'field' }, [el('label', { 'for': id, text: labelOf(field) }), el('div', { 'class': 'box' }, [copy])]);
  }

  function choice(copy, label) { return el('label', { 'class': 'choice' }, [copy, el('span', { text: label })]); }

  // The first radio button of a name brings the whole group.
  function mirrorRadios(field, i, all) {
    var group = all.filter(function (f) { return f.type === 'radio' && f.name === field.name; });
    if (group[0] !== field) return null;
    var heading = document.querySelector('label[for="' + field.id.replace(/_\d+$/, '') + '"]');
    return el('fieldset', { 'class': 'field' }, [el('legend', { text: tidy(heading) || field.name })].concat(group.map(function (f) {
      var copy = el('input', { type: 'radio', name: 'extra' + i, disabled: f.disabled, change: function () {
        extraFields().forEach(function (now) {
          if (now.type === 'radio' && now.name === f.name && now.value === f.value) setNative(now, 'checked', true);
        });
      } });
      copy.checked = f.checked;
      return choice(copy, labelOf(f));
    })));
  }

  // A kind of prompt is shown by the part of its name, or by steps.js, which the others build on.
  function showPrompt(a, p) {
    var done = p.kind === 'done' && p.token;
    if (!done && p.kind !== 'denied') return withPart(a, PARTS[p.kind] ? p.kind : 'steps', p);
    end(a);
    if (!done && p.reason === 'credentials') return showSignIn(say(p.reason), p.supportCode, a.user);
    if (!done) return withPart(a, 'steps', p);
    handed = true;
    // The gateway is not kept waiting for a screen that says that all is well.
    load('steps').then(function (part) { if (handed) part.show(a, p); }, function () {});
    return (p.remembered ? remembering('keep', a, p.remembered) : Promise.resolve()).then(function () { submitNative(a, p.token); });
  }

  function withPart(a, name, p) {
    var version = a.version, over = a.over;
    return load('steps').then(function () { return load(name); }).then(function (part) {
      if (a.version === version && !a.over === !over) part.show(a, p);
    }).then(null, function (e) { // it did not come, or what it was given cannot be shown
      if (a.over && !over) return;
      if (!a.over) cancel(a);
      showError(asFailure(e), a);
    });
  }

  function act(a, id, message) {
    return function () { if (!isBusy(id)) send(a, id, message); };
  }

  // Says something to the appliance while the button shows that it is being said.
  function send(a, id, message) {
    busy(id, true);
    return tell(a, message, !message.response).then(null, function (e) { // what answers a challenge answers no other
      e = asFailure(e);
      if (a.over) return;
      if (e.ended || e.code === 'untrusted' || e.code === 'expired') return fail(a, e);
      alarm(say(knows(e.code) ? e.code : 'internal'), e.supportCode);
    }).then(function () { if (!a.over) busy(id, false); });
  }

  function cancelButton(a) {
    return button('cancel', say('cancel'), 'quiet', function () {
      cancel(a);
      showSignIn('', '', a.user);
    });
  }

  function showError(e, a) {
    handed = false;
    put('error', [
      title(say('errorTitle')),
      alertBox(say(knows(e.code) ? e.code : 'internal'), e.supportCode),
      button('again', say('again'), 'primary', function () { showSignIn('', '', a && a.user, a && a.password); }),
      button('native', say('ownForm'), 'secondary', function () { giveBack('ownNotice', a && a.user, a && a.password); })
    ], 'again');
  }

  function showExpired(link) {
    var enrolling = attempt && /^enrol/.test(attempt.kind);
    if (attempt) (enrolling ? end : cancel)(attempt); // the phone may be about to finish what was begun here
    put('expired', [
      title(say('expiredTitle')),
      alertBox(say(enrolling ? 'expiredEnrol' : 'expiredHelp')),
      el('a', { id: 'restart', 'class': 'primary', href: link || '/', text: say('startAgain') })
    ], 'restart');
    finished = true;
  }

  function showRestart() {
    handed = false;
    put('restart', [
      title(say('expiredTitle')),
      alertBox(say('restart')),
      el('a', { id: 'restart', 'class': 'primary', href: '/', text: say('startAgain') })
    ], 'restart');
  }

  // What parts are built from: a part is document.currentScript.sallyport({}, function (kit) { ...; return {show: ...}; }).
  var kit = {
    // words
    say: say, knows: knows, language: function () { return language; },
    // building blocks
    el: el, drawing: drawing, title: title, button: button, textField: textField, choice: choice, alertBox: alertBox, byId: byId,
    sheet: function (css) {
      sheets.push(css);
      if (shadow) addSheet(shadow, css);
    },
    // the screen that is shown
    put: put, problem: problem, alarm: alarm, hint: hint, busy: busy, isBusy: isBusy,
    speak: function (text) { status.textContent = text; },
    // Until the next screen; when it comes.
    every: function (ms, tick) {
      var timer = setInterval(tick, ms);
      leaving.push(function () { clearInterval(timer); });
    },
    leave: function (f) { leaving.push(f); },
    screen: function () { return screen; },
    focused: function () { return shadow.activeElement && shadow.activeElement.id; },
    inputs: function () { return [].slice.call(main.querySelectorAll('input')); },
    // the login
    act: act, send: send, cancelButton: cancelButton, signIn: showSignIn, fail: fail, failure: failure,
    // other parts
    has: function (name) { return !!PARTS[name]; },
    load: load,
    // octets
    encode: encode, decode: decode, utf8: utf8, join: join, fields: fields,
    tag: function () { return tag; }
  };

  // --- Watching the page ---

  function gatewayExpired() {
    var box = document.getElementById('MessageDIV');
    return box && /\binspectionHostDIVBig\b/.test(box.className) ? box : null;
  }

  function onChange() {
    if (finished) return;
    var box = host && gatewayExpired(), link = box && box.querySelector('a[href]'), now;
    if (box) return showExpired(link && link.href);
    if (!tag.modern || handed) return;
    now = look();
    if (now === 'serve' && !serving) serve();
    else if (now === 'leave') uncover();
  }

  function serve() {
    serving = true;
    veil();
    spoken.then(function () {
      if (serving && !finished && !host) showSignIn(pageError());
    });
    begin(2500).then(function (login) {
      ready = login;
      // From here on whoever logs in will need it: no login is to wait for it.
      load('steps').then(null, function () {});
      remembering('ready');
    }, function () {
      return spoken.then(function () {
        if (attempt || screen !== 'signin') return; // what was begun meanwhile says itself what became of it
        giveBack('notice', byId('username').value, byId('password').value);
      });
    });
  }

  function start() {
    tag = readTag();
    if (!tag.tenant || !tag.integration || !tag.pin || root.getAttribute('data-sallyport')) return;
    var now = look();
    if (now !== 'serve' && !tag.modern) return reveal();
    root.setAttribute('data-sallyport', '1');
    veil();
    spoken = loadLanguage();
    new MutationObserver(onChange).observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ['class'] });
    if (now === 'serve') serve();
    else waitForForm();
    window.addEventListener('pageshow', function (event) { if (event.persisted) location.reload(); });
  }

  // The modern page draws its form late, and this script is on its other pages too: those are shown as soon as they
  // are drawn, and a page that stays empty after three seconds.
  function waitForForm() {
    var began = Date.now(), timer = setInterval(function () {
      if (serving || finished) return clearInterval(timer);
      var drawn = document.body && document.body.querySelector('form,h1,h2,table,button,p');
      if (look() === 'leave' || (drawn && document.readyState === 'complete') || Date.now() - began > 3000) {
        clearInterval(timer);
        reveal();
      }
    }, 200);
  }

  // --- Looks ---

  // System colours and px nowhere: everything follows the person's own text size, and forced colours stay legible.
  var CSS = [
    ':host{all:initial;display:block;font:400 medium/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;',
    '--bg:#e9eef4;--bg2:#f6f8fb;--card:#fff;--text:#17212b;--soft:#4d5b69;--line:#748393;--faint:#dbe2ea;--go:#0b5cad;--go2:#084a8c;',
    '--on:#fff;--bad:#a31d15;--badbg:#fdeeec;--warn:#6b4700;--warnbg:#fff4dc;--ok:#1a7f4b;color-scheme:light}',
    '@media(prefers-color-scheme:dark){:host{--bg:#0b1016;--bg2:#121922;--card:#18212b;--text:#e9eef4;--soft:#aab7c4;--line:#73859a;',
    '--faint:#2b3743;--go:#7db8ff;--go2:#a5ceff;--on:#04213f;--bad:#ffb4ab;--badbg:#3a1714;--warn:#ffd58a;--warnbg:#33270d;--ok:#63d69a;color-scheme:dark}}',
    '*,:after,:before{box-sizing:border-box}',
    '.page{position:fixed;inset:0;z-index:2147483647;overflow:auto;display:flex;padding:1.5em 1em;color:var(--text);',
    'background:var(--bg)}',
    '.card{margin:auto;width:100%;max-width:25em;padding:2em;background:var(--card);border:1px solid var(--faint);border-radius:1.125em;',
    'box-shadow:0 1px 2px rgba(10,25,40,.06),0 12px 40px rgba(10,25,40,.1);overflow-wrap:break-word}',
    'p,h1,form,fieldset{margin:0;padding:0;border:0;min-width:0}',
    '.where{display:flex;align-items:center;gap:.5em;color:var(--soft);font-size:.875em;margin-bottom:1.5em;overflow-wrap:anywhere}',
    '.where svg{flex:none;width:1.5em;height:1.5em;color:var(--go)}',
    'svg{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linecap:round;stroke-linejoin:round}',
    'h1{font-size:1.625em;line-height:1.2;font-weight:650;letter-spacing:-.01em;outline:0}',
    '.site{margin-top:.5em;color:var(--soft)}',
    '.lead{margin-top:.5em;color:var(--soft);text-wrap:pretty}',
    'form{margin-top:1.5em}',
    '.field{margin-bottom:1.125em}',
    'label,legend{display:block;font-weight:600;font-size:.9375em;margin-bottom:.375em;padding:0}',
    '.box{position:relative}',
    'input,select,button{font:inherit;color:inherit}',
    'input:not([type=radio]):not([type=checkbox]),select{width:100%;min-height:3em;padding:.5em .875em;background:var(--card);',
    'border:1px solid var(--line);border-radius:.625em;text-align:start}',
    'input:read-only,:disabled{background:var(--bg2)}',
    'input[aria-invalid]{border-color:var(--bad);box-shadow:0 0 0 1px var(--bad)}',
    '#password{padding-inline-end:3.25em}',
    'input::-ms-reveal{display:none}',
    '.eye{position:absolute;inset-inline-end:.125em;top:.125em;width:2.75em;height:2.75em;padding:.625em;border:0;border-radius:.5em;background:none;color:var(--soft);cursor:pointer}',
    '.eye svg{display:block;width:100%;height:100%}',
    '.eye[aria-pressed=false] .strike{display:none}',
    '.problem,.caps,.hint{font-size:.875em}',
    '.problem{color:var(--bad);font-weight:500}',
    '.problem:not(:empty),.hint:not(:empty){margin-top:.375em}',
    '.caps{color:var(--warn)}.caps:not(:empty){margin:-.75em 0 1em}',
    '.hint{color:var(--soft);text-align:center}',
    '.choice{display:flex;gap:.625em;align-items:center;min-height:2em;font-weight:400;margin:0 0 .375em}',
    '.choice input{width:1.25em;height:1.25em;flex:none;margin:0;accent-color:var(--go)}',
    'form>.choice{margin-bottom:1.125em}',
    '.primary,.secondary,.quiet{display:block;width:100%;min-height:3em;margin-top:.75em;padding:.625em 1em;border:1px solid transparent;border-radius:.625em;',
    'font-weight:600;text-align:center;text-decoration:none;cursor:pointer;background:none}',
    '.primary{background:var(--go);color:var(--on);margin-top:1.5em}.primary:hover{background:var(--go2)}',
    '.secondary{border-color:var(--line);margin-top:1.5em}.primary+.secondary{margin-top:.75em}.secondary:hover,.eye:hover{background:var(--bg2)}',
    '.quiet{color:var(--go)}.quiet:hover{text-decoration:underline}',
    '[aria-disabled]{opacity:.75;cursor:progress}',
    ':focus-visible{outline:3px solid var(--go);outline-offset:2px}h1:focus-visible{outline:0}',
    '.alert:not(:empty){margin-top:1.25em;padding:.75em 1em;border-radius:.625em;border-inline-start:4px solid var(--bad);background:var(--badbg);color:var(--bad)}',
    '.support{display:block;margin-top:.375em;font-size:.875em;font-variant-numeric:tabular-nums}',
    '.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}',
    '.notice{padding:.875em 1.25em;border-bottom:3px solid var(--go);background:var(--card);color:var(--text)}',
    '@media(max-width:30em){.page{padding:0;background:var(--card)}.card{border:0;border-radius:0;box-shadow:none;padding:1.25em;margin:0 auto}}',
    '@media(max-width:30em) and (min-height:35em){.card{padding-top:2em}}',
    '@media(forced-colors:active){.primary{border-color:ButtonText}}'
  ].join('');

  try {
    start();
  } catch (e) {
    uncover();
  }
})(window, document);
