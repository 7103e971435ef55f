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

/** Put the dialog up to date: others may have changed the room since the page came. */
async function refresh(dialog) {
  try {
    const response = await fetch(`/rooms/${find("room").dataset.slug}/`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const news = page.getElementById("settings");
    if (news) dialog.replaceChildren(...news.childNodes);
  } catch {
    // Without a connection it shows what it knows; nothing in it could be sent.
  }
}

/** Let the button open the dialog. */
export function setUpSettings() {
  const dialog = find("settings");
  if (!dialog) return;
  find("room-settings").addEventListener("click", async () => {
    await refresh(dialog);
    if (!dialog.open) dialog.showModal();
  });
  if (!("open" in dialog.dataset)) return;
  dialog.showModal(); // something in it was wrong, or goes on
  (dialog.querySelector(".row:has(+ .error) input") ?? dialog.querySelector("[name=user]"))?.focus();
  history.replaceState(null, "", location.pathname.replace(/settings\/$/, ""));
}
