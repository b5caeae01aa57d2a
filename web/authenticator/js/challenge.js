// The sheet that asks whether the user is signing in, and says what became of the answer.
import { $, openDialog, setTimer, shown } from './dom.js';
import { explainAnswer, isOffline, results, text } from './words.js';

const SYMBOLS = {
  good: 'M12 2a10 10 0 1 0 .1 0ZM7.5 12.5l3 3 6-7',
  danger: 'M12 2a10 10 0 1 0 .1 0ZM8 8l8 8M16 8l-8 8',
  warn: 'M12 2a10 10 0 1 0 .1 0ZM12 7v5.5l3.5 2',
};
const ENDING_S = 10;
const TRIES = 3;
const RETRY_MS = 1_000;
const MAX_DIGITS = 8;
const OVER = new Set(['expired', 'not_found', 'conflict']);

export class ChallengeSheet {
  constructor(api, onChange) {
    this.api = api;
    this.onChange = onChange; // the list of waiting challenges changed
    this.waiting = new Map(); // device id → {account, id, details, endsAt, totalMs, answers}
    this.current = null;
    this.busy = false;
    this.#wire();
    setInterval(() => this.#tick(), 500);
  }

  // A challenge arrived, in the place of an older one of the same account.
  add(account, { id, details, endsAt }) {
    const entry = { account, id, details, endsAt, totalMs: endsAt - performance.now(), answers: new Map() };
    const replaces = this.current?.account.deviceId === account.deviceId && !this.busy;
    this.waiting.set(account.deviceId, entry);
    if (replaces || !this.current?.id) this.#ask(entry);
    else this.onChange();
  }

  // The token service has no challenge for the account any more.
  gone(account) {
    const entry = this.waiting.get(account.deviceId);
    if (!entry || (entry === this.current && this.busy)) return;
    this.waiting.delete(account.deviceId);
    this.onChange();
    if (entry !== this.current) return;
    if (entry.answers.size > 0) this.#result(results.unsure);
    else this.#result(this.#isOver(entry) ? results.expired : results.ended);
  }

  // The first challenge that waits for an answer, for the button on the home screen.
  first() {
    return [...this.waiting.values()].find((entry) => !this.#isOver(entry));
  }

  get isOpen() {
    return $('challenge').open;
  }

  reopen() {
    const entry = this.first();
    if (entry) this.#ask(entry);
  }

  #wire() {
    $('challenge').addEventListener('close', () => { this.current = null; this.onChange(); });
    $('challenge').addEventListener('cancel', (event) => { if (this.busy) event.preventDefault(); });
    $('later').addEventListener('click', () => $('challenge').close());
    $('number').addEventListener('input', () => this.#numberTyped());
    $('answer-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (!$('approve').disabled) this.#answer('approve', 'answer-error');
    });
    $('deny').addEventListener('click', () => this.#answer('deny', 'answer-error'));
    $('not-me').addEventListener('click', () => this.#panel('not-me-panel', 'not-me-title'));
    $('not-me-back').addEventListener('click', () => this.#panel('ask-panel', 'challenge-title'));
    $('not-me-confirm').addEventListener('click', () => this.#answer('not_me', 'not-me-error'));
    $('result-done').addEventListener('click', () => this.#next());
  }

  #ask(entry) {
    this.current = entry;
    const { details } = entry;
    $('challenge-enterprise').textContent = shown(entry.account.enterprise);
    $('challenge-user').textContent = shown(details.user);
    $('challenge-application').textContent = shown(details.application);
    $('challenge-place').textContent = shown(details.place) || 'unknown';
    $('challenge-time').textContent = when(details.time);
    this.#prepareNumber(digitsOf(details));
    $('answer-error').textContent = $('not-me-error').textContent = $('challenge-alert').textContent = '';
    this.#panel('ask-panel', 'challenge-title');
    this.#tick();
    if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(200); // a browser complains of it before a touch
    if (digitsOf(details) > 0 && !matchMedia('(pointer: coarse)').matches) $('number').focus();
  }

  #prepareNumber(digits) {
    const field = $('number');
    $('number-row').hidden = digits === 0;
    field.value = '';
    field.maxLength = Math.max(digits, 1);
    field.style.setProperty('--digits', String(Math.max(digits, 1)));
    $('approve').disabled = digits > 0;
  }

  #numberTyped() {
    const field = $('number');
    const digits = field.value.replace(/\D/g, '');
    if (digits !== field.value) field.value = digits;
    $('approve').disabled = digits.length !== digitsOf(this.current.details);
    $('answer-error').textContent = '';
  }

  #panel(id, heading) {
    for (const panel of ['ask-panel', 'not-me-panel', 'result-panel']) $(panel).hidden = panel !== id;
    $('challenge').setAttribute('aria-labelledby', heading);
    openDialog($('challenge'), $(heading));
    $('challenge').scrollTop = 0;
    this.onChange();
  }

  async #answer(decision, errorId) {
    const entry = this.current;
    if (this.busy || !entry) return;
    this.#setBusy(true);
    $(errorId).textContent = '';
    try {
      await this.#send(entry, await this.#sealedAnswer(entry, decision));
      this.#over(entry, results[decision]);
    } catch (error) {
      if (OVER.has(error.code)) this.#over(entry, error.code === 'expired' ? results.expired : results.failed(explainAnswer(error)));
      else $(errorId).textContent = explainAnswer(error);
      if (!isOffline(error) && !error.code) throw error;
    } finally {
      this.#setBusy(false);
    }
  }

  // Sends, and sends again when the network swallowed it: what is final should arrive.
  async #send(entry, sealed) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.api.answer(entry.account, entry.id, sealed);
      } catch (error) {
        const passing = isOffline(error) || error.code === 'unavailable';
        if (!passing || tries === TRIES || this.#isOver(entry)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  // The same answer sent twice is the same octets: the first may have arrived.
  async #sealedAnswer(entry, decision) {
    const number = decision === 'approve' && digitsOf(entry.details) > 0 ? $('number').value : '';
    const key = `${decision} ${number}`;
    if (!entry.answers.has(key)) {
      entry.answers.set(key, await this.api.makeAnswer(entry.account, entry.id, entry.details, decision, number));
    }
    return entry.answers.get(key);
  }

  #over(entry, result) {
    if (this.waiting.get(entry.account.deviceId) === entry) this.waiting.delete(entry.account.deviceId);
    this.onChange();
    if (this.current === entry) this.#result(result);
  }

