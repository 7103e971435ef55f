// Tells the server that somebody sits here, for as long as they do something.

const PAUSE = 60_000; // ms between two words about it
// Not "scroll": the page scrolls by itself when something is said.
const SIGNS = ["pointerdown", "keydown", "wheel", "touchmove"];

export class Activity {
  constructor(tell) {
    this.tell = tell; // () => boolean
    this.told = -Infinity; // ms
    for (const sign of SIGNS) addEventListener(sign, () => this.show(), { passive: true, capture: true });
    addEventListener("pointermove", (event) => this.moved(event), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => document.hidden || this.show());
  }

  /** Somebody does something. */
  show() {
    const now = Date.now();
    if (now - this.told >= PAUSE && this.tell()) this.told = now;
  }

  /** The pointer is somewhere else; or only what is under it. */
  moved({ screenX, screenY }) {
    const place = `${screenX} ${screenY}`;
    if (this.place !== undefined && this.place !== place) this.show();
    this.place = place;
  }
}
