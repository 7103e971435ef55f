// What was written here and has not been seen in the room yet.

import { head, messageElement } from "./log.js";

const PATIENCE = 10_000; // ms without an answer, until the connection counts as dead
const RETRY = 2000; // ms
const TRIES = 3; // of a message that the server could not store
const BURST = 2000; // ms whose messages may come at once
const MARGIN = 1; // messages fewer than the server takes at once
const PACED = "waiting: you write faster than the room takes";
const TEMPORARY = new Set(["rate", "busy", "not-stored", "unavailable"]);

/**
 * Sends one message at a time, so they arrive in their order. Each keeps its id in
 * every attempt, so none is stored twice.
 */
export class Outbox {
  constructor({ list, user, rate, send, opens, suspect, edit }) {
    this.list = list;
    this.user = user;
    this.interval = 1000 / rate; // ms between two messages for as long as one likes
    this.fullAt = 0; // when the server's bucket is full again, in ms since 1970
    this.send = send; // (content) => boolean
    this.opens = opens; // (message) => whether it opens a block of the room
    this.suspect = suspect; // () => the connection seems dead
    this.edit = edit; // (text) => put it back into the message field
    this.entries = [];
    this.connected = false;
  }

  add(text) {
    const entry = { id: uuid(), text, user: this.user, date: new Date(), tries: 0 };
    entry.element = messageElement(entry);
    entry.element.classList.add("pending");
    entry.fate = document.createElement("div");
    entry.fate.className = "fate";
    entry.element.append(entry.fate);
    this.entries.push(entry);
    this.dress();
    this.list.append(entry.element);
    this.next();
  }

  /** The connection came or went. */
  connect(connected) {
    this.connected = connected;
    this.underway = null;
    clearTimeout(this.timer);
    this.next();
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
    this.say(entry, "sent");
    if (this.underway === entry) this.underway = null;
    clearTimeout(this.timer);
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
    clearTimeout(this.timer);
    if (code !== "rate") entry.tries += 1;
    if (TEMPORARY.has(code) && entry.tries < TRIES) {
      const wait = retryAfter ? 1000 * retryAfter : RETRY;
      this.say(entry, code === "rate" ? PACED : "trying again…");
      this.timer = setTimeout(() => this.next(), wait);
    } else {
      this.fail(entry, detail);
      this.next();
    }
    return true;
  }

  next() {
    for (const entry of this.waiting()) this.say(entry, this.connected ? "sending…" : "waits for the connection");
    const [entry] = this.waiting();
    if (!entry || !this.connected || this.underway) return;
    const wait = this.wait();
    if (wait > 0) {
      this.say(entry, PACED);
      this.timer = setTimeout(() => this.next(), wait);
      return;
    }
    if (!this.send({ message: entry.text, client_id: entry.id })) return;
    this.underway = entry;
    this.fullAt = Math.max(Date.now(), this.fullAt) + this.interval;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.suspect, PATIENCE);
  }

  /** Milliseconds until the server will take another message: see chat/rate.py. */
  wait() {
    const burst = Math.max(1, BURST / this.interval - MARGIN);
    return Math.max(0, this.fullAt - Date.now()) + (1 - burst) * this.interval;
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
    entry.fate.replaceChildren(
      `Not sent: ${detail}`,
      button("Try again", () => this.again(entry)),
      button("Edit", () => { this.discard(entry); this.edit(entry.text); }),
      button("Discard", () => this.discard(entry)),
    );
  }

  again(entry) {
    entry.failed = false;
    entry.tries = 0;
    entry.element.classList.remove("failed");
    this.next();
  }

  discard(entry) {
    if (this.underway === entry) {
      this.underway = null;
      clearTimeout(this.timer);
    }
    entry.element.remove();
    this.entries = this.entries.filter((other) => other !== entry);
    this.dress();
    this.next();
  }

  dress() {
    this.entries.forEach((entry, index) => head(entry, index === 0 && this.opens(entry)));
  }

  say(entry, text) {
    if (entry.fate.textContent !== text) entry.fate.textContent = text;
  }
}

function button(text, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", action);
  return element;
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
