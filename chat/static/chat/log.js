// The messages of a room, in the order of their numbers whatever order they come in.

import { focusOn } from "./focus.js";
import { head, messageElement, separator, wayElement } from "./message.js";
import { day } from "./times.js";

const BLOCK = 5 * 60 * 1000; // ms within which messages of one author form a block
const KEPT = 300; // messages on the page; those far from what is read are let go
const HEARD = 200; // changes beyond the window that are remembered
const EDGE = 48; // px from the end that count as being there

/**
 * A window on the messages of a room: all from `oldest` to `newest`, and no others.
 *
 * There may be older ones on the server (`more`), and newer ones (`newer`): then what is
 * said live is not shown but counted, until the reader comes back to the end.
 */
export class Log {
  /**
   * `ways(message)`: kind, name and action of what `user` can do with a message. `toEnd()`
   * loads the newest messages, `toUnread(seq)` those around the first that is not read;
   * `onRead(seq)` hears up to where all is read, `onEnd()` that the button has led there.
   */
  constructor(scroller, user, { isDirect, ways, toEnd, toUnread, onRead, onEnd }) {
    this.scroller = scroller;
    this.user = user;
    this.isDirect = isDirect; // between two users
    this.ways = ways;
    this.toEnd = toEnd;
    this.toUnread = toUnread;
    this.onRead = onRead;
    this.list = scroller.querySelector("#messages");
    this.start = scroller.querySelector("#log-start");
    this.button = document.querySelector("#to-newest");
    this.messages = []; // by seq
    this.heard = []; // changes beyond the window; pages on their way may be older
    this.latest = 0; // the highest number that was heard of
    this.unread = 0;
    this.unreadFrom = undefined; // the first message that was not read
    this.readBefore = undefined; // up to where all was read when the page opens
    this.readHere = undefined; // up to where all was read on this page
    this.more = false;
    this.newer = false;
    this.button.addEventListener("click", () => {
      this.toNewest();
      onEnd();
    });
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.follow()).observe(scroller);
    this.following = true;
    this.height = scroller.clientHeight;
  }

  get oldest() {
    return this.messages[0]?.seq;
  }

  get newest() {
    return this.messages.at(-1)?.seq;
  }

  /** Show the newest messages, in place of any others. */
  showEnd(messages, more) {
    if (more && messages[0].seq > this.readBefore + 1) return this.leaveOut(messages);
    this.renew();
    for (const message of messages) this.insert(message);
    this.catchUp();
    this.tellMore(more);
    this.stick();
    if (!this.beginUnread()) this.read();
  }

  /** The page opens: begin with what is not read, unless all of that is in view. */
  beginUnread() {
    const read = this.readBefore;
    this.readBefore = undefined;
    const unread = this.messages.filter(({ seq, user }) => seq > read && user !== this.user);
    if (!unread.length) return false;
    this.divide(unread[0].seq);
    if (this.divider.offsetTop >= this.scroller.scrollTop) return false;
    this.unread = unread.length;
    this.toDivider();
    return true;
  }

  /** The page opens, and what is not read begins before the newest messages. */
  leaveOut(messages) {
    const read = this.readBefore;
    this.readBefore = undefined;
    this.latest = messages.at(-1).seq;
    this.unread = this.latest - read;
    this.newer = true;
    this.following = false;
    this.toUnread(read + 1);
  }

  /** Show messages around the first that is not read, and begin there. */
  showUnread(seq) {
    const first = this.messages.find((message) => message.seq >= seq && message.user !== this.user);
    if (!first) return;
    this.divide(first.seq);
    this.toDivider();
  }

  get divider() {
    return this.find(this.unreadFrom).lines.at(-1);
  }

  toDivider() {
    this.scroller.scrollTop = this.divider.offsetTop - EDGE;
    this.atEnd();
    this.tellUnread();
  }

  /** Show messages before the oldest, keeping in place what is being read. */
  addOlder(messages, more) {
    this.keepingPlace(() => {
      for (const message of messages) this.insert(message);
      this.catchUp();
      this.tellMore(more);
    });
    this.letGo("pop");
  }

  /** Show messages after the newest. */
  addNewer(messages, newer) {
    this.newer = newer;
    for (const message of messages) this.insert(message);
    this.catchUp();
    this.keepingPlace(() => this.letGo("shift"));
    this.tellUnread();
  }

  /** Show messages around one, in place of any others; and point at it, or only show it. */
  showAround(seq, messages, more, newer, isJump) {
    this.renew();
    this.following = false;
    this.newer = newer;
    for (const message of messages) this.insert(message);
    this.catchUp();
    this.tellMore(more);
    if (isJump) this.pointAt(seq);
    else this.find(seq)?.element.scrollIntoView({ block: "center" });
    this.tellUnread();
  }

  /** The number of the message in the middle of what is seen. */
  get middle() {
    const { scrollTop, clientHeight } = this.scroller;
    const middle = scrollTop + clientHeight / 2;
    return this.messages.find(({ element }) => element.offsetTop + element.offsetHeight > middle)?.seq;
  }

  /** Point at a message, for eyes and keyboard; false if it is not here. */
  pointAt(seq) {
    const element = this.find(seq)?.element;
    if (!element) return false;
    element.scrollIntoView({ block: "center" });
    focusOn(element);
    this.atEnd();
    return true;
  }

  /** Show what changed, as far as it is within the window. */
  addChanges(messages) {
    const here = ({ seq }) => (!this.more || seq >= this.oldest) && (!this.newer || seq <= this.newest);
    for (const message of messages) {
      if (here(message)) this.add(message);
      else this.hear(message);
    }
    this.trim();
    this.follow();
    this.read();
    this.tellUnread();
  }

  /** Show a message that was just said. */
  addLive(message, own) {
    if (this.newer) this.hear(message, own);
    else this.append(message, own);
    this.tellUnread();
  }

  /** Remember what lies beyond the window: the page that comes may be older. */
  hear(message, own = false) {
    if (!own && this.newer && message.seq > this.latest && message.user !== this.user) this.count(message);
    this.latest = Math.max(this.latest, message.seq);
    this.heard.push(message);
    if (this.heard.length > HEARD) this.heard.shift();
  }

  /** A page has come: what was heard meanwhile of its messages is newer than it. */
  catchUp() {
    const { newest = 0 } = this;
    const isHere = ({ seq }) => (seq > newest ? !this.newer : this.find(seq) !== undefined);
    const here = this.heard.filter(isHere);
    this.heard = this.heard.filter((message) => !here.includes(message));
    for (const message of here) this.insert(message);
  }

  append(message, own) {
    const element = this.add(message);
    if (!element) return;
    element.classList.add("arrives");
    if (own) this.following = true;
    this.trim();
    this.follow();
    this.read();
  }

  /** Put a message in its place, and count it if nobody sees it there. */
  add(message) {
    const isUnseen = message.user !== this.user && (document.hidden || !this.following);
    if (isUnseen && !this.find(message.seq)) this.count(message);
    return this.insert(message);
  }

  /** Count a message that nobody has seen here. */
  count({ seq }) {
    if (this.unread === 0) this.divide(seq);
    this.unread += 1;
  }

  /** Messages up to a number were said while nothing was heard. */
  missed(seq = 0) {
    if (seq <= this.latest) return;
    if (this.unread === 0) this.divide(this.latest + 1);
    this.unread += seq - this.latest;
    this.latest = seq;
  }

  /** What is not read begins with this message. */
  divide(seq) {
    const index = this.messages.findIndex((message) => message.seq === this.unreadFrom);
    this.unreadFrom = seq;
    this.arrange(index);
    this.arrange(this.messages.findIndex((message) => message.seq === seq));
  }

  /** Make room for a page that may be older than what came live since it was asked for. */
  renew() {
    const live = this.newer ? [] : this.messages.slice(-HEARD / 4);
    this.clear();
    for (const message of live) this.hear(message, true);
  }

  /** Forget everything that was said: the room never had it. */
  forget() {
    this.clear();
    this.heard = [];
    this.latest = 0;
    this.readHere = undefined;
  }

  /** Show nothing. */
  clear() {
    this.keepFocus(this.list);
    this.list.replaceChildren();
    this.messages = [];
    this.newer = false;
    this.following = true;
  }

  /** Scroll to the end; if it is not here, it is loaded. */
  toNewest() {
    if (this.newer) return this.toEnd();
    this.stick();
    this.read();
  }

  /** Keep the end in view, if it was. */
  follow() {
    if (this.following) this.stick();
  }

  stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.following = !this.newer;
  }

  /** Do something above what is being read, which stays where it is. */
  keepingPlace(change) {
    const { scrollHeight, scrollTop } = this.scroller;
    change();
    if (this.following) this.stick();
    else this.scroller.scrollTop = scrollTop + this.scroller.scrollHeight - scrollHeight;
  }

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.following = !this.newer && scrollHeight - scrollTop - clientHeight < EDGE;
    return this.following;
  }

  /** Whether the end is more than a page away. */
  get isFar() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop > 2 * clientHeight;
  }

  /** Follow the newest message or not, as the reader scrolls. */
  scrolled() {
    // Opening the notice or growing the field scrolls as well; nobody meant it.
    const { clientHeight } = this.scroller;
    const meant = clientHeight === this.height;
    this.height = clientHeight;
    if (!meant) return;
    if (this.atEnd()) this.read();
    this.tellUnread();
  }

  /** The reader sees the end: everything is read. */
  read() {
    if (document.hidden || !this.following) return;
    this.unread = 0;
    this.readHere = this.newest;
    this.tellUnread();
    this.onRead(this.newest);
  }

  tellUnread() {
    const { unread } = this;
    this.button.hidden = this.following || (unread === 0 && !this.newer && !this.isFar);
    const count = interpolate(ngettext("%s new message", "%s new messages", unread), [unread]);
    this.button.textContent = `${unread ? count : gettext("To the newest messages")} ↓`;
    document.title = document.title.replace(/^\(\d+\) |^/, unread ? `(${unread}) ` : "");
  }

  /** Say why there are no messages yet. */
  tellAbsent(connecting) {
    this.start.textContent = connecting ? gettext("Loading messages…") : gettext("Not connected.");
  }

  tellMore(more) {
    this.more = more;
    if (more) this.start.textContent = gettext("Loading older messages…");
    else if (this.messages.length && this.isDirect) this.start.textContent = gettext("This is where your conversation begins.");
    else if (this.messages.length) this.start.textContent = gettext("This is where the room begins.");
    else this.start.textContent = gettext("Nothing said yet. Write the first message below.");
  }

  /** Put a message in its place; undefined if it is there already. */
  insert(message) {
    let index = this.messages.length;
    while (index > 0 && this.messages[index - 1].seq > message.seq) index -= 1;
    const known = this.messages[index - 1];
    if (known?.seq === message.seq) {
      if (message.rev > known.rev) this.replace(index - 1, message);
      return undefined;
    }

    this.latest = Math.max(this.latest, message.seq);
    const shown = { ...message, date: new Date(message.sent_at) };
    shown.element = this.elementOf(shown);
    const next = this.messages[index];
    if (next) (next.lines?.[0] ?? next.element).before(shown.element);
    else this.list.append(shown.element);
    this.messages.splice(index, 0, shown);
    this.arrange(index);
    this.arrange(index + 1);
    if (this.messages.length === 1) this.tellMore(this.more);
    return shown.element;
  }

  /** Show the last change of a message in its place. */
  replace(index, message) {
    const known = this.messages[index];
    const element = this.elementOf({ ...message, date: known.date });
    const isAbove = known.element.offsetTop < this.scroller.scrollTop;
    const hasFocus = known.element.contains(document.activeElement);
    const change = () => {
      known.element.replaceWith(element);
      this.messages[index] = { ...message, date: known.date, lines: known.lines, element };
      this.arrange(index);
    };
    if (isAbove) this.keepingPlace(change);
    else change();
    if (hasFocus) focusOn(element);
    this.follow();
  }

  elementOf(message) {
    const element = messageElement(message, this.user);
    const ways = message.deleted_at ? [] : this.ways(message);
    if (ways.length) {
      const bar = document.createElement("div");
      bar.className = "ways";
      bar.append(...ways.map((way) => wayElement(message, ...way)));
      element.append(bar);
      // Where nothing hovers, a tap shows them.
      element.addEventListener("click", () => element.classList.toggle("chosen"));
    }
    return element;
  }

  find(seq) {
    return this.messages.find((message) => message.seq === seq);
  }

  /** The newest message that a function is true of; none while the end is not here. */
  findLast(condition) {
    return this.newer ? undefined : this.messages.findLast(condition);
  }

  /** Say below a message what becomes of it; "" for nothing. */
  tellFate(seq, text, ...buttons) {
    const element = this.find(seq)?.element;
    if (!element) return;
    element.querySelector(":scope > .fate")?.remove();
    if (text) {
      const fate = document.createElement("div");
      fate.className = "fate";
      fate.setAttribute("role", "status");
      fate.append(text, ...buttons);
      element.append(fate);
    }
    this.follow();
  }

  /** Decide whether a message opens a day, a block, and what is not read. */
  arrange(index) {
    const message = this.messages[index];
    if (!message) return;
    const before = this.messages[index - 1];
    message.lines?.forEach((line) => line.remove());
    message.lines = [];
    if (opensDay(message, before)) message.lines.push(separator("day", day(message.date)));
    if (message.seq === this.unreadFrom) message.lines.push(separator("unread", gettext("new")));
    message.element.before(...message.lines);
    head(message, message.lines.length > 0 || opensBlock(message, before));
  }

  /** Whether a message opens a block if it comes last. */
  opens(message) {
    return opensBlock(message, this.messages.at(-1));
  }

  /** Keep the page small while messages come; a reader of older ones loses the newest. */
  trim() {
    if (this.following) this.letGo("shift");
    else if (this.messages.length > 2 * KEPT) this.letGo("pop");
  }

  /** Whoever is in what goes away now stays in the log: the keys go on scrolling it. */
  keepFocus(leaving) {
    if (leaving.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
  }

  /** Let messages go that are far from what is read, from the start or the end. */
  letGo(take) {
    if (this.messages.length <= KEPT) return;
    while (this.messages.length > KEPT) {
      const gone = this.messages[take]();
      gone.lines.forEach((line) => line.remove());
      this.keepFocus(gone.element);
      gone.element.remove();
    }
    if (take === "pop") {
      this.newer = true;
      this.following = false;
      return;
    }
    this.tellMore(true);
    this.arrange(0);
  }
}

function opensDay({ date }, before) {
  return !before || before.date.toDateString() !== date.toDateString();
}

function opensBlock(message, before) {
  return opensDay(message, before) || before.user !== message.user || message.date - before.date > BLOCK;
}

