// The messages of a room, in the order of their numbers whatever order they come in.

import { button } from "./button.js";
import { linked } from "./links.js";
import { clock, day, exact, timeElement } from "./times.js";

const BLOCK = 5 * 60 * 1000; // ms within which messages of one author form a block
const KEPT = 1000; // messages on the page
const LONG = [1500, 24]; // characters and lines from which a text is cut
const EDGE = 48; // px from the end that count as being there

export class Log {
  /** `ways(message)`: names and actions of what `user` can do with a message. */
  constructor(scroller, user, ways) {
    this.scroller = scroller;
    this.user = user;
    this.ways = ways;
    this.list = scroller.querySelector("#messages");
    this.start = scroller.querySelector("#log-start");
    this.button = document.querySelector("#to-newest");
    this.messages = []; // by seq
    this.unread = 0;
    this.more = false; // on the server, older than the oldest here
    this.button.addEventListener("click", () => this.toNewest());
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

  /** Show messages that were there before, keeping in place what is being read. */
  addHistory(messages, more) {
    const { scrollHeight, scrollTop } = this.scroller;
    const [first] = messages;
    const older = this.oldest === undefined || !first || first.seq < this.oldest;
    for (const message of messages) this.insert(message);
    if (older) this.tellMore(more);
    if (this.following) this.stick();
    else if (older) this.scroller.scrollTop = scrollTop + this.scroller.scrollHeight - scrollHeight;
  }

  /** Show what changed, but for messages older than all that are here. */
  addChanges(messages) {
    const here = messages.filter(({ seq }) => !this.more || !(seq < this.oldest));
    this.addHistory(here, this.more);
  }

  /** Show a message that was just said. */
  addLive(message, own) {
    const element = this.insert(message);
    if (!element) return;
    element.classList.add("arrives");
    if (!own && (document.hidden || !this.following)) this.markUnread(element);
    if (own) this.following = true;
    if (this.following) {
      this.trim();
      this.stick();
    }
    this.tellUnread();
  }

  /** Forget everything shown. */
  clear() {
    this.list.replaceChildren();
    this.messages = [];
    this.following = true;
  }

  /** Scroll to the end. */
  toNewest() {
    this.stick();
    this.read();
  }

  /** Keep the end in view, if it was. */
  follow() {
    if (this.following) this.stick();
  }

  stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.following = true;
  }

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < EDGE;
    return this.following;
  }

  /** Follow the newest message or not, as the reader scrolls. */
  scrolled() {
    // Opening the notice or growing the field scrolls as well; nobody meant it.
    const { clientHeight } = this.scroller;
    const meant = clientHeight === this.height;
    this.height = clientHeight;
    if (meant && this.atEnd()) this.read();
  }

  read() {
    if (document.hidden) return;
    this.unread = 0;
    this.tellUnread();
  }

  markUnread(element) {
    if (this.unread === 0) {
      this.list.querySelector(".unread")?.remove();
      element.before(separator("unread", "new"));
    }
    this.unread += 1;
  }

  tellUnread() {
    this.button.hidden = this.following || this.unread === 0;
    this.button.textContent = `${this.unread} new ${this.unread === 1 ? "message" : "messages"} ↓`;
    document.title = document.title.replace(/^\(\d+\) |^/, this.unread ? `(${this.unread}) ` : "");
  }

  /** Say why there are no messages yet. */
  tellAbsent(connecting) {
    this.start.textContent = connecting ? "Loading messages…" : "Not connected.";
  }

  tellMore(more) {
    this.more = more;
    if (more) this.start.textContent = "Loading older messages…";
    else if (this.messages.length) this.start.textContent = "This is where the room begins.";
    else this.start.textContent = "Nothing said yet. Write the first message below.";
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

    const shown = { ...message, date: new Date(message.sent_at) };
    shown.element = this.elementOf(shown);
    const next = this.messages[index];
    if (next) (next.separator ?? next.element).before(shown.element);
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
    const { scrollTop, scrollHeight } = this.scroller;
    const isAbove = known.element.offsetTop < scrollTop;
    known.element.replaceWith(element);
    this.messages[index] = { ...message, date: known.date, separator: known.separator, element };
    this.arrange(index);
    if (this.following) this.stick();
    else if (isAbove) this.scroller.scrollTop = scrollTop + this.scroller.scrollHeight - scrollHeight;
  }

  elementOf(message) {
    const element = messageElement(message, this.user);
    const ways = message.deleted_at ? [] : this.ways(message);
    if (ways.length) {
      const bar = document.createElement("div");
      bar.className = "ways";
      bar.append(...ways.map(([name, action]) => wayElement(name, message, action)));
      element.append(bar);
      // Where nothing hovers, a tap shows them.
      element.addEventListener("click", () => element.classList.toggle("chosen"));
    }
    return element;
  }

  find(seq) {
    return this.messages.find((message) => message.seq === seq);
  }

  /** The newest message that a function is true of. */
  findLast(condition) {
    return this.messages.findLast(condition);
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

  /** Decide whether a message opens a day and a block. */
  arrange(index) {
    const message = this.messages[index];
    if (!message) return;
    const before = this.messages[index - 1];
    const newDay = opensDay(message, before);
    message.separator?.remove();
    message.separator = newDay ? separator("day", day(message.date)) : undefined;
    if (newDay) message.element.before(message.separator);
    head(message, opensBlock(message, before));
  }

  /** Whether a message opens a block if it comes last. */
  opens(message) {
    return opensBlock(message, this.messages.at(-1));
  }

  trim() {
    while (this.messages.length > KEPT) {
      const gone = this.messages.shift();
      gone.separator?.remove();
      gone.element.remove();
      this.tellMore(true);
    }
    this.arrange(0);
  }
}

