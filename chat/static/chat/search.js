// Looking for a text in the room.

import { button } from "./button.js";
import { clock, exact, relative, timeElement } from "./times.js";

const AROUND = 60; // characters that are shown before the first match
const AWAY = gettext("Not connected; search again when the room is.");
const HINT = gettext("Type what to look for, then press Enter.");

export class Search {
  /** `ask(question)` is true if it went out; `goTo(seq)` shows a message in the room. */
  constructor(panel, opener, { ask, goTo }) {
    this.panel = panel;
    this.opener = opener;
    this.ask = ask;
    this.goTo = goTo;
    this.field = panel.querySelector("input");
    this.note = panel.querySelector("[role=status]");
    this.list = panel.querySelector("ol");
    this.more = panel.querySelector(".more");
    this.text = ""; // of the question that was asked last
    this.waits = false; // for its answer
    opener.addEventListener("click", () => (panel.hidden ? this.open() : this.close()));
    panel.querySelector(".close").addEventListener("click", () => this.close());
    panel.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin(this.field.value.trim());
    });
    this.more.addEventListener("click", () => this.waits || this.question(this.before));
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    addEventListener("keydown", (event) => {
      if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.open();
    });
  }

  open() {
    if (this.panel.hidden) this.cameFrom = document.activeElement;
    this.panel.hidden = false;
    this.opener.ariaExpanded = true;
    this.field.select();
    this.field.focus();
  }

  close() {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.opener.ariaExpanded = false;
    // Back to what one was at: by the keys, mostly the message that is being written.
    (this.cameFrom === document.body ? this.opener : this.cameFrom).focus();
  }

  begin(text) {
    if (this.waits && text === this.text) return;
    this.list.replaceChildren();
    this.more.hidden = true;
    this.text = text;
    if (text) this.question();
    else this.note.textContent = HINT;
  }

  question(before) {
    this.waits = this.ask({ type: "search", text: this.text, ...(before && { before }) });
    this.note.textContent = this.waits ? gettext("Searching…") : AWAY;
  }

  /** The connection went, and the answer with it. */
  lost() {
    if (!this.waits) return;
    this.waits = false;
    this.note.textContent = AWAY;
  }

  /** Show what was found, after what is there. */
  found({ text, messages, before }) {
    if (text !== this.text || !this.waits) return;
    this.waits = false;
    const goesOn = document.activeElement === this.more;
    const first = this.list.childElementCount;
    this.list.append(...messages.map((message) => this.result(message)));
    this.before = before;
    this.more.hidden = !before;
    const count = this.list.childElementCount;
    const words = ngettext("%s message", "%s messages, the newest first", count);
    if (count) this.note.textContent = interpolate(words, [before ? `${count}+` : count]);
    else if (before) this.note.textContent = gettext("Nothing in the newest messages; look among older ones.");
    else this.note.textContent = interpolate(gettext("Nothing here has “%s” in it. Try another word."), [text]);
    if (goesOn) (this.list.children[first]?.querySelector("button") ?? (before ? this.more : this.field)).focus();
  }

  /** The server refused a search. */
  refused({ detail }) {
    this.waits = false;
    this.note.textContent = detail;
  }

  result(message) {
    const date = new Date(message.sent_at);
    const element = button("", () => {
      this.close();
      this.goTo(message.seq);
    });
    const author = document.createElement("span");
    author.className = "author";
    author.textContent = message.user;
    const time = timeElement(date, `${relative(date)}, ${clock(date)}`);
    time.title = exact(date);
    const text = document.createElement("span");
    text.className = "text";
    text.append(...marked(message.text, this.text));
    element.append(author, time, text);
    const item = document.createElement("li");
    item.append(element);
    return item;
  }
}

/** Nodes of a text with its matches marked, from a little before the first. */
function marked(text, wanted) {
  const low = text.toLowerCase();
  const needle = wanted.toLowerCase();
  // Few letters have another length in lower case; then the marks would be misplaced.
  if (low.length !== text.length) return [text];
  const first = low.indexOf(needle);
  let end = Math.max(0, first - AROUND);
  const nodes = end ? ["…"] : [];
  for (let at = first; at >= 0; at = low.indexOf(needle, at + needle.length)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + needle.length);
    nodes.push(text.slice(end, at), mark);
    end = at + needle.length;
  }
  return [...nodes, text.slice(end)];
}
