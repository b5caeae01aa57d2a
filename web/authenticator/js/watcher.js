// Asks the token service for challenges while the page is in view: one long poll for each account,
// at most SLOTS of them at once, since a browser opens six connections to a server and no more.
import { isOffline } from './words.js';

const SLOTS = 3;
const LONG_S = 25;
const SHORT_S = 3;
const FOLLOW_MS = 1_500; // how often to ask whether a challenge that is shown still stands
const BACKOFF_MS = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000];
const REFUSED_MS = 60_000;

export class Watcher {
  // on: {challenge(account, challenge), gone(account), unreadable(account), refused(account), online(bool)}
  constructor(api, on) {
    this.api = api;
    this.on = on;
    this.loops = new Map(); // device id → {account, stop, wake, pending}
    this.busy = 0;
    this.queue = [];
    this.visible = true;
  }

  setAccounts(accounts) {
    const wanted = new Map(accounts.map((a) => [a.deviceId, a]));
    for (const [id, loop] of this.loops) {
      if (!wanted.has(id)) this.#stop(loop);
    }
    for (const [id, account] of wanted) {
      if (!this.loops.has(id)) this.loops.set(id, { account, pending: null });
    }
    if (this.visible) this.#startAll();
  }

  // A page out of view asks nothing; when it comes back it asks at once, on new connections.
  setVisible(visible) {
    this.visible = visible;
    for (const loop of this.loops.values()) loop.stop?.abort();
    if (visible) this.#startAll();
  }

  // Something happened (a push, the network came back): ask now.
  wake() {
    for (const loop of this.loops.values()) loop.wake?.();
  }

  #stop(loop) {
    loop.stop?.abort();
    this.loops.delete(loop.account.deviceId);
  }

  #startAll() {
    for (const loop of this.loops.values()) {
      if (!loop.stop || loop.stop.signal.aborted) {
        loop.stop = new AbortController();
        this.#run(loop, loop.stop.signal);
      }
    }
  }

  async #run(loop, signal) {
    let failures = 0;
    while (!signal.aborted) {
      let pause = 0;
      try {
        pause = await this.#askOnce(loop, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        pause = this.#afterFailure(loop, error, failures++);
      }
      if (pause > 0 && !signal.aborted) await this.#pause(loop, pause, signal);
    }
  }

  async #askOnce(loop, signal) {
    await this.#takeSlot(signal);
    let list;
    try {
      list = await this.api.challenges(loop.account, this.#waitFor(loop), signal);
    } finally {
      this.#giveSlot();
    }
    if (signal.aborted) return 0;
    this.on.online(true);
    await this.#compare(loop, list[0]);
    return loop.pending ? FOLLOW_MS : 0;
  }

  #waitFor(loop) {
    if (loop.pending) return 0;
    return this.loops.size <= SLOTS ? LONG_S : SHORT_S;
  }

  async #compare(loop, found) {
    if (loop.pending?.id === found?.id) return;
    loop.pending = found ?? null;
    if (!found) {
      this.on.gone(loop.account);
      return;
    }
    const endsAt = performance.now() + Math.max(0, Math.min(Number(found.remainingMs) || 0, 300_000));
    try {
      const details = await this.api.openChallenge(loop.account, found);
      this.on.challenge(loop.account, { id: found.id, details, endsAt });
    } catch {
      this.on.unreadable(loop.account);
    }
  }

  #afterFailure(loop, error, failures) {
    if (error.status === 401 || error.status === 404) {
      this.on.refused(loop.account);
      return REFUSED_MS;
    }
    if (isOffline(error)) this.on.online(false);
    return BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2);
  }

  #pause(loop, ms, signal) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        loop.wake = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
      loop.wake = end;
    });
  }

  async #takeSlot(signal) {
    while (this.busy >= SLOTS && !signal.aborted) await new Promise((resolve) => this.queue.push(resolve));
    this.busy += 1;
  }

  #giveSlot() {
    this.busy -= 1;
    this.queue.shift()?.();
  }
}
