/*!
 * Sallyport login overlay: what comes after the password, in the order it is shown. f5.js loads it.
 */
document.currentScript.sallyport({}, function (kit) {
  'use strict';

  var say = kit.say, el = kit.el;

  function show(a, p) {
    if (p.kind === 'push') showPush(a, p);
    else if (p.kind === 'code') showCode(a, p);
    else if (p.kind === 'done') showDone();
    else if (p.kind === 'denied') showDenied(p.reason, p.supportCode, a.user);
    else kit.fail(a, kit.failure('unknown'));
  }

  function offers(p, method) { return (p.methods || []).indexOf(method) >= 0; }

  function showPush(a, p) {
    var device = p.device || say('phone'), number = p.number || '', total = p.remainingMs || 30000, from = Date.now();
    var failed = p.delivery === 'failed' || p.delivery === 'no_address' || p.reason === 'push_failed';
    var round = 2 * Math.PI * 70, warned = false;
    kit.put('push', [
      kit.title(say('pushTitle')),
      el('p', { 'class': 'lead', text: say(number ? 'pushNumber' : 'pushPlain', { device: device }) }),
      el('div', { id: 'ring', 'class': 'ring' }, [
        kit.drawing(160, [{ cx: 80, cy: 80, r: 70 }, { id: 'arc', cx: 80, cy: 80, r: 70, 'stroke-dasharray': round, transform: 'rotate(-90 80 80)' }]),
        number ? el('span', { id: 'number', text: number }) :
          kit.drawing(24, [{ d: 'M8 2h8a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm3 17h2' }])
      ]),
      el('p', { id: 'left', 'class': 'left' }),
      failed && el('p', { id: 'note', 'class': 'note', text: say('notDelivered') }),
      kit.alertBox(p.reason && p.reason !== 'push_failed' && kit.knows(p.reason) ? say(p.reason) : '', p.supportCode),
      el('p', { id: 'hint', 'class': 'hint', role: 'status' }),
      offers(p, 'code') && kit.button('usecode', say('useCode'), 'secondary', kit.act(a, 'usecode', { action: 'use_code' })),
      kit.cancelButton(a)
    ], 'title');
    function tick() {
      var ms = Math.max(0, total - (Date.now() - from)), seconds = Math.ceil(ms / 1000);
      kit.byId('arc').setAttribute('stroke-dashoffset', round * (1 - ms / total));
      kit.byId('left').textContent = !seconds ? say('timeUp') : seconds === 1 ? say('leftOne') : say('left', { seconds: seconds });
      if (seconds === 10 && !warned) {
        warned = true;
        kit.speak(say('left', { seconds: 10 }));
      }
    }
    tick();
    kit.every(250, tick);
    kit.speak(say(number ? 'spoken' : 'spokenPlain', {
      device: device, number: number.split('').join(' '), seconds: Math.round(total / 1000)
    }) + (failed ? ' ' + say('notDelivered') : ''));
  }

  function showCode(a, p) {
    kit.put('code', [
      kit.title(say('codeTitle')),
      el('p', { id: 'help', 'class': 'lead', text: say(offers(p, 'temporary') ? 'temporaryHelp' : 'codeHelp') }),
      kit.alertBox(p.reason && kit.knows(p.reason) ? say(p.reason) : '', p.supportCode),
      el('form', { method: 'post', novalidate: true, submit: function (event) {
        event.preventDefault();
        var code = kit.byId('code').value.replace(/\s/g, '');
        if (kit.problem('code', code ? '' : 'needCode')) kit.byId('code').focus();
        else kit.act(a, 'submit', { action: 'code', code: code })();
      } }, [
        kit.textField('code', say('code'), {
          'class': 'code', type: 'text', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 64,
          autocapitalize: 'characters', spellcheck: 'false', required: true
        }),
        el('button', { id: 'submit', type: 'submit', 'class': 'primary', text: say('go') })
      ]),
      el('p', { id: 'hint', 'class': 'hint', role: 'status' }),
      offers(p, 'push') && kit.button('usepush', say('usePush'), 'secondary', kit.act(a, 'usepush', { action: 'push' })),
      kit.cancelButton(a)
    ], 'code');
    kit.byId('code').setAttribute('aria-describedby', 'help code-problem');
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
    '@media(prefers-reduced-motion:reduce){#arc{transition:none}}',
    '@media(forced-colors:active){#arc{stroke:Highlight}}'
  ].join(''));

  return { show: show };
});
