// A word of staff: it stays until somebody has read it, and a later one takes its place.

/** Show a notice in an element, with the time and a button that puts it away. */
export function showNotice(element, text) {
  const words = document.createElement("span");
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  words.textContent = interpolate(gettext("Staff, %s: %s"), [time, text]);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = gettext("Got it");
  button.addEventListener("click", () => (element.hidden = true));
  element.replaceChildren(words, button);
  element.hidden = false;
}
