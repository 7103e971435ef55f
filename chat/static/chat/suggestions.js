// Whom one may call: names that fit what is written after an @.

import { BEGUN, GOES_ON } from "./links.js";
import { entry, word } from "./members.js";

const SHOWN = 6; // names; who looks for another one writes on

export class Suggestions {
  constructor({ field, list, note, names, take }) {
    this.field = field;
    this.list = list;
    this.note = note; // says how many there are
    this.names = names; // () => [{name, state}], those who come first first
    this.take = take; // (text, start, end) => put it there
    this.call = null; // {start, end, query} while one writes a name
    this.declined = null; // where the @ stands that one wants nothing for
    this.chosen = -1;
    field.addEventListener("input", () => this.look());
    document.addEventListener("selectionchange", () => this.moved());
    field.addEventListener("blur", () => this.hide());
    // The field keeps the focus.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      if (option) this.choose(option);
    });
  }

  get shown() {
    return !this.list.hidden;
  }

  /** Offer names if one is being written. */
  look() {
    const { value, selectionEnd: end } = this.field;
    const query = BEGUN.exec(value.slice(0, end))?.[1];
    const start = query === undefined ? null : end - query.length - 1;
    if (start !== this.declined) this.declined = null;
    const isWanted = start !== null && start !== this.declined && !GOES_ON.test(value.slice(end));
    const fitting = isWanted ? fits(this.names(), query) : [];
    if (fitting.length === 0) return this.hide();
    this.call = { start, end, query };
    this.show(fitting);
  }

  /** Somebody who goes elsewhere in the text writes no name. */
  moved() {
    const { selectionStart, selectionEnd } = this.field;
    if (this.shown && (selectionStart !== this.call.end || selectionEnd !== this.call.end)) this.hide();
  }

  show(fitting) {
    this.list.replaceChildren(...fitting.map(option));
    this.list.hidden = false;
    this.mark(this.call.query ? 0 : -1); // who writes a lone @ may mean it
    this.note.textContent = interpolate(ngettext("%s name fits", "%s names fit", fitting.length), [fitting.length]);
  }

  hide() {
    if (!this.shown) return;
    this.call = null;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.note.textContent = "";
    this.field.removeAttribute("aria-activedescendant");
  }

  /** Whether a key was for the names, and not for the text. */
  key({ key, shiftKey }) {
    if (!this.shown) return false;
    const count = this.list.children.length;
    switch (key) {
      case "ArrowDown":
        this.mark((this.chosen + 1) % count);
        return true;
      case "ArrowUp":
        this.mark((Math.max(this.chosen, 0) + count - 1) % count);
        return true;
      case "Escape":
        this.declined = this.call.start;
        this.hide();
        return true;
      case "Enter":
      case "Tab":
        return !shiftKey && this.complete();
      default:
        return false;
    }
  }

  /** Take the marked name; false if there is none, or it is written whole already. */
  complete() {
    const option = this.list.children[this.chosen];
    if (!option || option.dataset.name === this.call.query) {
      this.hide();
      return false;
    }
    this.choose(option);
    return true;
  }

  choose(option) {
    const { start, end } = this.call;
    const isFollowed = this.field.value[end] === " ";
    this.take(`@${option.dataset.name}${isFollowed ? "" : " "}`, start, end);
    if (isFollowed) this.field.selectionStart += 1;
    this.hide();
  }

  mark(number) {
    this.chosen = number;
    for (const [index, option] of [...this.list.children].entries()) option.ariaSelected = String(index === number);
    const option = this.list.children[number];
    if (option) this.field.setAttribute("aria-activedescendant", option.id);
    else this.field.removeAttribute("aria-activedescendant");
  }
}

/** The names that have the query in them: as they are written, then those that begin with it. */
function fits(names, query) {
  const wanted = folded(query);
  const ranks = new Map();
  for (const one of names) {
    const place = folded(one.name).indexOf(wanted);
    if (place >= 0) ranks.set(one, one.name === query ? 0 : place === 0 ? 1 : 2);
  }
  return [...ranks.keys()].sort((one, other) => ranks.get(one) - ranks.get(other)).slice(0, SHOWN);
}

function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

function option({ name, state }, index) {
  const words = { idle: gettext("idle"), away: gettext("away") };
  const element = entry(state, name, name, ...(state in words ? [word(words[state])] : []));
  element.role = "option";
  element.id = `suggestion-${index}`;
  element.dataset.name = name;
  return element;
}
