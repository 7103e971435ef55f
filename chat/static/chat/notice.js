// Words of staff: each stays until somebody has read it.

/** Show a notice in an element, with the time and a button that puts it away. */
export function showNotice(element, text) {
  const words = document.createElement("span");
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  words.textContent = interpolate(gettext("Staff, %s: %s"), [time, text]);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = gettext("Got it");
  const notice = document.createElement("div");
  notice.append(words, button);
  button.addEventListener("click", () => {
    notice.remove();
    element.hidden = !element.hasChildNodes();
    (element.querySelector("button") ?? document.getElementById("message")).focus();
  });
  element.append(notice);
  element.hidden = false;
}
