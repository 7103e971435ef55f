// What was written here and has not been seen in the room yet.

import { button } from "./button.js";
import { head, messageElement } from "./message.js";

const PATIENCE = 10_000; // ms without an answer, until the connection counts as dead
const RETRY = 2000; // ms
const TRIES = 3; // of a message that the server could not store
const BURST = 2000; // ms whose messages may come at once
const MARGIN = 1; // messages fewer than the server takes at once
const SLOWEST = 4; // times the usual interval
const SPREAD = 4; // doublings of the spread, at most
const SENDING = gettext("sending…");
const PACED = gettext("waiting: you write faster than the room takes");
const AGAIN = gettext("trying again…");
const QUEUED = gettext("waits for the message before it");
const OFFLINE = gettext("waits for the connection");
const CLOSED = gettext("not sent: the connection is closed");
const TEMPORARY = new Set(["rate", "busy", "not-stored", "unavailable"]);

/**
 * Sends one message at a time, so they arrive in their order. Each keeps its id in
 * every attempt, also after a reload, so none is stored twice.
 */
export class Outbox {
  constructor({ list, alert, kept, user, rate, send, opens, grew, suspect, edit }) {
    this.list = list;
    this.alert = alert; // says to those who hear the page what was not sent
    this.kept = kept; // of the last page in this tab
    this.user = user;
    this.usual = 1000 / rate; // ms between two messages for as long as one likes
    this.interval = this.usual; // longer while other pages of this user write, too
    this.refusals = 0; // for being too fast, in a row
    this.fullAt = 0; // when the server's bucket is full again, in ms since 1970
    this.resumeAt = 0; // when a message that was not stored is tried again, likewise
    this.send = send; // (content) => boolean
    this.opens = opens; // (message) => whether it opens a block of the room
    this.grew = grew; // () => what is shown here may be higher
    this.suspect = suspect; // () => the connection seems dead
    this.edit = edit; // (text) => put it back into the message field
    this.entries = [];
    this.connected = false;
    this.final = false; // the connection does not come back by itself
    for (const message of kept.load()) this.put(message);
    this.next();
  }

  add(text) {
    this.put({ id: uuid(), text });
    this.keep();
    this.next();
  }

  put({ id, text }) {
    const entry = { id, text, user: this.user, date: new Date(), tries: 0 };
    entry.element = messageElement(entry, this.user);
    entry.element.classList.add("pending");
    entry.fate = document.createElement("div");
    entry.fate.className = "fate";
    entry.element.append(entry.fate);
    this.entries.push(entry);
    this.dress();
    this.list.append(entry.element);
  }

  keep() {
    const unstored = this.entries.filter((entry) => !entry.stored);
    this.kept.save(unstored.map(({ id, text }) => ({ id, text })));
  }

  /** The connection came or went; `final` if it does not come back by itself. */
  connect(connected, { final = false } = {}) {
    this.connected = connected;
    this.final = final;
    this.underway = null;
    this.resumeAt = 0;
    this.next();
    this.alert.textContent = final && this.waiting().length ? CLOSED : "";
  }

  /** Whether a message is on its way from here. */
  has(clientId) {
    return Boolean(this.find(clientId));
  }

  /** The server has stored a message; it will appear in the room. */
  acked(clientId) {
    const entry = this.find(clientId);
    if (!entry) return;
    entry.stored = true;
    this.keep();
    this.say(entry, gettext("sent"));
    if (this.underway === entry) this.underway = null;
    this.refusals = 0;
    this.interval = Math.max(this.usual, 0.8 * this.interval);
    this.next();
  }

  /** A message appeared in the room. */
  seen(clientId) {
    const entry = this.find(clientId);
    if (entry) this.discard(entry);
  }

  /** The server refused a message; true if it was one of these. */
  refused({ client_id: clientId, code, detail, retry_after: retryAfter }) {
    const entry = this.find(clientId);
    if (!entry) return false;
    this.underway = null;
    if (code === "rate") {
      this.slowDown(1000 * retryAfter);
    } else {
      entry.tries += 1;
      if (TEMPORARY.has(code) && entry.tries < TRIES) this.resumeAt = Date.now() + RETRY;
      else this.fail(entry, detail);
    }
    this.next();
    return true;
  }

