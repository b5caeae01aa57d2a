// Taking in a link: with the camera where the browser reads QR codes, or pasted.
import { $, closeOn, openDialog } from './dom.js';
import { parseLink } from './link.js';
import { text } from './words.js';

const LOOK_MS = 200;

export class AddDialog {
  // onLink(link, text): a link was taken in. onSerial(): there is none, and a serial number is to be shown.
  constructor(onLink, onSerial) {
    this.onLink = onLink;
    this.dialog = $('add-dialog');
    closeOn(this.dialog, this.dialog.querySelector('.close'));
    this.dialog.addEventListener('close', () => this.#stopCamera());
    $('scan').addEventListener('click', () => this.#scan());
    $('paste').addEventListener('click', () => this.#paste());
    $('show-serial').addEventListener('click', () => {
      this.dialog.close();
      onSerial();
    });
    $('paste-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#take($('link').value);
    });
  }

  async open() {
    $('link').value = '';
    this.#say('');
    this.detector = await qrDetector();
    $('scan').hidden = this.detector === null;
    $('no-scan').hidden = this.detector !== null;
    $('paste').hidden = !navigator.clipboard?.readText;
    openDialog(this.dialog, $('add-title'));
  }

  #say(words) {
    $('add-error').textContent = words;
    $('link').setAttribute('aria-invalid', String(words !== ''));
  }

  #take(value) {
    const link = parseLink(value);
    if (!link) {
      this.#say(text.notALink);
      $('link').focus();
      return false;
    }
    $('link').value = ''; // the secret in it is not left lying about
    this.dialog.close();
    this.onLink(link, value.trim());
    return true;
  }

  async #paste() {
    try {
      this.#take(await navigator.clipboard.readText());
    } catch {
      this.#say(text.pasteRefused);
      $('link').focus();
    }
  }

  async #scan() {
    this.#say('');
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch {
      this.#say(text.cameraRefused);
      return;
    }
    if (!this.dialog.open) {
      this.#stopCamera();
      return;
    }
    $('scanner').hidden = false;
    $('scan').hidden = true;
    $('video').srcObject = this.stream;
    await $('video').play();
    this.#look();
  }

  async #look() {
    while (this.stream) {
      const codes = await this.detector.detect($('video')).catch(() => []);
      const found = codes.find(({ rawValue }) => parseLink(rawValue));
      if (this.stream && found && this.#take(found.rawValue)) return;
      if (codes.length > 0 && !found) this.#say(text.notALink);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #stopCamera() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    $('video').srcObject = null;
    $('scanner').hidden = true;
    $('link').value = '';
  }
}

async function qrDetector() {
  try {
    if (!navigator.mediaDevices?.getUserMedia) return null;
    const formats = await window.BarcodeDetector.getSupportedFormats();
    return formats.includes('qr_code') ? new window.BarcodeDetector({ formats: ['qr_code'] }) : null;
  } catch {
    return null;
  }
}
