// Being added by what is typed at a sign-in page: a serial number, made of this device's keys, and a token code.
import { $, closeOn, openDialog, setTimer, spaced } from './dom.js';
import { fields, fromBase64url, fromUtf8 } from './bytes.js';
import { makeBoxKey, openBox } from './hpke.js';
import { makeSeed, makeSigningKey, seal, serialNumber } from './keys.js';
import { ownAddress, parseLink } from './link.js';
import { STEP_MS, leftMs, tokenCode } from './tokencode.js';
import { explainSerial, text } from './words.js';

const WAIT_S = 20;
const RETRY_MS = 3_000;
const MAX_WRONG = 5; // then another serial number
const SHOWN_BEFORE = 2; // steps for which a code is good that is not shown any more
const VERDICT = 64;

export class SerialDialog {
  // onInvited(link, linkText, account): somebody typed both, and the code was right.
  constructor(api, clock, onInvited) {
    this.api = api;
    this.clock = clock;
    this.onInvited = onInvited;
    this.dialog = $('serial-dialog');
    closeOn(this.dialog, this.dialog.querySelector('.close'));
    this.dialog.addEventListener('close', () => this.#end());
    setInterval(() => this.#tick(), 1000);
  }

  async open() {
    this.#end();
    $('serial').textContent = '';
    $('serial-code').textContent = '';
    $('serial-problem').textContent = '';
    openDialog(this.dialog, $('serial-title'));
    const stop = new AbortController();
    this.stop = stop;
    while (this.stop === stop) {
      try {
        await this.#show(stop.signal);
      } catch (error) {
        if (this.stop !== stop) return;
        $('serial-problem').textContent = explainSerial(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #end() {
    this.stop?.abort();
    this.stop = null;
    const { app } = this;
    this.app = null;
    if (app) this.api.hideSerial(app).catch(() => {}); // it is forgotten by itself, too
  }

  // Shows one serial number until it is over: too many wrong codes, or too long without a network.
  async #show(signal) {
    const app = await this.#newApp();
    if (signal.aborted) return;
    await this.api.showSerial(app);
    if (signal.aborted) {
      this.api.hideSerial(app).catch(() => {});
      return;
    }
    this.app = app;
    $('serial').textContent = app.serial.replace(/(.{6})(?=.)/g, '$1-');
    await this.#tick();
    while (!signal.aborted && app.wrong < MAX_WRONG) {
      let found;
      try {
        found = await this.api.invitations(app, WAIT_S, signal);
        $('serial-problem').textContent = '';
      } catch (error) {
        if (signal.aborted) return;
        if (error.code === 'not_found' || error.code === 'denied') return;
        $('serial-problem').textContent = explainSerial(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      for (const one of found) await this.#look(app, one, signal);
    }
    if (!signal.aborted) {
      $('serial-problem').textContent = text.tooManyWrong;
      this.api.hideSerial(app).catch(() => {});
    }
  }

  // All of it is made anew each time, and none of it is kept.
  async #newApp() {
    const { signKey, jwk, deviceId } = await makeSigningKey();
    const box = await makeBoxKey();
    return {
      signKey, jwk, deviceId, box, deviceURL: ownAddress(), tenantId: 'unclaimed', wrong: 0,
      seed: await makeSeed(), serial: await serialNumber(deviceId, box.jwk),
    };
  }

  async #look(app, { id, tenantId, sealed }, signal) {
    let inside; let exporter; let link;
    try {
      const opened = await openBox(app.box, fromBase64url(sealed), 'sallyport/v1 serial invitation', fields(app.serial, tenantId, id));
      inside = JSON.parse(fromUtf8(opened.plain));
      ({ exporter } = opened);
      link = parseLink(inside.link);
      if (link?.tenantId !== tenantId || link.deviceURL !== app.deviceURL) throw new Error('not for this app');
    } catch {
      app.wrong += 1; // whoever sends such things does not get to do so for ever
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      return;
    }
    const right = await this.#holds(app, String(inside.code));
    if (!right) app.wrong += 1;
    const verdict = await seal(await exporter('sallyport/v1 serial verdict'), (right ? 'right' : 'wrong').padEnd(VERDICT), 'verdict', app.serial, id);
    try {
      await this.api.answerInvitation(app, id, verdict);
    } catch (error) {
      if (error.code === 'expired' || error.code === 'conflict') return; // too late: the sign-in page has said so
      throw error;
    }
    if (!right || signal.aborted) return;
    this.dialog.close();
    this.onInvited(link, inside.link, { user: inside.user, enterprise: inside.enterprise });
  }

  async #holds(app, code) {
    const now = this.clock.now();
    let found = false;
    for (let step = 0; step <= SHOWN_BEFORE; step += 1) {
      if (await tokenCode(app.seed, now - step * STEP_MS) === code) found = true;
    }
    return found;
  }

  async #tick() {
    const { app } = this;
    if (!app) return;
    const now = this.clock.now();
    const code = spaced(await tokenCode(app.seed, now));
    if ($('serial-code').textContent !== code) $('serial-code').textContent = code;
    const seconds = Math.ceil(leftMs(now) / 1000);
    setTimer($('serial-ring'), $('serial-seconds'), seconds / (STEP_MS / 1000), seconds);
  }
}
