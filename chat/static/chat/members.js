// Who is in the room.

export class Members {
  constructor(side, { user, count }) {
    this.side = side;
    this.list = side.querySelector("#members");
    this.note = side.querySelector("#members-note");
    this.count = count;
    this.user = user;
  }

  /** Say that the names may be out of date, or why there are none, until some come. */
  lost(connecting) {
    if (!this.list.hasChildNodes()) {
      this.note.hidden = false;
      this.note.textContent = connecting ? "Looking who is here…" : "Not connected.";
      this.count.textContent = "";
      return;
    }
    this.side.classList.add("stale");
    this.note.hidden = false;
    this.note.textContent = "Who was here when the connection was lost:";
  }

  /** Show names; null if the server cannot know. */
  show(names) {
    this.side.classList.remove("stale");
    this.note.hidden = Boolean(names?.length);
    this.note.textContent = names
      ? "Nobody is listed yet."
      : "Presence unavailable: the server does not record who is connected.";
    this.count.textContent = names ? names.length : "";
    this.list.replaceChildren(...(names ?? []).map((name) => this.member(name)));
  }

  member(name) {
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.ariaHidden = "true";
    const label = document.createElement("span");
    label.className = "cut";
    label.title = name;
    label.textContent = name === this.user ? `${name} (you)` : name;
    const item = document.createElement("li");
    item.className = "member";
    item.append(dot, label);
    return item;
  }
}
