// The device protocol on the wire (docs/protocol/device.md).
import { hash, open, prove, seal, sign } from './keys.js';
import { toBase64url } from './bytes.js';

export const APP_VERSION = '1.1';
const APP = { appVersion: APP_VERSION, capabilities: ['number_matching'] };
const AUTHORIZATION_S = 60;
const ANSWER_BLOCK = 1024; // what is sealed has one length, so that it does not tell approval from denial
const TIMEOUT_MS = 10_000;

// A refusal in the token service's words: code and message of the protocol, HTTP status.
export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? 'The service did not accept this.');
    this.status = status;
    this.code = body?.code ?? (status >= 500 ? 'unavailable' : 'invalid');
  }
}

export class Api {
  constructor(clock) {
    this.clock = clock;
  }

  // The registration is made once and kept, so that sending it again is the same registration.
  async registration(account, proofKey, push) {
    const { tenantId, enrolmentId, deviceId, name, jwk } = account;
    return {
      jwk, name, platform: 'web', appVersion: APP_VERSION, push, app: await this.#app(account),
      proof: await prove(proofKey, tenantId, enrolmentId, deviceId, name, 'web'),
    };
  }

  register(account, registration) {
    return this.#asDevice(account, 'POST', this.#enrolmentPath(account), { body: JSON.stringify(registration) });
  }

  enrolmentStatus(account, waitS, signal) {
    return this.#asDevice(account, 'GET', this.#enrolmentPath(account), { query: `?wait=${waitS}`, signal, waitS });
  }

  openEnrolment(account, sealed) {
    return open(account.detailsKey, sealed, 'account', account.deviceId);
  }

  // A device that belongs to nobody yet, and is found by its serial number.
  showSerial(app) {
    return this.#asDevice(app, 'PUT', this.#unclaimedPath(app), { body: JSON.stringify({ jwk: app.jwk, boxKey: app.box.jwk }) });
  }

  async invitations(app, waitS, signal) {
    const answer = await this.#asDevice(app, 'GET', this.#unclaimedPath(app), { query: `?wait=${waitS}`, signal, waitS });
    return Array.isArray(answer?.invitations) ? answer.invitations : [];
  }

  answerInvitation(app, id, sealed) {
    const path = `${this.#unclaimedPath(app)}/invitations/${encodeURIComponent(id)}`;
    return this.#asDevice(app, 'POST', path, { body: JSON.stringify({ sealed }) });
  }

  hideSerial(app) {
    return this.#asDevice(app, 'DELETE', this.#unclaimedPath(app), {});
  }

  async challenges(account, waitS, signal) {
    const answer = await this.#asDevice(account, 'GET', '/v1/challenges', { query: `?wait=${waitS}`, signal, waitS });
    return Array.isArray(answer?.challenges) ? answer.challenges : [];
  }

  openChallenge(account, { id, sealed }) {
    return open(account.detailsKey, sealed, 'challenge', id, account.deviceId);
  }

  // Makes the sealed, signed answer. Keep it: an answer sent again must be the same octets.
  async makeAnswer(account, challengeId, details, decision, number) {
    const claims = {
      iss: account.deviceId, sub: challengeId, iat: this.#seconds(),
      decision, number, user: details.user, application: details.application, ...APP,
    };
    const jws = await sign(account, 'sallyport-answer+jwt', claims);
    const padded = jws.padEnd(Math.ceil(jws.length / ANSWER_BLOCK) * ANSWER_BLOCK);
    return seal(account.detailsKey, padded, 'answer', challengeId, account.deviceId);
  }

  answer(account, challengeId, sealed) {
    const path = `/v1/challenges/${encodeURIComponent(challengeId)}/answer`;
    return this.#asDevice(account, 'POST', path, { body: JSON.stringify({ sealed }) });
  }

  setPush(account, push) {
    return this.#asDevice(account, 'PUT', '/v1/device/push', { body: JSON.stringify(push) });
  }

  // Says what this app is, for the appliance.
  async setApp(account) {
    return this.#asDevice(account, 'PUT', '/v1/device/app', { body: JSON.stringify({ sealed: await this.#app(account) }) });
  }

  async #app(account) {
    const jws = await sign(account, 'sallyport-app+jwt', { iss: account.deviceId, iat: this.#seconds(), ...APP });
    return seal(account.detailsKey, jws.padEnd(ANSWER_BLOCK), 'app', account.deviceId);
  }

  forget(account) {
    return this.#asDevice(account, 'DELETE', '/v1/device', {});
  }

  #enrolmentPath({ tenantId, enrolmentId }) {
    return `/v1/enrolments/${encodeURIComponent(tenantId)}/${encodeURIComponent(enrolmentId)}`;
  }

  #unclaimedPath({ serial }) {
    return `/v1/unclaimed/${serial}`;
  }

  #seconds() {
    return Math.floor(this.clock.now() / 1000);
  }

  // One request with the device's signature. After a 401 once more, with a new signature: the clock
  // was wrong and is right now; or the browser, whose connection broke, had by itself sent the same
  // request twice, of which the second is refused.
  async #asDevice(account, method, path, options) {
    const send = async () => this.#fetch(account, method, path + (options.query ?? ''), {
      ...options, authorization: await this.#authorize(account, method, path, options.body ?? ''),
    });
    try {
      return await send();
    } catch (error) {
      if (error.status === 401) return send();
      throw error;
    }
  }

  async #authorize(account, method, path, body) {
    const iat = this.#seconds();
    const jwt = await sign(account, 'sallyport-device+jwt', {
      iss: account.deviceId, tenant: account.tenantId, aud: account.deviceURL, iat, exp: iat + AUTHORIZATION_S,
      jti: toBase64url(crypto.getRandomValues(new Uint8Array(16))),
      htm: method, htu: path, bh: await hash(body),
    });
    return `Device ${jwt}`;
  }

  async #fetch(account, method, path, { body, authorization, signal, waitS = 0 }) {
    const headers = {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (authorization) headers.Authorization = authorization;
    const deadline = AbortSignal.timeout(TIMEOUT_MS + waitS * 1000);
    const response = await fetch(account.deviceURL + path, {
      method, headers, body, cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    this.clock.learn(response);
    if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
    return response.status === 204 ? null : response.json();
  }
}