  /**
   * Other pages of this user write, too, and were told the same time to wait: whoever
   * is refused again and again chooses from a longer and longer time.
   */
  slowDown(wait) {
    this.refusals = Math.min(this.refusals + 1, SPREAD);
    this.interval = Math.min(2 * this.interval, SLOWEST * this.usual);
    const spread = Math.random() * this.usual * 2 ** this.refusals;
    this.fullAt = Date.now() + wait + spread - this.slack();
  }

  /** Send the next message if it is time, and tell of each what it waits for. */
  next() {
    clearTimeout(this.timer);
    if (this.connected) this.attempt();
    let ahead = 0;
    for (const entry of this.waiting()) {
      if (entry !== this.underway) this.tell(entry, ahead++);
    }
    this.grew();
  }

  attempt() {
    const [entry] = this.waiting();
    if (entry && !this.underway) {
      const wait = this.wait();
      if (wait > 0) {
        this.timer = setTimeout(() => this.next(), wait);
        return;
      }
      if (!this.send({ message: entry.text, client_id: entry.id })) return;
      this.underway = entry;
      this.sentAt = Date.now();
      this.fullAt = Math.max(Date.now(), this.fullAt) + this.interval;
      this.say(entry, SENDING);
    }
    if (this.underway) {
      this.timer = setTimeout(this.suspect, this.sentAt + PATIENCE - Date.now());
    }
  }

  /** Say what a message waits for, with so many before it. */
  tell(entry, ahead) {
    if (this.final) this.say(entry, CLOSED, ...this.ways(entry));
    else if (!this.connected) this.say(entry, OFFLINE);
    else if (this.resumeAt > Date.now()) this.say(entry, ahead ? QUEUED : AGAIN);
    else if (this.wait() + ahead * this.interval > 0) this.say(entry, PACED);
    else this.say(entry, SENDING);
  }

  /** Milliseconds until the server will take another message: see chat/rate.py. */
  wait() {
    const now = Date.now();
    return Math.max(this.resumeAt - now, Math.max(0, this.fullAt - now) + this.slack());
  }

  /** What the bucket holds, in ms below zero. */
  slack() {
    const burst = Math.max(1, BURST / this.interval - MARGIN);
    return (1 - burst) * this.interval;
  }

  waiting() {
    return this.entries.filter((entry) => !entry.failed && !entry.stored);
  }

  find(clientId) {
    return this.entries.find((entry) => entry.id === clientId);
  }

  fail(entry, detail) {
    entry.failed = true;
    entry.element.classList.add("failed");
    const again = button(gettext("Try again"), () => this.again(entry));
    this.say(entry, interpolate(gettext("Not sent: %s"), [detail]), again, ...this.ways(entry));
    this.alert.textContent = entry.said;
  }

  /** What can be done with a message that is not on its way. */
  ways(entry) {
    return [
      button(gettext("Edit"), () => { this.discard(entry); this.edit(entry.text); }),
      button(gettext("Discard"), () => this.discard(entry)),
    ];
  }

  again(entry) {
    entry.failed = false;
    entry.tries = 0;
    entry.element.classList.remove("failed");
    this.alert.textContent = "";
    this.next();
  }

  discard(entry) {
    if (this.underway === entry) this.underway = null;
    if (entry.failed) this.alert.textContent = "";
    entry.element.remove();
    this.entries = this.entries.filter((other) => other !== entry);
    this.keep();
    this.dress();
    this.next();
  }

  dress() {
    this.entries.forEach((entry, index) => head(entry, index === 0 && this.opens(entry)));
  }

  say(entry, text, ...buttons) {
    if (entry.said === text) return;
    entry.said = text;
    entry.fate.replaceChildren(text, ...buttons);
  }
}

/** A random UUID; `crypto.randomUUID` is missing on plain http beyond localhost. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
