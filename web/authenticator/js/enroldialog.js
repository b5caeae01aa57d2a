// The dialog that leads through an enrolment and says plainly how it ended.
import { $, openDialog, shown } from './dom.js';
import { ownAddress } from './link.js';
import { enrol as words, explainEnrolment } from './words.js';
import { EnrolmentEnded } from './enrolment.js';

const MAX_NAME = 64;

export class EnrolDialog {
  // onChange(): an account was added or taken away.
  constructor(enrolments, onChange) {
    this.enrolments = enrolments;
    this.onChange = onChange;
    this.dialog = $('enrol-dialog');
    this.action = null;
    $('enrol-close').addEventListener('click', () => this.dialog.close());
    $('enrol-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const action = this.action;
      this.action = null;
      action?.();
    });
    $('device-name').value = defaultName();
  }

  // Begins with a link that was opened, scanned or pasted; or, with the account, one that came because the serial number was typed.
  async begin(link, linkText, account = null) {
    this.turn = Symbol('link');
    if (link.deviceURL !== ownAddress()) {
      this.#show(words.elsewhere(new URL(link.deviceURL).host), { confirm: 'Open it there', action: () => location.assign(linkText) });
      return;
    }
    const known = await this.enrolments.known(link);
    if (known?.state === 'ready') this.#show(words.known(shown(known.user), shown(known.enterprise)), { close: 'Close' });
    else if (known) this.#run(async () => known);
    else this.#confirm(link, account);
  }

  // Goes on, without a dialog, with an enrolment that a reload interrupted.
  resume(account) {
    return this.enrolments.finish(account).then(this.onChange, this.onChange);
  }

  #confirm(link, account) {
    const start = () => {
      const name = cleanName($('device-name').value) || defaultName();
      this.#run(() => this.enrolments.prepare(link, name));
    };
    const what = account ? words.invited(shown(account.user), shown(account.enterprise)) : words.confirm;
    this.#show(what, { name: true, confirm: 'Add account', close: 'Cancel', action: start });
  }

  async #run(makeAccount) {
    const { turn } = this;
    // A link taken in meanwhile has the dialog; this one goes on without it.
    const show = (...what) => { if (this.turn === turn) this.#show(...what); };
    show(words.sending, { busy: true });
    let account;
    try {
      account = await makeAccount();
      const ready = await this.enrolments.finish(account, {
        onWaiting: () => {
          show(words.waiting, { busy: true, close: 'Close', quiet: true });
          this.onChange();
        },
      });
      show(words.accepted(shown(ready.user), shown(ready.enterprise)), { close: 'Done' });
    } catch (error) {
      if (this.turn === turn) this.#failed(error, account && (async () => account));
    }
    this.onChange();
  }

  #failed(error, again) {
    if (error instanceof EnrolmentEnded) {
      this.#show(words[error.reason], { close: 'Close' });
      return;
    }
    const lost = again && !['invalid', 'denied', 'not_found', 'expired', 'conflict'].includes(error.code);
    const retry = lost ? { confirm: 'Try again', action: () => this.#run(again) } : {};
    this.#show(words.failed(explainEnrolment(error)), { close: 'Close', ...retry });
  }

  // quiet: does not open the dialog again when the user closed it to wait without it.
  #show({ title, text }, { name = false, busy = false, confirm = '', close = '', action = null, quiet = false }) {
    $('enrol-title').textContent = title;
    $('enrol-text').textContent = text;
    $('enrol-name-row').hidden = !name;
    $('enrol-spinner').hidden = !busy;
    $('enrol-confirm').textContent = confirm;
    $('enrol-confirm').hidden = confirm === '';
    $('enrol-close').textContent = close || 'Cancel';
    $('enrol-close').hidden = close === '' && confirm === '';
    $('enrol-close').classList.toggle('primary', confirm === '');
    this.action = action;
    if (!quiet || this.dialog.open) openDialog(this.dialog, $('enrol-title'));
  }
}

// The characters that the protocol lets a name have, at most 64 of them.
function cleanName(value) {
  const printable = value.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, ' ').trim();
  return [...printable].slice(0, MAX_NAME).join('').trim();
}

function defaultName() {
  const agent = navigator.userAgent;
  const systems = [[/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android phone'], [/Mac OS X/, 'Mac'], [/Windows/, 'Windows computer'], [/CrOS/, 'Chromebook'], [/Linux/, 'Linux computer']];
  return systems.find(([pattern]) => pattern.test(agent))?.[1] ?? 'This browser';
}
