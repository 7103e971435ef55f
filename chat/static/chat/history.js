// Pages of messages, for a reader who scrolls, and what changed while away.

const NEAR = 1200; // px from either end at which the next page is asked for
const GAP = 500; // changes; after more of them the page begins anew
const RETRY = 2000; // ms
const TELL = 32; // changes after which the server hears that they are here
const PLACES = ["before", "after", "around"]; // of a page; its answer repeats them
const END = { type: "history", before: Number.MAX_SAFE_INTEGER };

export class History {
  constructor(log, send) {
    this.log = log;
    this.send = send; // (content) => boolean
    this.rev = undefined; // all that changed up to here is on the page
    this.told = undefined; // the rev that the server has heard of
    this.joined = false;
    this.asked = null; // the question that is not answered yet
    this.wanted = null; // the page that is asked for next
    log.scroller.addEventListener("scroll", () => this.further(), { passive: true });
  }

  /** The connection went: the next history is that of joining again. */
  lost() {
    if (this.asked === END || this.asked?.around) this.wanted = this.asked;
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
  received(frame) {
    const { asked } = this;
    // What was asked twice is answered twice.
    if (this.joined && !(asked && PLACES.some((place) => place in asked && asked[place] === frame[place]))) return;
    this.asked = null;
    if (this.joined) this.show(frame, asked);
    else this.join(frame);
    this.further();
  }

  join({ messages, more, rev }) {
    this.joined = true;
    if (this.rev !== undefined && rev > this.rev && rev - this.rev <= GAP) {
      this.tell();
      return this.ask({ type: "resume", after: this.rev });
    }
    if (rev < this.rev) this.log.forget();
    if (rev !== this.rev) this.begin(messages, more);
    this.rev = rev;
    this.tell();
  }

  /** Show the newest messages, or what is not read of them; but who reads older ones
   * goes on there. */
  begin(messages, more) {
    const { following, middle } = this.log;
    if (following || middle === undefined) {
      this.log.readBefore ??= this.log.readHere;
      this.log.showEnd(messages, more);
    } else {
      this.log.missed(messages.at(-1)?.seq);
      this.wanted ??= { type: "history", around: middle, stays: true };
    }
  }

  show({ messages, more, newer }, asked) {
    const { log } = this;
    if (asked === END) log.showEnd(messages, more);
    else if (asked?.around) {
      log.showAround(asked.around, messages, more, newer, !asked.stays);
      if (asked.isUnread) log.showUnread(asked.around);
    }
    else if (asked?.before) log.addOlder(messages, more);
    else if (asked?.after) log.addNewer(messages, newer);
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
    else this.further();
  }

  /** The room never had what is shown here: its database was restored, say. */
  anew(rev) {
    this.log.forget();
    this.rev = rev;
    this.told = undefined;
    this.ask(END);
  }

  /** A message came live; while the page catches up, that is not all there is. */
  saw(rev) {
    if (this.asked?.type === "resume") return;
    this.rev = rev;
    // No timer: browsers slow them down in hidden tabs, to one in a minute.
    if (this.rev - this.told >= TELL) this.tell();
  }

  /** Load the newest messages. */
  toEnd() {
    this.want(END);
  }

  /** Load the messages around the first that is not read. */
  toUnread(seq) {
    this.want({ type: "history", around: seq, stays: true, isUnread: true });
  }

  /** Go to a message, wherever it is. */
  goTo(seq) {
    if (!this.log.pointAt(seq)) this.want({ type: "history", around: seq });
  }

  /** Ask for a page, or, while something else is answered, then. */
  want(question) {
    this.wanted = question;
    this.further();
  }

  /** Ask for what is wanted, or for the next page if the reader is near its end. */
  further() {
    const { log } = this;
    if (!this.joined || this.asked) return;
    const { scrollTop, scrollHeight, clientHeight } = log.scroller;
    if (this.wanted) this.ask(this.wanted);
    else if (log.more && scrollTop < NEAR) this.ask({ type: "history", before: log.oldest });
    else if (log.newer && scrollHeight - scrollTop - clientHeight < NEAR) {
      this.ask({ type: "history", after: log.newest });
    }
    if (this.asked) this.wanted = null;
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
