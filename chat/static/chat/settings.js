// What a room is called, whether it is archived, and the dialog of whoever runs it.

const find = (id) => document.getElementById(id);

/** Show what the server says of the room. A direct one is called by the other's name. */
export function showRoom(kind, { name, archived }, composer) {
  find("archived").hidden = !archived;
  find("log").classList.toggle("archived", archived);
  composer.close(archived);
  if (kind === "direct") return;
  find("room-name").textContent = name;
  find("room-name").title = name;
  document.title = document.title.replace(/# .* ·/, () => `# ${name} ·`);
  composer.name(name);
}

/** Let the button open the dialog. */
export function setUpSettings() {
  const dialog = find("settings");
  if (!dialog) return;
  find("room-settings").addEventListener("click", () => dialog.showModal());
  if (!("open" in dialog.dataset)) return;
  dialog.showModal(); // something in it was wrong, or goes on
  (dialog.querySelector(".row:has(+ .error) input") ?? dialog.querySelector("[name=user]"))?.focus();
  history.replaceState(null, "", location.pathname.replace(/settings\/$/, ""));
}
