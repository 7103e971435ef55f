// How far one has read in this room; told to the server, and so to one's other tabs.

const PAUSE = 1500; // ms between two words about it

export class Reading {
  constructor(tell) {
    this.tell = tell; // (seq) => boolean
    this.seq = 0; // up to which all is read
    this.told = 0;
  }

  /** All messages up to a number are read. */
  read(seq) {
    this.seq = Math.max(this.seq, seq ?? 0);
    if (!this.timer) this.send();
  }

  /** The connection went: who knows what of it was stored. */
  lost() {
    this.told = 0;
  }

  /** The page is about to go: who knows whether it comes to the next word. */
  hurry() {
    clearTimeout(this.timer);
    this.send();
  }

  /** The connection is back: what it did not take is told now. */
  send() {
    this.timer = undefined;
    if (this.seq <= this.told || !this.tell(this.seq)) return;
    this.told = this.seq;
    this.timer = setTimeout(() => this.send(), PAUSE);
  }
}
