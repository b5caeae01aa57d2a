// The time as the token service has it. A phone whose clock is wrong still makes right token codes
// and valid requests once it has heard the right time.

const GRAIN_MS = 2_000; // a Date header has whole seconds, and was some time on the way

export class Clock {
  constructor(offset = 0, onChange = () => {}) {
    this.offset = offset;
    this.onChange = onChange;
  }

  now() {
    return Date.now() + this.offset;
  }

  // Learns from an answer's Date header. Says whether the clock was moved.
  learn(response) {
    const date = Date.parse(response.headers.get('Date') ?? '');
    if (Number.isNaN(date)) return false;
    const offset = date + 500 - Date.now();
    if (Math.abs(offset - this.offset) <= GRAIN_MS) return false;
    this.offset = Math.abs(offset) <= GRAIN_MS ? 0 : offset;
    this.onChange(this.offset);
    return true;
  }
}
