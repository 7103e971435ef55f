// The list of rooms: when something was last said, in the viewer's terms.

import { exact, relative } from "./times.js";

function tell() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const date = new Date(element.dateTime);
    element.textContent = relative(date);
    element.title = exact(date);
  }
}

tell();
setInterval(tell, 30_000);