  #result({ symbol, title, text: words }) {
    this.current = { account: {} }; // without id: a result is not a question: nothing counts down, nothing can be answered
    $('result-symbol').setAttribute('class', `symbol ${symbol}`);
    $('result-symbol').firstElementChild.setAttribute('d', SYMBOLS[symbol]);
    $('result-title').textContent = title;
    $('result-text').textContent = words;
    this.#panel('result-panel', 'result-title');
  }

  #next() {
    const entry = this.first();
    if (entry) this.#ask(entry);
    else $('challenge').close();
  }

  #setBusy(busy) {
    this.busy = busy;
    for (const id of ['deny', 'not-me', 'not-me-confirm', 'not-me-back', 'later']) $(id).disabled = busy;
    const complete = !this.current?.details || $('number').value.length === digitsOf(this.current.details);
    $('approve').disabled = busy || !complete;
  }

  #isOver(entry) {
    return performance.now() >= entry.endsAt;
  }

  #tick() {
    for (const entry of this.waiting.values()) {
      if (this.#isOver(entry) && !(this.busy && entry === this.current)) this.#over(entry, results.expired);
    }
    const entry = this.current;
    if (!entry?.id) return;
    const leftMs = Math.max(0, entry.endsAt - performance.now());
    const seconds = Math.ceil(leftMs / 1000);
    setTimer($('challenge-ring'), $('challenge-seconds'), leftMs / entry.totalMs, seconds);
    $('challenge-ring').closest('.timer').classList.toggle('ending', seconds <= ENDING_S);
    if (seconds <= ENDING_S && !$('challenge-alert').textContent) $('challenge-alert').textContent = text.ending(ENDING_S);
  }
}

const digitsOf = ({ digits }) => (Number.isInteger(digits) && digits > 0 ? Math.min(digits, MAX_DIGITS) : 0);

function when(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return 'unknown';
  const today = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString([], { timeStyle: 'short' });
  return today ? `${clock}, today` : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}
