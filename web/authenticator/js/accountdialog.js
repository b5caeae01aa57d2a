// More about one account, and its removal.
import { $, closeOn, openDialog, shown, toast } from './dom.js';
import { isOffline } from './words.js';

export class AccountDialog {
  constructor(store, api, onChange) {
    this.store = store;
    this.api = api;
    this.onChange = onChange;
    this.dialog = $('account-dialog');
    closeOn(this.dialog, this.dialog.querySelector('.close'));
    $('remove').addEventListener('click', () => this.#panel(true));
    $('remove-back').addEventListener('click', () => this.#panel(false));
    $('remove-confirm').addEventListener('click', () => this.#remove());
  }

  open(account) {
    this.account = account;
    this.local = false;
    $('account-title').textContent = shown(account.enterprise) || 'New account';
    $('account-user').textContent = shown(account.user) || 'not known yet';
    $('account-name').textContent = shown(account.name);
    $('account-added').textContent = new Date(account.created).toLocaleDateString([], { dateStyle: 'long' });
    $('account-id').textContent = account.deviceId;
    this.#panel(false);
    openDialog(this.dialog, $('account-title'));
  }

  #panel(removing) {
    $('remove-panel').hidden = !removing;
    $('account-facts-panel').hidden = removing;
    $('remove-error').textContent = '';
    $('remove-confirm').textContent = 'Remove';
    if (removing) $('remove-title').focus();
    else if (this.dialog.open) $('account-title').focus();
  }

  // Tells the token service first, so that it sends no more requests here. When it cannot be
  // told, a second press removes the account from this device alone.
  async #remove() {
    $('remove-confirm').disabled = true;
    try {
      if (!this.local) await this.#tell();
      await this.store.remove(this.account.deviceId);
      this.dialog.close();
      toast('Account removed');
      this.onChange();
    } catch (error) {
      this.local = true;
      $('remove-error').textContent = isOffline(error)
        ? 'The service could not be told. You can remove the account from this device all the same; then tell your company.'
        : `${error.message} You can remove the account from this device all the same.`;
      $('remove-confirm').textContent = 'Remove all the same';
    } finally {
      $('remove-confirm').disabled = false;
    }
  }

  async #tell() {
    try {
      await this.api.forget(this.account);
    } catch (error) {
      if (error.status !== 401 && error.status !== 404) throw error; // it does not know the device: as wanted
    }
  }
}
