// Who is in the room, who of them is idle, and who belongs to it but is away.

import { focusOn } from "./focus.js";
import { exact, relative, span } from "./times.js";

const EVERY = 30_000; // ms between two looks at the clock

export class Members {
  constructor(side, { user, count }) {
    this.side = side;
    this.list = side.querySelector("#members");
    this.note = side.querySelector("#members-note");
    this.hereCount = side.querySelector("#here-count");
    this.away = side.querySelector("#away");
    this.count = count;
    this.user = user;
    this.others = []; // {name, state}: who is here, then who is away
    setInterval(() => this.tellTimes(), EVERY);
  }

  /** Say that the names may be out of date, or why there are none, until some come. */
  lost(connecting) {
    if (!this.list.hasChildNodes()) {
      this.note.hidden = false;
      this.note.textContent = connecting ? gettext("Looking who is here…") : gettext("Not connected.");
      this.count.textContent = "";
      return;
    }
    this.side.classList.add("stale");
    this.note.hidden = false;
    this.note.textContent = gettext("Who was here when the connection was lost:");
  }

  /** Show names; null if the server cannot know. Since when some are idle, by name; and who is away. */
  show({ members: names, idle = {}, away = [] }) {
    this.side.classList.remove("stale");
    this.note.hidden = Boolean(names?.length);
    this.note.textContent = names
      ? gettext("Nobody is listed yet.")
      : gettext("Presence unavailable: the server does not record who is connected.");
    this.count.textContent = this.hereCount.textContent = names ? names.length : "";
    const here = (names ?? []).map((name) => ({ name, state: name in idle ? "idle" : "here" }));
    const absent = away.map((one) => ({ name: one.user, state: "away" }));
    this.others = [...here, ...absent].filter(({ name }) => name !== this.user);
    this.keepingFocus(() => {
      this.list.replaceChildren(...(names ?? []).map((name) => this.member(name, idle[name])));
      this.away.hidden = away.length === 0;
      this.away.querySelector("ul").replaceChildren(...away.map((one) => this.absentee(one)));
    });
    this.tellTimes();
  }

  /** Whoever is at somebody's button stays there; or beside the list, if they have gone. */
  keepingFocus(change) {
    const focused = document.activeElement;
    const isHere = this.side.contains(focused);
    change();
    if (!isHere || focused.isConnected) return;
    const same = [...this.side.querySelectorAll(".way")].find(({ value }) => value === focused.value);
    if (same) same.focus({ preventScroll: true });
    else focusOn(this.side);
  }

  member(name, idleSince) {
    const isOther = name !== this.user;
    const title = isOther ? name : interpolate(gettext("%s (you)"), [name]);
    const facts = idleSince ? [word(gettext("idle for"), "unseen"), time(idleSince)] : [];
    const item = entry(idleSince ? "idle" : "here", name, title, ...facts);
    if (isOther) item.append(way(name));
    return item;
  }

  absentee({ user, seen_at: seenAt, elsewhere }) {
    const facts = [word(elsewhere ? gettext("in another room") : gettext("not seen yet"))];
    if (seenAt) facts.splice(0, 1, word(gettext("last seen"), "unseen"), time(seenAt));
    const item = entry("away", user, user, ...facts);
    item.append(way(user));
    return item;
  }

  tellTimes() {
    for (const item of this.side.querySelectorAll(".member time")) {
      const date = new Date(item.dateTime);
      item.textContent = item.closest(".member").dataset.state === "idle" ? span(date) : relative(date);
    }
  }
}

/** A member; the dot has a shape for each state. */
export function entry(state, name, title, ...facts) {
  const dot = document.createElement("span");
  dot.className = "dot";
  dot.ariaHidden = "true";
  const label = word(title, "cut");
  label.title = name;
  const item = document.createElement("li");
  item.className = "member";
  item.dataset.state = state;
  item.append(dot, label);
  // With spaces between them, for those who hear it.
  for (const fact of facts) item.append(" ", fact);
  return item;
}

/** A button that opens the conversation with somebody. */
function way(name) {
  const element = document.createElement("button");
  element.className = "way quiet";
  element.setAttribute("form", "direct");
  element.name = "user";
  element.value = name;
  element.title = element.ariaLabel = interpolate(gettext("Message to %s alone"), [name]);
  return element;
}

export function word(text, className = "fact") {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function time(text) {
  const element = document.createElement("time");
  element.className = "fact";
  element.dateTime = text;
  element.title = exact(new Date(text));
  return element;
}
