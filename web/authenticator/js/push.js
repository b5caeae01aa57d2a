// Being told of a challenge. In a demo a push simulator takes the place of the phone maker's
// service: it gives an address (the push token) and a stream of what is sent to it. Where there is
// none the page asks the token service itself while it is in view.

const CONFIG = 'config.json';
const RETRY_MS = 5_000;
const NONE = { provider: 'none', token: '' };

export class Push {
  constructor(store, onPush, onAddress) {
    this.store = store;
    this.onPush = onPush;
    this.onAddress = onAddress;
    this.current = NONE;
    this.config = { pushURL: '', provider: 'none' };
  }

  get available() {
    return this.config.pushURL !== '';
  }

  address() {
    return this.current;
  }

  async start() {
    try {
      const response = await fetch(CONFIG, { cache: 'no-store', credentials: 'omit' });
      if (response.ok) this.config = { pushURL: '', provider: 'none', ...await response.json() };
    } catch {
      // Without a network there is no push either; the page asks when it is back.
    }
    if (!this.available) return;
    const kept = await this.store.setting('push');
    if (kept?.url === this.config.pushURL) this.current = { provider: kept.provider, token: kept.token };
    else await this.#register();
    this.#listen();
  }

  async #register() {
    try {
      const response = await fetch(`${this.config.pushURL}/register`, { method: 'POST', credentials: 'omit' });
      const { token } = await response.json();
      if (!response.ok || typeof token !== 'string') return;
      this.current = { provider: this.config.provider, token };
      await this.store.setSetting('push', { url: this.config.pushURL, ...this.current });
      this.onAddress(this.current);
    } catch {
      // Tried again from #listen.
    }
  }

  #listen() {
    if (!this.current.token) {
      setTimeout(() => this.#renew(), RETRY_MS);
      return;
    }
    const stream = new EventSource(`${this.config.pushURL}/listen?token=${encodeURIComponent(this.current.token)}`);
    stream.onmessage = () => this.onPush();
    stream.onerror = () => {
      // A stream that broke comes back by itself; one that was refused does not: the simulator
      // has forgotten the address.
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => this.#renew(), RETRY_MS);
    };
  }

  async #renew() {
    await this.#register();
    this.#listen();
  }
}

// Shows the notification, with nothing of user or company on the lock screen.
export async function notify() {
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  const registration = await navigator.serviceWorker?.getRegistration();
  await registration?.showNotification('Sign-in request', {
    body: 'Open the app to answer.', tag: 'challenge', renotify: true, requireInteraction: true, icon: 'icon-192.png',
  });
}
