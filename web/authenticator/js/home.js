// The list of accounts with their token codes.
import { STEP_MS, leftMs, tokenCode } from './tokencode.js';
import { $, copy, setTimer, shown, spaced } from './dom.js';
import { text } from './words.js';

const ENDING_S = 5;

export class Home {
  // onOpen(account): the user wants to see more of an account.
  constructor(clock, onOpen) {
    this.clock = clock;
    this.onOpen = onOpen;
    this.cards = new Map();
    this.step = -1;
    setInterval(() => this.tick(), 1000);
  }

  show(accounts) {
    $('empty').hidden = accounts.length > 0;
    const keep = new Set(accounts.map((a) => a.deviceId));
    for (const [id, card] of this.cards) {
      if (keep.has(id)) continue;
      card.item.remove();
      this.cards.delete(id);
    }
    for (const account of accounts) this.#card(account);
    this.step = -1;
    return this.tick();
  }

  // Marks an account as no longer accepted by its company, or takes the mark away.
  setRefused(deviceId, refused) {
    const card = this.cards.get(deviceId);
    if (card && card.account.state === 'ready') this.#state(card, refused ? text.unknown : '');
  }

  async tick() {
    if (document.hidden) return;
    const now = this.clock.now();
    const step = Math.floor(now / STEP_MS);
    const seconds = Math.ceil(leftMs(now) / 1000);
    for (const card of this.cards.values()) {
      if (card.account.state !== 'ready') continue;
      if (step !== this.step || !card.value) await this.#code(card, now);
      setTimer(card.ring, card.seconds, seconds / (STEP_MS / 1000), seconds);
      card.code.classList.toggle('ending', seconds <= ENDING_S);
    }
    this.step = step;
  }

  async #code(card, now) {
    card.value = await tokenCode(card.account.seedKey, now);
    card.digits.textContent = spaced(card.value);
    card.code.setAttribute('aria-label', `Token code ${[...card.value].join(' ')}. Copy.`);
  }

  #card(account) {
    const card = this.cards.get(account.deviceId) ?? this.#newCard(account);
    card.account = account;
    const ready = account.state === 'ready';
    const user = ready ? shown(account.user) : shown(account.name);
    const enterprise = ready ? shown(account.enterprise) : 'New account';
    card.item.querySelector('.enterprise').textContent = enterprise;
    card.item.querySelector('.user').textContent = user;
    card.more.setAttribute('aria-label', `More about ${user}, ${enterprise}`);
    card.code.hidden = !ready;
    this.#state(card, ready ? '' : text.waiting);
  }

  #newCard(account) {
    const item = $('account-template').content.firstElementChild.cloneNode(true);
    const find = (selector) => item.querySelector(selector);
    const card = {
      item, account, value: '', code: find('.code'), digits: find('.digits'), more: find('.more'),
      ring: find('.left'), seconds: find('.seconds'), state: find('.state'),
    };
    item.dataset.device = account.deviceId;
    card.code.addEventListener('click', () => copy(card.value));
    card.more.addEventListener('click', () => this.onOpen(card.account));
    $('accounts').append(item);
    this.cards.set(account.deviceId, card);
    return card;
  }

  #state(card, words) {
    card.state.textContent = words;
    card.state.hidden = words === '';
  }
}
