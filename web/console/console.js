// What the console does in the browser beside htmx: dialogs, copying, the search's keys, times in the reader's
// own zone. Pages can be read without any of it.
'use strict';

document.documentElement.classList.add('js');

const on = (event, selector, act) => document.addEventListener(event, e => {
  const target = e.target instanceof Element && e.target.closest(selector);
  if (target) act(target, e);
});

on('click', '[data-dialog]', button => document.getElementById(button.dataset.dialog)?.showModal());
on('click', 'dialog [data-close]', button => button.closest('dialog').close());
on('click', '.note [data-close]', button => button.closest('.note').remove());
document.addEventListener('click', e => {
  if (e.target instanceof HTMLDialogElement) e.target.close(); // beside the dialog: its content covers it otherwise
});

on('click', '[data-reveal]', button => {
  const field = document.getElementById(button.dataset.reveal);
  const shown = field.type === 'password';
  field.type = shown ? 'text' : 'password';
  button.setAttribute('aria-pressed', String(shown));
});

// The button says that it copied to who sees it, the status beside it to who hears it.
on('click', '[data-copy]', async button => {
  const text = button.dataset.copyText ?? button.closest('.code')?.querySelector('pre')?.textContent ?? '';
  const label = button.querySelector('span');
  const status = button.closest('.code')?.querySelector('[role=status]');
  let said = 'Copied';
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    said = 'Copy it by hand';
  }
  label.textContent = said;
  if (status) status.textContent = said;
  setTimeout(() => {
    label.textContent = 'Copy';
    if (status) status.textContent = '';
  }, 2500);
});

// A form is sent once, however often its button is pressed.
document.addEventListener('submit', e => {
  if (e.defaultPrevented || e.target.method !== 'post') return;
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = '1';
});
addEventListener('pageshow', () => document.querySelectorAll('[data-sent]').forEach(f => delete f.dataset.sent));

// "/" and Ctrl-K go to the search; arrows walk through what it found.
document.addEventListener('keydown', e => {
  const field = document.querySelector('[data-find]');
  if (!field) return;
  const typing = e.target instanceof Element && e.target.closest('input, textarea, select, [contenteditable]');
  if ((e.key === 'k' && (e.ctrlKey || e.metaKey)) || (e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey)) {
    e.preventDefault();
    if (field.offsetParent) { field.focus(); field.select(); } else location.assign('/search');
    return;
  }
  const box = field.closest('form');
  if (!box.contains(document.activeElement)) return;
  if (e.key === 'Escape') { field.value = ''; document.activeElement.blur(); document.getElementById('found').replaceChildren(); return; }
  if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return;
  const stops = [field, ...box.querySelectorAll('.found a')];
  const next = stops[stops.indexOf(document.activeElement) + (e.key === 'ArrowDown' ? 1 : -1)];
  if (next) { e.preventDefault(); next.focus(); }
});

// Times in the reader's own zone and language, on pointing at them.
const inOwnZone = root => root.querySelectorAll?.('time[datetime]').forEach(t => {
  const when = new Date(t.dateTime);
  if (!isNaN(when)) t.title = when.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
});
const ready = root => {
  inOwnZone(root);
  root.querySelectorAll?.('form[data-send]').forEach(f => f.requestSubmit());
};
document.addEventListener('htmx:afterSwap', e => ready(e.target));

// An answer that is no page (the appliance is gone, or has an error) leaves what there is as it is.
document.addEventListener('htmx:beforeSwap', e => {
  if (e.detail.xhr.status === 422) { e.detail.shouldSwap = true; e.detail.isError = false; }
});

// The setup code stands behind the "#" of the link, so that it is in no log on the way; from there it goes into the form.
const setup = document.querySelector('[data-setup] [name=code]');
if (setup && location.hash.length > 1) {
  setup.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, '', location.pathname);
}

// New lines of the log come in on top while the page follows it. After a gap in the connection the list is read anew.
const follow = document.querySelector('[data-follow]');
if (follow) {
  const [button, status] = follow.children;
  const list = () => document.querySelector('#log tbody');
  let source, reading = false, waiting = [];
  const put = html => {
    const body = list();
    if (!body) { read(); return; }
    const holder = document.createElement('template');
    holder.innerHTML = html;
    const row = holder.content.firstElementChild;
    if ([...body.rows].slice(0, 300).some(r => r.textContent === row.textContent)) return;
    body.prepend(row);
    while (body.rows.length > 500) body.lastElementChild.remove();
  };
  const read = async () => {
    if (reading) return;
    reading = true;
    await htmx.ajax('GET', location.pathname + location.search, { source: '#log', target: '#log', select: '#log', swap: 'outerHTML', headers: { 'X-Passive': '1' } });
    reading = false;
    if (list()) waiting.splice(0).forEach(put);
  };
  const stop = words => {
    source?.close();
    source = undefined;
    button.setAttribute('aria-pressed', 'false');
    status.textContent = words;
  };
  const start = () => {
    source?.close();
    source = new EventSource(follow.dataset.follow + location.search);
    source.addEventListener('ready', () => { status.textContent = 'New lines appear as they are written.'; read(); });
    source.addEventListener('line', e => { if (reading) waiting.push(e.data); else put(e.data); });
    source.addEventListener('error', () => {
      if (source?.readyState === EventSource.CLOSED) stop('Not followed any more. Refresh the page.');
      else status.textContent = 'Connecting …';
    });
    button.setAttribute('aria-pressed', 'true');
  };
  follow.hidden = false;
  button.addEventListener('click', () => { if (source) stop(''); else start(); });
  document.addEventListener('htmx:pushedIntoHistory', () => { if (source) start(); }); // other filters
}
ready(document);
