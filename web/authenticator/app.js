// The phone in the browser: wires store, protocol and views together.
import { AccountDialog } from './js/accountdialog.js';
import { AddDialog } from './js/add.js';
import { APP_VERSION, Api } from './js/api.js';
import { ChallengeSheet } from './js/challenge.js';
import { Clock } from './js/clock.js';
import { $, shown } from './js/dom.js';
import { EnrolDialog } from './js/enroldialog.js';
import { Enrolments } from './js/enrolment.js';
import { Home } from './js/home.js';
import { parseLink } from './js/link.js';
import { Push, notify } from './js/push.js';
import { SerialDialog } from './js/serial.js';
import { openStore } from './js/store.js';
import { Watcher } from './js/watcher.js';
import { text } from './js/words.js';

const CHANGED = 'accounts changed';

class App {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.api = new Api(clock);
    this.resuming = new Set();
    this.offline = false;
    this.unreadable = false;
    this.tabs = new BroadcastChannel('sallyport-authenticator');
    this.push = new Push(store, () => this.#pushed(), () => this.#tellPushAddress());
    const changed = () => this.#changed();
    this.accountDialog = new AccountDialog(store, this.api, changed);
    this.home = new Home(clock, (account) => this.accountDialog.open(account));
    this.sheet = new ChallengeSheet(this.api, () => this.#showWaiting());
    this.enrolDialog = new EnrolDialog(new Enrolments(store, this.api, () => this.push.address()), changed);
    this.addDialog = new AddDialog((link, linkText) => this.enrolDialog.begin(link, linkText), () => this.serialDialog.open());
    this.serialDialog = new SerialDialog(this.api, clock, (link, linkText, account) => this.enrolDialog.begin(link, linkText, account));
    this.watcher = new Watcher(this.api, this.#watching());
  }

  async start() {
    this.#wire();
    await this.refresh();
    this.#takeLink();
    await this.push.start();
    this.#offerNotifications();
    await this.#tellPushAddress();
    await this.#tellAppVersion();
  }

  async refresh() {
    const accounts = await this.store.accounts();
    this.watcher.setAccounts(accounts.filter((a) => a.state === 'ready'));
    await this.home.show(accounts);
    document.body.dataset.ready = 'true';
    return accounts;
  }

  async #changed() {
    this.tabs.postMessage(CHANGED);
    await this.refresh();
    this.#offerNotifications();
    await this.#tellPushAddress(); // an account may have been added before the address was there
  }

  #wire() {
    for (const id of ['add', 'empty-add']) $(id).addEventListener('click', () => this.addDialog.open());
    $('reopen').addEventListener('click', () => this.sheet.reopen());
    $('notify').addEventListener('click', async () => {
      await Notification.requestPermission();
      this.#offerNotifications();
    });
    addEventListener('hashchange', () => this.#takeLink());
    addEventListener('online', () => this.watcher.wake());
    addEventListener('offline', () => this.#setOffline(true));
    document.addEventListener('visibilitychange', () => {
      this.watcher.setVisible(!document.hidden);
      this.home.tick();
    });
    this.tabs.onmessage = () => this.refresh();
    this.watcher.setVisible(!document.hidden);
  }

  #watching() {
    return {
      challenge: (account, challenge) => {
        this.#setUnreadable(false);
        this.home.setRefused(account.deviceId, false);
        this.sheet.add(account, challenge);
      },
      gone: (account) => {
        this.#setUnreadable(false);
        this.sheet.gone(account);
      },
      unreadable: (account) => {
        this.sheet.gone(account);
        this.#setUnreadable(true);
      },
      refused: (account) => this.home.setRefused(account.deviceId, true),
      online: (online) => this.#setOffline(!online),
    };
  }

  // Takes the link out of the address bar before anything else: the secret in it shall not stay
  // in the history.
  async #takeLink() {
    const address = location.href;
    if (location.hash) history.replaceState(null, '', location.pathname);
    const link = parseLink(address);
    if (link) await this.enrolDialog.begin(link, address);
    else if (address.includes('#e=')) this.#notice(text.notALink);
    await this.#resumeWaiting(link);
  }

  async #resumeWaiting(except) {
    for (const account of await this.store.accounts()) {
      if (account.state !== 'waiting' || account.enrolmentId === except?.enrolmentId || this.resuming.has(account.deviceId)) continue;
      this.resuming.add(account.deviceId);
      this.enrolDialog.resume(account).finally(() => this.resuming.delete(account.deviceId));
    }
  }

  #pushed() {
    this.watcher.wake();
    if (document.hidden) notify();
  }

  async #tellPushAddress() {
    const push = this.push.address();
    if (!push.token) return;
    for (const account of await this.store.accounts()) {
      if (account.state !== 'ready' || account.pushToken === push.token) continue;
      try {
        await this.api.setPush(account, push);
        const kept = await this.store.account(account.deviceId); // it may have been removed meanwhile
        if (kept) await this.store.save({ ...kept, pushToken: push.token });
      } catch {
        // Told again at the next start; until then the page finds the challenge by asking.
      }
    }
  }

  // An app that was updated says so, in case the one before was too old for something.
  async #tellAppVersion() {
    for (const account of await this.store.accounts()) {
      if (account.state !== 'ready' || account.appVersion === APP_VERSION) continue;
      try {
        await this.api.setApp(account);
        const kept = await this.store.account(account.deviceId); // it may have been removed meanwhile
        if (kept) await this.store.save({ ...kept, appVersion: APP_VERSION });
      } catch {
        // Told again at the next start, and with every answer.
      }
    }
  }

  async #offerNotifications() {
    const accounts = await this.store.accounts();
    const open = 'Notification' in window && Notification.permission === 'default';
    $('notify-offer').hidden = !(open && this.push.available && accounts.length > 0);
  }

  #showWaiting() {
    const entry = this.sheet?.first();
    $('reopen').hidden = !entry || this.sheet.isOpen;
    $('reopen-user').textContent = entry ? `${shown(entry.details.user)}, ${shown(entry.details.application)}` : '';
  }

  #setOffline(offline) {
    this.offline = offline;
    this.#showNotice();
  }

  #setUnreadable(unreadable) {
    this.unreadable = unreadable;
    this.#showNotice();
  }

  #showNotice() {
    this.#notice(this.unreadable ? text.unreadable : this.offline ? text.offline : '');
  }

  #notice(words) {
    if ($('notice').textContent !== words) $('notice').textContent = words;
    $('notice').hidden = words === '';
  }
}

// A new version of the page waits until the page is out of view, so that nothing moves under a thumb.
async function installWorker() {
  if (!('serviceWorker' in navigator)) return;
  const registration = await navigator.serviceWorker.register('sw.js', { updateViaCache: 'none' });
  const hadOne = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (hadOne && document.hidden) location.reload();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) registration.waiting?.postMessage('take over');
    else registration.update().catch(() => {});
  });
}

async function start() {
  let store;
  try {
    if (!window.crypto?.subtle) throw new Error('no WebCrypto');
    store = await openStore();
  } catch {
    $('notice').textContent = text.unsupported;
    $('notice').hidden = false;
    $('add').hidden = true;
    return;
  }
  const clock = new Clock(await store.setting('clockOffset') ?? 0, (offset) => store.setSetting('clockOffset', offset));
  await new App(store, clock).start();
}

await Promise.all([start(), installWorker().catch(() => {})]);
