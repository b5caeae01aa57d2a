/*!
 * Sallyport login overlay: what comes after the password. f5.js loads it before any other part.
 */
document.currentScript.sallyport({}, function (kit) {
  'use strict';

  var say = kit.say, el = kit.el;

  function show(a, p) {
    p.at = p.at || Date.now();
    if (p.kind === 'push') showPush(a, p);
    else if (p.kind === 'code') showCode(a, p);
    else if (p.kind === 'choose') showChoose(a, p);
    else if (p.kind === 'done') showDone();
    else if (p.kind === 'denied') showDenied(p.reason, p.supportCode, a.user);
    else kit.fail(a, kit.failure('unknown'));
  }

  // --- What other parts use as well ---

  // A whole number of seconds in words, in the digits that people type: 59 seconds, 1 minute, 30 days.
  kit.time = function (seconds) {
    var units = { day: 86400, hour: 3600, minute: 60, second: 1 }, unit, n;
    for (unit in units) if (seconds % units[unit] === 0) break;
    n = seconds / units[unit];
    try {
      return new Intl.NumberFormat(kit.language() + '-u-nu-latn', { style: 'unit', unit: unit, unitDisplay: 'long' }).format(n);
    } catch (e) {
      return n + '\u00a0' + (unit === 'minute' ? 'min' : unit.charAt(0));
    }
  };

  // What is left of a prompt's time, in milliseconds; it may be shown again after a detour.
  function left(p) { return Math.max(0, p.remainingMs - (Date.now() - p.at)); }

  kit.left = left;

  kit.reason = function (p) { return kit.alertBox(p.reason && kit.knows(p.reason) ? say(p.reason) : '', p.supportCode); };

  kit.hintLine = function () { return el('p', { id: 'hint', 'class': 'hint', role: 'status' }); };

  // A form with one button; read gives the message to be sent, or nothing when something is missing.
  kit.form = function (a, fields, read) {
    return el('form', { method: 'post', novalidate: true, submit: function (event) {
      var message;
      event.preventDefault();
      if (!kit.isBusy('submit') && (message = read())) kit.send(a, 'submit', message);
    } }, fields.concat(el('button', { id: 'submit', type: 'submit', 'class': 'primary', text: say('go') })));
  };

  // Reads a field without spaces; complains, and gives '', when there is nothing in it, or not what good expects.
  kit.read = function (id, missing, good) {
    var text = kit.byId(id).value.replace(/\s/g, ''), wrong = kit.problem(id, text && (!good || good.test(text)) ? '' : missing);
    if (wrong) kit.byId(id).focus();
    return wrong ? '' : text;
  };

  kit.codeField = function (id, label, more) {
    var attributes = {
      'class': 'code', type: 'text', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 64, dir: 'ltr',
      autocapitalize: 'characters', spellcheck: 'false', required: true
    }, key;
    for (key in more) attributes[key] = more[key];
    return kit.textField(id, label, attributes);
  };

  // "Send it again", which waits until it may be said. tick is called with the screen's other clocks.
  kit.resend = function (a, p) {
    if (p.resendMs === undefined) return null;
    var soon = el('p', { id: 'soon', 'class': 'hint' });
    var again = kit.button('resend', say('resend'), 'secondary', function () {
      resent = true;
      kit.act(a, 'resend', { action: 'resend' })();
    });
    function tick() {
      var ms = p.resendMs - (Date.now() - p.at), seconds = Math.ceil(ms / 1000);
      again.hidden = ms > 0;
      soon.textContent = ms > 0 ? say('resendIn', { time: kit.time(seconds > 90 ? Math.ceil(seconds / 60) * 60 : seconds) }) : '';
    }
    tick();
    return { parts: [soon, again], tick: tick };
  };

  var resent = false;

  // Where the message went, or that it did not go. A second message is told of in so many words, since the screen looks the same.
  function smsWords(p) { return p.to ? say('smsHelp', { to: p.to }) : say('smsHelpPlain'); }

  kit.smsLead = function (p) {
    if (p.reason === 'sms_failed') return null;
    return p.delivery === 'failed' ? el('p', { id: 'note', 'class': 'note', text: say('sms_failed') }) : el('p', { id: 'help', 'class': 'lead', text: smsWords(p) });
  };

  kit.smsSpeak = function (p) {
    if (kit.byId('note')) kit.speak(say('sms_failed'));
    else if (resent && !p.reason) kit.speak(smsWords(p));
    resent = false;
  };

  // Shows a screen again for news about it, without taking away what is being typed, or the place of the focus.
  kit.again = function (name, key, p, draw) {
    var same = kit.screen() === name && shown === key && !p.reason, at = same && kit.focused(), typed = {};
    if (same) kit.inputs().forEach(function (i) { if (i.type !== 'checkbox') typed[i.id] = i.value; });
    draw();
    shown = key;
    kit.inputs().forEach(function (i) { if (typed[i.id]) i.value = typed[i.id]; });
    if (at && kit.byId(at)) kit.byId(at).focus();
  };
  var shown = '';

  // --- Ways to go on ---

  function offers(p, method) { return (p.methods || []).indexOf(method) >= 0; }

  // To the app's code and back to the phone in the words that appliances of the last release know, too.
  function use(p, method) {
    if (method === 'code' && p.kind === 'push') return { action: 'use_code' };
    return method === 'push' && p.kind === 'code' ? { action: 'push' } : { action: 'use', method: method };
  }

  function way(a, p, method, look) {
    return kit.button('use' + method, say('use_' + method), look, kit.act(a, 'use' + method, use(p, method)));
  }

  function known(method) { return kit.knows('use_' + method); }

  var PHONE = { push: 1, code: 1, sms: 1 };

  // The other ways that are open, each one click away, and the way out for who has no phone.
  function others(a, p) {
    var ways = (p.methods || []).slice(1).filter(known).map(function (method) { return way(a, p, method, 'way'); });
    if (PHONE[(p.methods || [])[0]] || p.kind === 'push') {
      ways.push(kit.button('nophone', say('noPhone'), 'way', function () { showNoPhone(a, p); }));
    }
    return ways.length && el('section', { 'class': 'ways', 'aria-labelledby': 'others' },
      [el('h2', { id: 'others', text: say('others') })].concat(ways));
  }

  kit.others = others;

  function showNoPhone(a, p) {
    var ways = (p.methods || []).filter(function (method) { return known(method) && !PHONE[method]; });
    kit.put('nophone', [
      kit.title(say('noPhoneTitle')),
      ways.length && el('p', { 'class': 'lead', text: say('noPhoneHelp') })
    ].concat(ways.map(function (method) { return way(a, p, method, 'secondary'); }), [
      kit.alertBox(),
      el('p', { 'class': 'lead call', text: say('noPhoneCall') }),
      p.supportCode && el('p', { 'class': 'lead', text: say('support', { code: p.supportCode }) }),
      kit.button('back', say('back'), 'secondary', function () { show(a, p); }),
      kit.cancelButton(a)
    ]), 'title');
  }

  function showChoose(a, p) {
    kit.put('choose', [
      kit.title(say('chooseTitle')),
      el('p', { 'class': 'lead', text: say('chooseHelp') }),
      kit.reason(p)
    ].concat((p.methods || []).filter(known).map(function (method, i) { return way(a, p, method, i ? 'secondary' : 'primary'); }), [
      (p.methods || []).some(function (method) { return PHONE[method]; }) &&
        kit.button('nophone', say('noPhone'), 'quiet', function () { showNoPhone(a, p); }),
      kit.cancelButton(a)
    ]), 'title');
  }

  // --- "Remember this device" ---

  // Says so to the appliance at once, with a key that the part remember.js makes: {prepare(a)} resolves to it.
  kit.remember = function (a, p) {
    if (!p.remember || !kit.has('remember')) return null;
    var pending = false, box = el('input', {
      id: 'remember', type: 'checkbox', 'aria-describedby': 'remember-help', change: change,
      click: function (event) { if (pending) event.preventDefault(); }
    });
    box.checked = p.remember.on;
    function change() {
      var on = box.checked;
      pending = true;
      kit.alarm('');
      (on ? kit.load('remember').then(function (part) { return part.prepare(a); }) : Promise.resolve()).then(function (key) {
        return kit.send(a, '', on ? { action: 'remember', on: true, key: key } : { action: 'remember', on: false });
      }, function () {
        box.checked = false;
        kit.alarm(say('rememberFailed'));
      }).then(function () { pending = false; });
    }
    return el('div', { 'class': 'remember' }, [
      kit.choice(box, say('remember', { time: kit.time(p.remember.hours * 3600) })),
      el('p', { id: 'remember-help', 'class': 'advice', text: say('rememberHelp') })
    ]);
  };

  // --- Screens ---

  function showPush(a, p) {
    p.remainingMs = p.remainingMs || 30000;
    var device = p.device || say('phone'), number = p.number || '', total = Math.max(30000, p.remainingMs);
    var failed = p.delivery === 'failed' || p.delivery === 'no_address' || p.reason === 'push_failed';
    var round = 2 * Math.PI * 70, warned = false, news = kit.screen() !== 'push' || shown !== 'push' + number;
    kit.again('push', 'push' + number, p, function () {
      kit.put('push', [
        kit.title(say('pushTitle')),
        el('p', { 'class': 'lead', text: say(number ? 'pushNumber' : 'pushPlain', { device: device }) }),
        el('div', { id: 'ring', 'class': 'ring' }, [
          kit.drawing(160, [{ cx: 80, cy: 80, r: 70 }, { id: 'arc', cx: 80, cy: 80, r: 70, 'stroke-dasharray': round, transform: 'rotate(-90 80 80)' }]),
          number ? el('span', { id: 'number', dir: 'ltr', text: number }) :
            kit.drawing(24, [{ d: 'M8 2h8a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm3 17h2' }])
        ]),
        el('p', { id: 'left', 'class': 'left' }),
        failed && el('p', { id: 'note', 'class': 'note', text: say('notDelivered') }),
        kit.alertBox(p.reason && p.reason !== 'push_failed' && kit.knows(p.reason) ? say(p.reason) : '', p.supportCode),
        kit.hintLine(),
        kit.remember(a, p),
        others(a, p),
        kit.cancelButton(a)
      ], 'title');
    });
    function tick() {
      var ms = left(p), seconds = Math.ceil(ms / 1000);
      kit.byId('arc').setAttribute('stroke-dashoffset', round * (1 - ms / total));
      kit.byId('left').textContent = seconds ? say('left', { time: kit.time(seconds) }) : say('timeUp');
      if (seconds && seconds <= 10 && !warned) { // a busy browser may leave a second out
        warned = true;
        kit.speak(say('left', { time: kit.time(seconds) }));
      }
    }
    tick();
    kit.every(250, tick);
    kit.speak((news ? say(number ? 'spoken' : 'spokenPlain', {
      device: device, number: number.split('').join(' '), time: kit.time(Math.ceil(left(p) / 1000))
    }) : '') + (failed ? ' ' + say('notDelivered') : ''));
  }

  // Which code is asked for: the titles and the words of each.
  function asksFor(p) {
    var method = (p.methods || [])[0];
    if (method === 'sms') return { name: 'sms', help: smsWords(p) };
    if (method === 'external') return { name: 'external', help: p.message || say('externalHelp') };
    if (method === 'otp' || method === 'temporary') return { name: method, help: say(method + 'Help') };
    return { name: 'code', help: say('codeHelp') };
  }

  function showCode(a, p) {
    var asked = asksFor(p), external = asked.name === 'external', resend = asked.name === 'sms' && kit.resend(a, p);
    kit.again('code', asked.name + asked.help, p, function () {
      kit.put('code', [
        kit.title(say(asked.name + 'Title')),
        asked.name === 'sms' ? kit.smsLead(p) : el('p', { id: 'help', 'class': 'lead', text: asked.help }),
        kit.reason(external && p.reason === 'unavailable' ? { reason: 'external_unavailable', supportCode: p.supportCode } : p),
        kit.form(a, [
          // A passcode may have a PIN in it, and spaces of its own.
          external ? kit.textField('code', say('passcode'), { type: 'password', autocomplete: 'off', maxlength: 128, required: true }) :
            kit.codeField('code', say('code'), asked.name === 'temporary' ? { inputmode: 'text' } : {}),
          kit.remember(a, p)
        ], function () {
          var code = external ? kit.byId('code').value : kit.read('code', 'needCode');
          if (external && kit.problem('code', code ? '' : 'needPasscode')) kit.byId('code').focus();
          return code && { action: 'code', code: code };
        }),
        kit.hintLine()
      ].concat(resend ? resend.parts : [], [others(a, p), kit.cancelButton(a)]), 'code');
    });
    kit.byId('code').setAttribute('aria-describedby', 'help note code-problem');
    if (resend) kit.every(250, resend.tick);
    if (asked.name === 'sms') kit.smsSpeak(p);
  }

  function showDone() {
    kit.put('done', [
      el('div', { 'class': 'ring tick' }, [kit.drawing(160, [{ cx: 80, cy: 80, r: 70 }, { d: 'M48 84l22 22 44-50' }])]),
      kit.title(say('doneTitle')),
      el('p', { 'class': 'lead', text: say('doneHelp') })
    ], 'title');
    kit.speak(say('doneTitle'));
  }

  function showDenied(reason, supportCode, user) {
    kit.put('denied', [
      kit.title(say('deniedTitle')),
      kit.alertBox(say(kit.knows(reason) ? reason : 'internal'), supportCode),
      kit.button('again', say('again'), 'primary', function () { kit.signIn('', '', user); })
    ], 'again');
  }

  kit.sheet([
    '.code{font-size:1.5em!important;letter-spacing:.2em;font-variant-numeric:tabular-nums;text-align:center!important}',
    '.note{margin-top:1.25em;padding:.75em 1em;border-radius:.625em;border-inline-start:4px solid var(--warn);background:var(--warnbg);color:var(--warn)}',
    '.ring{position:relative;width:10em;height:10em;margin:1.75em auto .75em;display:grid;place-items:center}',
    '.ring>svg:first-child{position:absolute;inset:0;stroke-width:8;color:var(--faint)}',
    '.ring>svg+svg{width:4em;color:var(--go)}',
    '#arc{stroke:var(--go);transition:stroke-dashoffset .3s linear}',
    '#number{font-size:4em;line-height:1;font-weight:700;letter-spacing:.06em;margin-inline-end:-.06em;font-variant-numeric:tabular-nums}',
    '.tick>svg:first-child{color:var(--ok)}.tick{width:6em;height:6em}.tick~h1,.tick~.lead{text-align:center}',
    '.left{text-align:center;color:var(--soft);font-variant-numeric:tabular-nums}',
    '[hidden]{display:none!important}',
    '#soon{margin-top:1em}.call{margin-top:1.5em}.secondary+.secondary{margin-top:.75em}',
    '.ways{margin-top:1.5em;border-top:1px solid var(--faint);padding-top:1em}',
    'h2{margin:0 0 .25em;font-size:.875em;font-weight:600;color:var(--soft)}',
    '.way{display:block;width:100%;min-height:2.5em;padding:.5em 0;border:0;border-radius:.5em;background:none;color:var(--go);',
    'font-weight:600;text-align:start;cursor:pointer}.way:hover{background:var(--bg2);text-decoration:underline}',
    '.remember{margin-top:1.25em}form .remember{margin-top:0}',
    '.remember .choice{align-items:flex-start;margin:0;font-weight:600}.remember .choice input{margin-top:.125em}',
    '.advice{padding-inline-start:1.875em;font-size:.875em;color:var(--soft)}',
    '@media(prefers-reduced-motion:reduce){#arc{transition:none}}',
    '@media(forced-colors:active){#arc{stroke:Highlight}}'
  ].join(''));

  return { show: show };
});
