// On narrow screens the sides of the room are drawers, one open at a time.

const buttons = document.querySelectorAll(".drawer-button");

function set(button, open) {
  const drawer = document.getElementById(button.getAttribute("aria-controls"));
  drawer.classList.toggle("open", open);
  button.ariaExpanded = open;
  if (open) drawer.querySelector("a, summary, button")?.focus();
}

function closeAll() {
  for (const button of buttons) {
    if (button.ariaExpanded !== "true") continue;
    set(button, false);
    button.focus();
  }
}

/** Let the buttons of the bar open and close the drawers. */
export function setUpDrawers() {
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const open = button.ariaExpanded !== "true";
      closeAll();
      set(button, open);
    });
  }
  document.getElementById("backdrop").addEventListener("click", closeAll);
  addEventListener("keydown", (event) => event.key === "Escape" && closeAll());
}
