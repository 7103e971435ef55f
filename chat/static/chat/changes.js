// What somebody wants of messages that are in the room: another text, or none.

import { button } from "./button.js";

const RETRY = 2000; // ms
const TEMPORARY = new Set(["rate", "busy", "not-stored", "unavailable"]);
const SAVING = gettext("saving…");
const OFFLINE = gettext("waits for the connection");

/**
 * Asks until it is answered, also after a reload: asking twice changes once.
 *
 * `tell(seq, text, ...buttons)` says on a message what becomes of the change.
 */
export class Changes {
  constructor({ kept, send, tell, edit }) {
    this.kept = kept;
    this.send = send; // (content) => boolean
    this.tell = tell;
    this.edit = edit; // (seq, text) => take a text up again
    this.wanted = new Map(kept.load().map((content) => [content.seq, content]));
    this.underWay = new Map(); // what is sent and not answered, one for each message
    this.connected = false;
  }

  /** Want something of a message; what was wanted before of the same is given up. */
  ask(content) {
    this.wanted.set(content.seq, content);
    this.keep();
    this.attempt(content);
  }

  /** The connection came or went. */
  connect(connected) {
    this.connected = connected;
    this.underWay.clear();
    for (const content of this.wanted.values()) this.attempt(content);
  }

  attempt(content) {
    const { seq } = content;
    if (!this.underWay.has(seq) && this.connected && this.send(content)) this.underWay.set(seq, content);
    this.tell(seq, this.underWay.has(seq) ? SAVING : OFFLINE);
  }

  done({ seq }) {
    if (this.isOutdated(seq)) return;
    this.settle(seq);
    this.tell(seq, "");
  }

  /** An answer came: whether it is to a change that another one has replaced, which is sent then. */
  isOutdated(seq) {
    const sent = this.underWay.get(seq);
    const wanted = this.wanted.get(seq);
    this.underWay.delete(seq);
    if (!sent || !wanted || sent === wanted) return false;
    this.attempt(wanted);
    return true;
  }

  /** The server refused a change; true if it was one of these. */
  refused({ seq, code, detail, retry_after: retryAfter }) {
    const content = this.wanted.get(seq);
    if (!content) return false;
    if (this.isOutdated(seq)) return true;
    if (TEMPORARY.has(code)) {
      const again = () => this.wanted.get(seq) === content && this.attempt(content);
      setTimeout(again, retryAfter ? 1000 * retryAfter : RETRY);
      return true;
    }
    this.settle(seq);
    const ways = [button(gettext("Put it away"), () => this.tell(seq, ""))];
    if (content.message) ways.unshift(button(gettext("Edit again"), () => this.edit(seq, content.message)));
    this.tell(seq, interpolate(gettext("Not changed: %s"), [detail]), ...ways);
    return true;
  }

  settle(seq) {
    this.wanted.delete(seq);
    this.keep();
  }

  keep() {
    this.kept.save([...this.wanted.values()]);
  }
}
