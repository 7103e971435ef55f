// "My connection": what the server knows of this client.

import { exact, relative, timeElement } from "./times.js";

export class Facts {
  constructor(panel, ask) {
    this.panel = panel;
    this.note = panel.querySelector("#my-connection-note");
    this.list = panel.querySelector("dl");
    this.ask = ask; // () => boolean
    panel.addEventListener("toggle", () => this.refresh());
  }

  /** Ask the server, if somebody looks. */
  refresh() {
    if (!this.panel.open) return;
    const asked = this.ask();
    if (!asked) this.note.textContent = "Not connected; this is filled when the connection is back.";
  }

  show(scope) {
    this.note.textContent = "What the server knows of you, from the handshake of this connection.";
    this.list.replaceChildren(...facts(scope).flatMap(([name, value]) => entry(name, value)));
  }
}

function facts(scope) {
  const { user, session, route, query, client, server, subprotocols, cookies, headers } = scope;
  return [
    ["User", user?.authenticated ? `${user.username}${roles(user)}` : "not logged in"],
    ["Session began", moment(session?.began_at)],
    ["Session ends", moment(session?.expires_at)],
    ["Session", session && `${session.hash} (a keyed hash; the key is never shown)`],
    ...Object.entries(session?.values ?? {}).map(([name, value]) => [`Session: ${name}`, value]),
    ["Path", scope.path],
    ["Route arguments", pairs(route?.kwargs) || (route?.args ?? []).join(", ") || "none"],
    ["Query string", pairs(query) || "empty"],
    ["Client", address(client)],
    ["Server", address(server)],
    ["Protocol", `${scope.scheme}, HTTP ${scope.http_version}`],
    ["Subprotocols", (subprotocols ?? []).join(", ") || "none"],
    ["Cookies (names only)", (cookies ?? []).join(", ") || "none"],
    ...Object.entries(headers ?? {}).map(([name, value]) => [`Header ${name}`, value]),
  ].filter(([, value]) => value);
}

function roles(user) {
  if (user.superuser) return " (superuser)";
  return user.staff ? " (staff)" : "";
}

function pairs(object) {
  return Object.entries(object ?? {}).map(([name, value]) => `${name} = ${value}`).join(", ");
}

function address(value) {
  if (!value) return "";
  const [host, port] = value;
  if (port === null) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function moment(value) {
  if (!value) return null;
  const date = new Date(value);
  return timeElement(date, `${exact(date)} (${relative(date)})`);
}

function entry(name, value) {
  const term = document.createElement("dt");
  const definition = document.createElement("dd");
  term.textContent = name;
  definition.append(value);
  return [term, definition];
}
