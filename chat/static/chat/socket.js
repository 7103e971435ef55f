// A websocket that comes back.

const DELAY = [1, 30]; // seconds, least and most between two attempts
const SOON = 1; // seconds within which all come back after a restart
const SILENCE = 45; // seconds; the server says something every 20
const HANDSHAKE = 20; // seconds that it may take; browsers wait for minutes

/**
 * Tells its listeners:
 *   "frame"  detail: the object that the server sent
 *   "state"  detail: {state: "connecting" | "open"}
 *                    {state: "offline", retryAt, reason}  comes back by itself
 *                    {state: "closed", code, reason}  does not
 */
export class Socket extends EventTarget {
  constructor(path) {
    super();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.address = `${scheme}//${location.host}${path}`;
    this.attempts = 0;
    this.final = false; // closed with a code that means: do not come back by yourself
    addEventListener("online", () => this.comeBack());
    addEventListener("offline", () => this.restart());
    // A page that comes out of the browser's cache has a dead socket.
    addEventListener("pageshow", (event) => event.persisted && this.comeBack());
  }

  /** Connect now, unless the server said not to. */
  comeBack() {
    if (!this.final) this.retry();
  }

  /** Connect now, unless connected or about to be; also where a reader asks for it. */
  retry() {
    if (this.websocket) return;
    this.final = false;
    clearTimeout(this.timer);
    this.farewell = null;
    this.tell("state", { state: "connecting" });
    this.open();
  }

  /** Wait for what is next, but not for ever: the network may have gone silently. */
  watch(seconds = SILENCE) {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.restart(), 1000 * seconds);
  }

  /** Give up a connection that may be dead, and make a new one. */
  restart() {
    if (!this.websocket) return;
    const { websocket } = this;
    websocket.onopen = websocket.onmessage = websocket.onclose = null;
    websocket.close();
    this.closed({ code: 1006 });
  }

  /** Send an object. False if there is no connection. */
  send(content) {
    if (this.websocket?.readyState !== WebSocket.OPEN) return false;
    this.websocket.send(JSON.stringify(content));
    return true;
  }

  open() {
    const websocket = new WebSocket(this.address);
    websocket.onopen = () => {
      this.watch();
      this.tell("state", { state: "open" });
    };
    websocket.onmessage = (event) => this.received(JSON.parse(event.data));
    websocket.onclose = (event) => this.closed(event);
    this.websocket = websocket;
    this.watch(HANDSHAKE);
  }

  received(frame) {
    this.watch();
    if (frame.type === "bye") this.farewell = frame;
    else this.attempts = 0;
    this.tell("frame", frame);
  }

  closed(event) {
    clearTimeout(this.watchdog);
    this.websocket = null;
    // The farewell comes before the close, and some servers drop the close's reason.
    const { code, reason } = this.farewell ?? event;
    if (code >= 4400 && code < 4500 && code !== 4429) {
      this.final = true;
      this.tell("state", { state: "closed", code, reason });
      return;
    }
    const delay = 1000 * (this.farewell?.retry_after ?? 0) + 1000 * this.delay(code);
    this.timer = setTimeout(() => this.retry(), delay);
    const why = this.farewell?.reason;
    this.tell("state", { state: "offline", retryAt: Date.now() + delay, reason: why });
  }

  /** Full jitter: clients that were cut off together do not come back together. */
  delay(code) {
    const [least, most] = DELAY;
    this.attempts += 1;
    const atOnce = code >= 4000 && code < 4100 && this.attempts === 1;
    if (atOnce) return SOON * Math.random();
    const longest = Math.min(most, least * 2 ** this.attempts);
    return least + (longest - least) * Math.random();
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
