// What a room is called, whether it is archived, and the dialog of whoever runs it.

const find = (id) => document.getElementById(id);

/** Show what the server says of the room. */
export function showRoom({ name, archived }, composer) {
  find("room-name").textContent = name;
  const link = find("room-link")?.querySelector(".cut");
  if (link) link.textContent = name;
  document.title = document.title.replace(/# .* ·/, () => `# ${name} ·`);
  find("archived").hidden = !archived;
  composer.name(name);
  composer.close(archived);
}

/** Let the button open the dialog. */
export function setUpSettings() {
  const dialog = find("settings");
  if (!dialog) return;
  find("room-settings").addEventListener("click", () => dialog.showModal());
  if ("open" in dialog.dataset) dialog.showModal(); // something in it was wrong
}