function opensDay({ date }, before) {
  return !before || before.date.toDateString() !== date.toDateString();
}

function opensBlock(message, before) {
  return opensDay(message, before) || before.user !== message.user || message.date - before.date > BLOCK;
}

/** An element for a message without a byline yet; also for one on its way. */
export function messageElement({ text, edited_at: editedAt, deleted_at: deletedAt, deleted_by: by, user }, viewer) {
  const element = document.createElement("article");
  element.className = "message";
  const paragraph = document.createElement("p");
  paragraph.className = "text";
  if (deletedAt) {
    element.classList.add("deleted");
    paragraph.textContent = by === user ? "This message was deleted." : `This message was deleted by ${by}.`;
    paragraph.title = exact(new Date(deletedAt));
    element.append(paragraph);
    return element;
  }
  paragraph.dir = "auto";
  paragraph.append(linked(text, viewer));
  element.classList.toggle("calls", user !== viewer && paragraph.querySelector("mark") !== null);
  if (editedAt) {
    const mark = timeElement(new Date(editedAt), "(edited)");
    mark.className = "edited";
    paragraph.append(" ", mark);
  }
  element.append(paragraph);
  if (text.length > LONG[0] || text.split("\n").length > LONG[1]) element.append(shortened(paragraph));
  return element;
}

/** Give a message its byline if it opens a block, or else a small time. */
export function head({ element, user, date }, opens) {
  element.querySelectorAll(":scope > .avatar, :scope > .byline, :scope > .aside-time")
    .forEach((child) => child.remove());
  element.classList.toggle("opens", opens);
  if (!opens) {
    const time = timeElement(date, clock(date));
    time.className = "aside-time";
    element.prepend(time);
    return;
  }
  const author = document.createElement("span");
  author.className = "author";
  author.textContent = user;
  const byline = document.createElement("div");
  byline.className = "byline";
  byline.append(author, timeElement(date, clock(date)));
  element.prepend(avatar(user), byline);
}

function wayElement(name, { user, date }, action) {
  const element = button(name, (event) => {
    event.stopPropagation();
    action();
  });
  element.ariaLabel = `${name} the message of ${user}, ${clock(date)}`;
  return element;
}

function avatar(user) {
  const element = document.createElement("span");
  element.className = "avatar";
  element.ariaHidden = "true";
  element.textContent = [...user][0].toUpperCase();
  const hue = [...user].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 360, 7);
  element.style.setProperty("--hue", hue);
  return element;
}

function shortened(paragraph) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  button.textContent = "Show all";
  paragraph.classList.add("cut-short");
  button.addEventListener("click", () => {
    paragraph.classList.remove("cut-short");
    button.remove();
  });
  return button;
}

function separator(kind, text) {
  const element = document.createElement("div");
  element.className = kind;
  element.setAttribute("role", "separator");
  element.textContent = text;
  return element;
}
