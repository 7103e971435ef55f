// What one message looks like.

import { button } from "./button.js";
import { linked } from "./links.js";
import { clock, exact, timeElement } from "./times.js";

const LONG = [1500, 24]; // characters and lines from which a text is cut

/** An element for a message without a byline yet; also for one on its way. */
export function messageElement({ text, edited_at: editedAt, deleted_at: deletedAt, deleted_by: by, user }, viewer) {
  const element = document.createElement("article");
  element.className = "message";
  const paragraph = document.createElement("p");
  paragraph.className = "text";
  if (deletedAt) {
    element.classList.add("deleted");
    paragraph.textContent = by === user ? gettext("This message was deleted.")
      : interpolate(gettext("This message was deleted by %s."), [by]);
    paragraph.title = exact(new Date(deletedAt));
    element.append(paragraph);
    return element;
  }
  paragraph.dir = "auto";
  paragraph.append(linked(text, viewer));
  element.classList.toggle("calls", user !== viewer && paragraph.querySelector("mark") !== null);
  if (editedAt) {
    const mark = timeElement(new Date(editedAt), gettext("(edited)"));
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

/** A button that does something with a message. */
export function wayElement({ user, date }, kind, name, action) {
  const element = button(name, (event) => {
    event.stopPropagation();
    action();
  });
  element.dataset.way = kind;
  element.ariaLabel = interpolate(gettext("%s the message of %s, %s"), [name, user, clock(date)]);
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
  button.textContent = gettext("Show all");
  paragraph.classList.add("cut-short");
  button.addEventListener("click", () => {
    paragraph.classList.remove("cut-short");
    button.remove();
  });
  return button;
}

/** A line with a word in it. */
export function separator(kind, text) {
  const element = document.createElement("div");
  element.className = kind;
  element.setAttribute("role", "separator");
  element.ariaLabel = element.textContent = text; // its content is not read out
  return element;
}
