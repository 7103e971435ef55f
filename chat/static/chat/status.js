// Whether there is a connection, and what to do if there is none.

const ADVICE = {
  4401: { text: gettext("Log in"), href: () => `/login/?next=${encodeURIComponent(location.pathname)}` },
  4404: { text: gettext("All rooms"), href: () => "/rooms/" },
};

const STATES = {
  connecting: gettext("connecting"),
  connected: gettext("connected"),
  offline: gettext("offline"),
  closed: gettext("closed"),
};

export class Status {
  /** `next`: what happens without a connection, with a place for when. */
  constructor({ pill, notice, retry, next }) {
    this.next = next;
    this.pill = pill;
    this.notice = notice;
    this.retry = retry; // () => void
  }

  /** Show a state of the socket, or "connected". */
  show({ state, retryAt, code, reason }) {
    clearInterval(this.countdown);
    if (state === "open") return; // joined only when the history is there
    const changed = this.pill.dataset.state !== state;
    this.pill.dataset.state = state;
    if (changed) this.pill.textContent = STATES[state];
    if (state === "connected") this.notice.hidden = true;
    if (state === "offline") this.showOffline(retryAt, reason);
    if (state === "connecting") this.sayWhen?.(gettext("now"));
    if (state === "closed") this.showClosed(code, reason);
  }

  showOffline(retryAt, reason = gettext("Connection lost.")) {
    const text = document.createElement("span");
    this.sayWhen = (when) => {
      text.textContent = `${reason} ${interpolate(this.next, [when])}`;
    };
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      this.sayWhen(interpolate(gettext("in %s s"), [seconds]));
    };
    tick();
    // Not announced every second: the pill's role "status" has said it.
    this.notice.setAttribute("role", "group");
    this.put("notice", text, this.button(gettext("Retry now")));
    this.countdown = setInterval(tick, 1000);
  }

  showClosed(code, reason) {
    const text = document.createElement("span");
    const why = reason || interpolate(gettext("code %s"), [code]);
    text.textContent = interpolate(gettext("Disconnected: %s"), [why]);
    const advice = ADVICE[code];
    this.notice.setAttribute("role", "alert");
    this.put("notice severe", text, advice ? link(advice) : this.button(gettext("Connect again")));
  }

  put(className, ...nodes) {
    this.notice.className = className;
    this.notice.replaceChildren(...nodes);
    this.notice.hidden = false;
  }

  button(text) {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.addEventListener("click", this.retry);
    return element;
  }
}

function link({ text, href }) {
  const element = document.createElement("a");
  element.className = "button";
  element.href = href();
  element.textContent = text;
  return element;
}
