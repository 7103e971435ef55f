// Pages of older messages: for a reader who scrolls up, and to close a gap.

const NEAR = 400; // px from the top at which the next page is asked for
const GAP = 500; // messages; a longer one is left to whoever scrolls up

export class History {
  constructor(log, ask) {
    this.log = log;
    this.ask = ask; // (before) => boolean
    this.joined = false;
    this.loading = false;
    log.scroller.addEventListener("scroll", () => this.more(), { passive: true });
  }

  /** The connection went: the next history is that of joining again. */
  lost() {
    this.joined = false;
    this.loading = false;
  }

  received(messages, more) {
    const [first] = messages;
    if (!this.joined) this.rejoin(first);
    this.joined = true;
    this.loading = false;
    this.log.addHistory(messages, more);

    if (this.known !== undefined && first?.seq > this.known + 1 && more) this.request(first.seq);
    else this.arrived();
  }

  /** Ask for the next older page if the reader is near the top. */
  more() {
    if (!this.log.more || !this.joined || this.loading) return;
    if (this.log.scroller.scrollTop < NEAR) this.request(this.log.oldest);
  }

  /** The server could not answer just now. */
  failed() {
    if (this.loading) setTimeout(() => this.joined && this.request(this.before), 2000);
  }

  rejoin(first) {
    this.known = this.log.newest;
    if (first && this.known !== undefined && first.seq - this.known > GAP) {
      this.log.clear();
      this.known = undefined;
    }
  }

  arrived() {
    this.known = undefined;
    this.more();
  }

  request(before) {
    this.before = before;
    this.loading = this.ask(before);
  }
}
