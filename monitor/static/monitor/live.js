// Keeps the dashboard's socket alive and its clocks running. What the socket brings,
// htmx puts in place.

const live = document.getElementById("monitor-board");
const state = document.getElementById("monitor-state");
const pause = document.getElementById("feed-pause");

const STALE_AFTER = 5_000; // milliseconds; the server sends something every 2 s
const DEAD_AFTER = 10_000;
const LONGEST_DELAY = 5_000; // staff who watch are few, and wait for the news

let socket = null; // htmx's wrapper of the socket in use
let current = null; // the WebSocket itself
let heardAt = Date.now();
let failures = 0;
let retry = null;
let clockSkew = 0; // milliseconds that this clock is ahead of the server's

function show(name) {
  if (live.dataset.state === name) return;
  live.dataset.state = name;
  state.textContent = state.dataset[name];
  if (pause) pause.disabled = name !== "live";
}

// The socket --------------------------------------------------------------------------

// htmx reconnects after four close codes only, and cannot be told to leave it to us.
htmx.config.wsReconnectDelay = () => 2 ** 31 - 1;
htmx.createWebSocket = (url) => {
  current = new WebSocket(url);
  return current;
};

function rowsOnPage() {
  const have = {};
  for (const body of live.querySelectorAll("tbody[id$='-rows']")) {
    const ids = Array.from(body.rows, (row) => row.id);
    have[body.id.replace("-rows", "")] = ids;
  }
  return have;
}

function reconnectAfter(delay) {
  clearTimeout(retry);
  retry = setTimeout(() => {
    if (current === null) socket.reconnect();
  }, delay);
}

// Full jitter: a server that is back is not met by everybody at once.
function reconnectSoon() {
  const longest = Math.min(1000 * 2 ** failures, LONGEST_DELAY);
  failures += 1;
  reconnectAfter(Math.random() * longest);
}

live.addEventListener("htmx:wsConnecting", () => {
  heardAt = Date.now();
});

live.addEventListener("htmx:wsOpen", (event) => {
  socket = event.detail.socketWrapper;
  failures = 0;
  heardAt = Date.now();
  document.getElementById("monitor-farewell").replaceChildren();
  const paused = pause !== null && isPaused();
  socket.sendImmediately(JSON.stringify({ have: rowsOnPage(), paused }));
});

live.addEventListener("htmx:wsClose", (event) => {
  socket = event.detail.socketWrapper;
  const closed = event.detail.event;
  if (closed.target !== current) return; // one that we gave up before
  current = null;
  if (closed.code >= 4400 && closed.code < 4500) {
    show("closed");
    return;
  }
  show("offline");
  reconnectSoon();
});

live.addEventListener("htmx:wsBeforeMessage", (event) => {
  heardAt = Date.now();
  show("live");
  // Cells change by the hundred, and an out-of-band swap of htmx's takes about 2 ms.
  if (event.detail.message.startsWith("<span")) {
    event.preventDefault();
    replaceCells(event.detail.message);
    countChosen();
  }
});

// As htmx would: each element takes the place of the one with its id, or removes it.
// One that is the same already stays, and with it what is selected in it.
function replaceCells(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body.children;
  for (const element of Array.from(fresh)) {
    const shown = document.getElementById(element.id);
    if (element.getAttribute("hx-swap-oob") === "delete") shown?.remove();
    else if (shown !== null && !shown.isEqualNode(element)) shown.replaceWith(element);
  }
}

window.addEventListener("online", () => {
  if (live.dataset.state === "offline" && socket !== null) reconnectAfter(0);
});

// A half-open socket never closes by itself, and one that gets no answer to its
// handshake not for minutes.
function watch() {
  if (current === null || live.dataset.state === "closed") return;
  const silence = Date.now() - heardAt;
  if (silence > DEAD_AFTER) giveUp();
  else if (silence > STALE_AFTER && live.dataset.state === "live") show("stale");
}

function giveUp() {
  const abandoned = current;
  show("offline");
  // The page's first has no wrapper yet by which to connect again, and needs none: as it
  // was never open, it closes at once, and htmx tells of that.
  if (socket !== null) {
    current = null;
    reconnectSoon();
  }
  abandoned.close();
}

// Clocks ------------------------------------------------------------------------------

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

function duration(seconds) {
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [1, "s"];
  return `${Math.floor(Math.max(seconds, 0) / length)} ${unit}`;
}

function tickClocks() {
  const now = Date.now() - clockSkew;
  for (const time of live.querySelectorAll("time:is([data-since], [data-until])")) {
    const passed = (now - Date.parse(time.dateTime)) / 1000;
    const text = duration("until" in time.dataset ? -passed : passed);
    if (time.textContent !== text) time.textContent = text;
  }
}

live.addEventListener("htmx:wsAfterMessage", () => {
  const pulse = document.getElementById("monitor-pulse");
  if (pulse?.dateTime) clockSkew = Date.now() - Date.parse(pulse.dateTime);
});

setInterval(() => {
  if (live.dataset.state !== "closed") tickClocks();
  watch();
}, 1000);

// The feed's pause --------------------------------------------------------------------

const isPaused = () => pause.getAttribute("aria-pressed") === "true";

pause?.addEventListener("click", () => {
  const paused = !isPaused();
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? pause.dataset.resume : pause.dataset.pause;
  socket.send(JSON.stringify({ paused }));
});

// Choosing connections ----------------------------------------------------------------

function countChosen() {
  const button = document.getElementById("disconnect-chosen");
  if (button === null) return;
  const count = live.querySelectorAll("input[name=connection]:checked").length;
  document.getElementById("chosen-count").textContent = count;
  button.disabled = count === 0;
  const other = document.getElementById("ask-of-chosen");
  if (other !== null) other.disabled = count === 0;
}

live.addEventListener("change", countChosen);
live.addEventListener("htmx:wsAfterMessage", countChosen);
window.addEventListener("pageshow", countChosen);
