// Adding an account: make the key, keep it, register it, wait for the appliance's word.
import { APP_VERSION } from './api.js';
import { deriveKeys, makeSigningKey } from './keys.js';
import { keepForGood } from './store.js';
import { isOffline } from './words.js';

const WAIT_S = 20;
const RETRY_MS = 3_000;

// Why an enrolment ended without an account: 'refused' by the appliance, 'foreign' when somebody
// other than the maker of the link answered, or 'removed' by the user meanwhile.
export class EnrolmentEnded extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export class Enrolments {
  constructor(store, api, pushAddress) {
    this.store = store;
    this.api = api;
    this.pushAddress = pushAddress;
  }

  // The account that this device made from link before, if any.
  async known(link) {
    return (await this.store.accounts()).find((a) => a.tenantId === link.tenantId && a.enrolmentId === link.enrolmentId);
  }

  // Makes the keys and keeps them, so that a lost answer or a reload makes no second device.
  async prepare(link, name) {
    const { signKey, jwk, deviceId } = await makeSigningKey();
    const { proofKey, detailsKey, seedKey } = await deriveKeys(link.secret, deviceId);
    const account = {
      deviceId, jwk, signKey, detailsKey, seedKey, name,
      deviceURL: link.deviceURL, tenantId: link.tenantId, enrolmentId: link.enrolmentId,
      state: 'waiting', created: Date.now(),
    };
    const push = this.pushAddress();
    account.registration = await this.api.registration(account, proofKey, push);
    account.pushToken = push.token;
    account.appVersion = APP_VERSION;
    await this.store.save(account);
    await keepForGood();
    return account;
  }

  // Registers account and waits for the appliance. Returns the account, ready. An enrolment that
  // can no longer succeed is forgotten before the error is thrown; a network that fails is not
  // such an end.
  async finish(account, { onWaiting = () => {}, signal } = {}) {
    try {
      await this.#register(account);
      onWaiting();
      return await this.#outcome(account, signal);
    } catch (error) {
      if (this.#isFinal(error)) await this.store.remove(account.deviceId);
      throw error;
    }
  }

  async #register(account) {
    try {
      await this.api.register(account, account.registration);
    } catch (error) {
      // Registered before, and settled since: the status tells.
      if (!['conflict', 'not_found', 'expired'].includes(error.code)) throw error;
      const status = await this.api.enrolmentStatus(account, 0).catch(() => null);
      if (status?.status !== 'accepted' || !await this.#opens(account, status.sealed)) throw error;
    }
  }

  #opens(account, sealed) {
    return this.api.openEnrolment(account, sealed).then(() => true, () => false);
  }

  async #outcome(account, signal) {
    for (;;) {
      const answer = await this.#ask(account, signal);
      if (!await this.store.account(account.deviceId)) throw new EnrolmentEnded('removed');
      if (answer?.status === 'refused') throw new EnrolmentEnded('refused');
      if (answer?.status === 'accepted') return this.#accept(account, answer.sealed);
    }
  }

  async #ask(account, signal) {
    try {
      return await this.api.enrolmentStatus(account, WAIT_S, signal);
    } catch (error) {
      if (signal?.aborted || !(isOffline(error) || error.code === 'unavailable' || error.code === 'limited')) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      return null;
    }
  }

  async #accept(account, sealed) {
    let inside;
    try {
      inside = await this.api.openEnrolment(account, sealed);
    } catch {
      throw new EnrolmentEnded('foreign');
    }
    account.user = String(inside.user);
    account.enterprise = String(inside.enterprise);
    account.state = 'ready';
    delete account.registration;
    await this.store.save(account);
    return account;
  }

  #isFinal(error) {
    return error instanceof EnrolmentEnded || ['invalid', 'denied', 'not_found', 'expired', 'conflict'].includes(error.code);
  }
}
