// The field that one writes in.

const NEAR = 500; // characters left from which the counter shows

export class Composer {
  constructor(form, { limit, submit }) {
    this.field = form.querySelector("textarea");
    this.button = form.querySelector("button");
    this.counter = form.querySelector("#counter");
    this.limit = limit;
    this.submit = submit; // (text) => void
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.update());
    this.update();
  }

  /** Put a text into the field, before what is there. */
  put(text) {
    this.field.value = this.field.value ? `${text}\n${this.field.value}` : text;
    this.update();
    this.field.focus();
  }

  key(event) {
    // While an input method composes, Enter picks a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.send();
  }

  send() {
    const text = this.field.value;
    if (!this.ready) return;
    this.field.value = "";
    this.update();
    this.field.focus();
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
  }
}

function remark(left) {
  if (left < 0) return `${(-left).toLocaleString()} characters too many`;
  if (left <= NEAR) return `${left.toLocaleString()} characters left`;
  return "";
}
