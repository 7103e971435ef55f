// Who writes just now, and telling that one does.

const TELL = 3000; // ms between two signs
const SHOWN = 5000; // ms that one is shown
const NAMED = 3; // names, and then only how many

export class Typing {
  constructor(line, tell) {
    this.line = line;
    this.tell = tell; // () => boolean
    this.told = -TELL; // ms
    this.writers = new Map(); // timers, by name
  }

  /** One writes here. */
  writes() {
    const now = performance.now();
    if (now - this.told >= TELL && this.tell()) this.told = now;
  }

  /** What was written is sent: the next sign is of something new. */
  rest() {
    this.told = -TELL;
  }

  /** Somebody else writes. */
  saw(user) {
    clearTimeout(this.writers.get(user));
    this.writers.set(user, setTimeout(() => this.forget(user), SHOWN));
    this.show();
  }

  /** Somebody has said it, or writes no more. */
  forget(user) {
    clearTimeout(this.writers.get(user));
    if (this.writers.delete(user)) this.show();
  }

  forgetAll() {
    for (const user of [...this.writers.keys()]) this.forget(user);
  }

  show() {
    this.line.textContent = words([...this.writers.keys()]);
  }
}

function words(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return interpolate(gettext("%s is typing…"), names);
  if (names.length > NAMED) return interpolate(gettext("%s people are typing…"), [names.length]);
  return interpolate(gettext("%s and %s are typing…"), [names.slice(0, -1).join(", "), names.at(-1)]);
}
