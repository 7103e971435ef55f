// Pages of older messages, for a reader who scrolls up, and what changed while away.

const NEAR = 400; // px from the top at which the next page is asked for
const GAP = 500; // changes; after more of them the page begins anew
const RETRY = 2000; // ms
const TELL = 32; // changes after which the server hears that they are here

export class History {
  constructor(log, send) {
    this.log = log;
    this.send = send; // (content) => boolean
    this.rev = undefined; // all that changed up to here is on the page
    this.told = undefined; // the rev that the server has heard of
    this.joined = false;
    this.asked = null; // the question that is not answered yet
    log.scroller.addEventListener("scroll", () => this.more(), { passive: true });
  }

  /** The connection went: the next history is that of joining again. */
  lost() {
    this.joined = false;
    this.asked = null;
    this.told = undefined;
  }

  /** Tell how much is here; a server that hears nothing of it lets the page go. */
  tell() {
    if (this.rev === this.told) return;
    if (this.send({ type: "seen", rev: this.rev })) this.told = this.rev;
  }

  /** Messages that were there before; with a `rev` if it is the answer to joining. */
  received({ messages, more, rev }) {
    const joining = !this.joined;
    this.joined = true;
    this.asked = null;
    if (!joining) {
      this.log.addHistory(messages, more);
      return this.more();
    }
    if (this.rev !== undefined && rev > this.rev && rev - this.rev <= GAP) {
      this.tell();
      return this.ask({ type: "resume", after: this.rev });
    }
    if (rev !== this.rev && this.rev !== undefined) this.log.clear();
    this.log.addHistory(messages, more);
    this.rev = rev;
    this.tell();
    this.more();
  }

  /** What changed while the page was away, or the start of it. */
  resumed({ messages, more, rev }) {
    const { asked } = this;
    this.asked = null;
    if (rev < asked?.after) return this.anew(rev);
    this.log.addChanges(messages);
    this.rev = Math.max(this.rev, rev);
    this.tell();
    if (more) this.ask({ type: "resume", after: this.rev });
  }

  /** The room never had what is shown here: its database was restored, say. */
  anew(rev) {
    this.log.clear();
    this.rev = rev;
    this.told = undefined;
    this.ask({ type: "history", before: Number.MAX_SAFE_INTEGER });
  }

  /** A message came live; while the page catches up, that is not all there is. */
  saw(rev) {
    if (this.asked?.type === "resume") return;
    this.rev = rev;
    // No timer: browsers slow them down in hidden tabs, to one in a minute.
    if (this.rev - this.told >= TELL) this.tell();
  }

  /** Ask for the next older page if the reader is near the top. */
  more() {
    if (!this.log.more || !this.joined || this.asked) return;
    if (this.log.scroller.scrollTop < NEAR) this.ask({ type: "history", before: this.log.oldest });
  }

  /** The server could not answer just now. */
  failed() {
    const { asked } = this;
    if (asked) setTimeout(() => this.asked === asked && this.ask(asked), RETRY);
  }

  ask(question) {
    this.asked = this.send(question) ? question : null;
  }
}
