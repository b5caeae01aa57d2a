// Small things about the document that every view needs.
import { text } from './words.js';

export const $ = (id) => document.getElementById(id);

// Shows words for a moment, and tells a screen reader.
export function toast(words) {
  const box = $('toast');
  box.textContent = words;
  box.classList.add('on');
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => {
    box.classList.remove('on');
    box.textContent = '';
  }, 2500);
}

// Opens a dialog with the focus on its heading, so that a screen reader begins there. Closing it
// gives the focus back to where it was.
export function openDialog(dialog, heading) {
  if (!dialog.open) dialog.showModal();
  heading.focus();
}

export function closeOn(dialog, ...buttons) {
  for (const button of buttons) button.addEventListener('click', () => dialog.close());
}

// Sets a ring and the number in it; share goes from 1 to 0.
export function setTimer(ring, label, share, seconds) {
  ring.style.strokeDashoffset = String(100 * (1 - Math.max(0, Math.min(1, share))));
  label.textContent = String(seconds);
}

export async function copy(value) {
  try {
    await navigator.clipboard.writeText(value);
    toast(text.copied);
  } catch {
    toast(text.notCopied);
  }
}

export const spaced = (code) => `${code.slice(0, 3)} ${code.slice(3)}`;

// Bounds and cleans what came from outside before it is shown: control characters and marks that
// turn the direction of writing could make "alice" look like somebody else.
export const shown = (value, max = 128) => String(value ?? '')
  .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ').trim().slice(0, max);
