// The field that one writes in.

import { Suggestions } from "./suggestions.js";

const NEAR = 500; // characters left from which the counter shows

export class Composer {
  constructor(form, { limit, draft, names, writes, submit, recall }) {
    this.form = form;
    this.field = form.querySelector("textarea");
    this.button = form.querySelector(".send");
    this.counter = form.querySelector("#counter");
    this.limit = limit;
    this.draft = draft; // of this room, kept until it is sent
    this.submit = submit; // (text) => void
    this.recall = recall; // () => begin to edit what was said last
    this.suggestions = new Suggestions({
      field: this.field,
      list: form.querySelector("#suggestions"),
      note: form.querySelector("#suggestions-note"),
      names,
      take: (text, start, end) => {
        this.field.setSelectionRange(start, end);
        document.execCommand("insertText", false, text); // nothing else can be undone
      },
    });
    this.editing = null; // {text, save, draft} while a message is edited
    this.banner = form.querySelector("#editing");
    this.banner.querySelector("button").addEventListener("click", () => this.cancel());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => {
      this.update();
      if (this.field.value && !this.editing) writes();
    });
    [this.field.value = ""] = draft.load();
    this.update();
  }

  /** Tell for which room it is. */
  name(room) {
    this.field.placeholder = interpolate(gettext("Message # %s"), [room]);
    const label = this.form.querySelector(`label[for=${this.field.id}]`);
    label.textContent = interpolate(gettext("Message to # %s"), [room]);
  }

  /** Nothing can be written here, or again. */
  close(closed) {
    this.form.hidden = closed;
  }

  /** Put a text into the field, before what is there. */
  put(text) {
    this.cancel();
    this.fill(this.field.value ? `${text}\n${this.field.value}` : text);
  }

  /** Edit a text in place of what is being written, which comes back afterwards. */
  edit(text, words, save) {
    const draft = this.editing ? this.editing.draft : this.field.value;
    this.editing = { text, save, draft };
    this.banner.querySelector("span").textContent = words;
    this.fill(text);
  }

  cancel() {
    if (!this.editing) return;
    const { draft } = this.editing;
    this.editing = null;
    this.fill(draft);
  }

  fill(text) {
    this.banner.hidden = !this.editing;
    this.form.classList.toggle("edits", Boolean(this.editing));
    this.field.value = text;
    this.suggestions.hide();
    this.update();
    this.field.focus();
  }

  key(event) {
    if (event.isComposing) return; // while an input method composes, keys pick words
    if (this.suggestions.key(event)) return event.preventDefault();
    if (event.key === "Escape") this.cancel();
    if (event.key === "ArrowUp" && this.field.value === "" && this.recall()) event.preventDefault();
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.send();
  }

  send() {
    const text = this.field.value;
    if (!this.ready) return;
    if (this.editing) {
      const { text: before, save } = this.editing;
      this.cancel();
      if (text !== before) save(text);
      return;
    }
    this.fill("");
    this.submit(text);
  }

  update() {
    const length = [...this.field.value].length; // as the server counts
    const left = this.limit - length;
    this.ready = this.field.value.trim() !== "" && left >= 0;
    this.button.disabled = !this.ready;
    this.counter.classList.toggle("over", left < 0);
    this.counter.textContent = remark(left);
    this.field.parentElement.dataset.text = this.field.value;
    const draft = this.editing ? this.editing.draft : this.field.value;
    this.draft.save(draft ? [draft] : []);
  }
}

function remark(left) {
  const count = Math.abs(left).toLocaleString();
  if (left < 0) return interpolate(ngettext("%s character too many", "%s characters too many", -left), [count]);
  if (left <= NEAR) return interpolate(ngettext("%s character left", "%s characters left", left), [count]);
  return "";
}
