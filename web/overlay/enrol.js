/*!
 * Sallyport login overlay: setting up a second factor after the password, step by step.
 */
document.currentScript.sallyport({}, function (kit) {
  'use strict';

  var say = kit.say, el = kit.el;

  var STEPS = { start: start, app: app, phone: phone, phone_code: phoneCode, passkey: passkey, otp: otp, finished: finished };

  function show(a, p) {
    var step = STEPS[p.enrol && p.enrol.step];
    p.at = p.at || Date.now();
    if (step) step(a, p, p.enrol);
    else kit.fail(a, kit.failure('unknown'));
  }

  // Puts a step up, with how long is left for it, and the ways out that every step has.
  function put(a, p, name, children, focus, tick) {
    var e = p.enrol, timed = p.remainingMs > 0 && e.step !== 'finished', warned = false;
    kit.again('enrol', e.step + (p.to || ''), p, function () {
      kit.put('enrol', [kit.title(say(name)), timed && el('p', { id: 'left', 'class': 'deadline' })].concat(children, [
        kit.hintLine(),
        e.step !== 'start' && e.step !== 'finished' && kit.button('back', say('otherKind'), 'secondary', kit.act(a, 'back', { action: 'back' })),
        e.mayDelay && kit.button('delay', say('notNow'), 'secondary', kit.act(a, 'delay', { action: 'delay' })),
        e.step !== 'finished' && kit.cancelButton(a)
      ]), focus || 'title');
    });
    function clocks() {
      var seconds = Math.ceil(kit.left(p) / 1000), text;
      if (tick) tick();
      if (!timed) return;
      // By the minute while there are some, by ten seconds then: a deadline is to be known, not watched.
      seconds = seconds > 90 ? Math.ceil(seconds / 60) * 60 : Math.ceil(seconds / 10) * 10;
      text = seconds ? say('enrolLeft', { time: kit.time(seconds) }) : say('timeUp');
      if (kit.byId('left').textContent !== text) kit.byId('left').textContent = text;
      if (seconds && seconds <= 60 && !warned) {
        warned = true;
        kit.speak(text);
      }
    }
    clocks();
    kit.every(250, clocks);
  }

  function lead(text) { return el('p', { id: 'help', 'class': 'lead', text: text }); }

  function start(a, p, e) {
    put(a, p, 'enrolTitle', [lead(say('enrolHelp')), kit.reason(p)].concat((e.kinds || []).filter(function (kind) {
      return kit.knows('enrol_' + kind);
    }).map(function (kind, i) {
      return kit.button('kind-' + kind, say('enrol_' + kind), i ? 'secondary' : 'primary', kit.act(a, 'kind-' + kind, { action: 'enrol', kind: kind }));
    })));
  }

  // The link is drawn here, so that what it holds stays in this page.
  function app(a, p, e) {
    var safe = /^https?:/.test(e.link || ''), picture = el('div', { id: 'qr', 'class': 'qr', role: 'img', 'aria-label': say('appPicture') });
    put(a, p, 'appTitle', [
      kit.reason(p),
      e.link && lead(say('appScan')),
      e.link && picture,
      safe && el('p', { 'class': 'lead' }, [el('a', { id: 'link', href: e.link, target: '_blank', rel: 'noopener noreferrer', text: say('appHere') })]),
      (e.bySerial || !e.link) && el('details', { id: 'byserial', open: !!p.reason || !e.link }, [
        el('summary', { text: say('appSerial') }),
        el('p', { 'class': 'lead', text: say('appSerialHelp') }),
        kit.form(a, [serialField(), kit.codeField('code', say('code'))], function () {
          var serial = kit.read('serial', 'needSerial'), code = serial && kit.read('code', 'needCode');
          return code && { action: 'enrol', serial: serial, code: code };
        })
      ])
    ]);
    if (e.link) kit.load('qr').then(function (qr) { draw(picture, qr(e.link)); }, function () {
      if (!picture.parentNode) return;
      picture.parentNode.removeChild(picture);
      kit.alarm(say('part'));
    });
  }

  function serialField() {
    return kit.textField('serial', say('serial'), { type: 'text', autocomplete: 'off', autocapitalize: 'characters', spellcheck: 'false', maxlength: 64, dir: 'ltr', required: true });
  }

  // Dark on light in every colour scheme, with the quiet zone of four modules around it: cameras need both.
  function draw(where, rows) {
    var d = '';
    rows.forEach(function (row, y) { row.forEach(function (dark, x) { if (dark) d += 'M' + (x + 4) + ' ' + (y + 4) + 'h1v1h-1z'; }); });
    where.textContent = '';
    where.appendChild(kit.drawing(rows.length + 8, [{ d: d }]));
  }

  function phone(a, p) {
    put(a, p, 'phoneTitle', [
      lead(say('phoneHelp')),
      kit.reason(p),
      kit.form(a, [
        kit.textField('mobile', say('number'), { type: 'tel', autocomplete: 'tel', maxlength: 32, dir: 'ltr', required: true })
      ], function () {
        var field = kit.byId('mobile'), number = field.value.replace(/[\s().\/-]/g, '').replace(/^00/, '+');
        if (!kit.problem('mobile', /^\+[1-9]\d{6,14}$/.test(number) ? '' : 'needNumber')) return { action: 'enrol', number: number };
        field.focus();
      })
    ], 'mobile');
  }

  function phoneCode(a, p) {
    var resend = kit.resend(a, p);
    put(a, p, 'smsTitle', [
      kit.smsLead(p),
      kit.reason(p),
      kit.form(a, [kit.codeField('code', say('code'))], function () {
        var code = kit.read('code', 'needCode');
        return code && { action: 'enrol', code: code };
      })
    ].concat(resend ? resend.parts : []), 'code', resend && resend.tick);
    kit.smsSpeak(p);
  }

  function passkey(a, p, e) {
    kit.load('passkey').then(function (part) {
      if (a.over) return;
      put(a, p, 'passkeyMake', [
        lead(say('passkeyMakeHelp')),
        kit.reason(p),
        part.button(a, 'make', say('passkeyMake'), function () { return part.create(e.options); }, function (response) {
          return { action: 'enrol', response: response };
        })
      ], 'make');
    }, function (error) { kit.fail(a, error); });
  }

  function otp(a, p) {
    put(a, p, 'otpSetTitle', [
      lead(say('otpSetHelp')),
      kit.reason(p),
      kit.form(a, [
        serialField(),
        kit.codeField('code', say('otpFirst'), { autocomplete: 'off' }),
        kit.codeField('next', say('otpNext'), { autocomplete: 'off' })
      ], function () {
        var serial = kit.read('serial', 'needSerial'), first = serial && kit.read('code', 'needCode'), next = first && kit.read('next', 'needCode');
        if (!next) return;
        if (first !== next) return { action: 'enrol', serial: serial, codes: [first, next] };
        kit.problem('next', 'needNext');
        kit.byId('next').focus();
      })
    ], 'serial');
  }

  function finished(a, p, e) {
    put(a, p, 'finishedTitle', [
      lead(e.name ? say('finishedHelp', { name: e.name }) : say('finishedPlain')),
      kit.reason(p),
      kit.button('continue', say('go'), 'primary', kit.act(a, 'continue', { action: 'continue' }))
    ], 'continue');
  }

  kit.sheet([
    '.alert:not(:empty)+.lead{margin-top:1.25em}',
    '.deadline{margin-top:.5em;font-size:.875em;color:var(--soft);font-variant-numeric:tabular-nums}',
    '.qr{width:15em;max-width:100%;aspect-ratio:1;margin:1.25em auto;background:#fff;border-radius:.625em;overflow:hidden;forced-color-adjust:none}',
    '.qr svg{display:block;width:100%;height:100%;fill:#000;stroke:none;shape-rendering:crispEdges}',
    'a{color:var(--go)}#link{display:inline-block;padding:.25em 0;font-weight:600}',
    'details{margin-top:1.25em}summary{min-height:2em;padding:.25em 0;font-weight:600;color:var(--go);cursor:pointer}',
    'summary:hover{text-decoration:underline}'
  ].join(''));

  return { show: show };
});
