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
    if (!asked) this.note.textContent = gettext("Not connected; this is filled when the connection is back.");
  }

  show(scope) {
    this.note.textContent = gettext("What the server knows of you, from the handshake of this connection.");
    this.list.replaceChildren(...facts(scope).flatMap(([name, value]) => entry(name, value)));
  }
}

function facts(scope) {
  const { user, session, route, query, client, server, subprotocols, cookies, headers } = scope;
  return [
    [gettext("User"), user?.authenticated ? `${user.username}${roles(user)}` : gettext("not logged in")],
    [gettext("Session began"), moment(session?.began_at)],
    [gettext("Session ends"), moment(session?.expires_at)],
    [gettext("Session"), session && interpolate(gettext("%s (a keyed hash; the key is never shown)"), [session.hash])],
    ...Object.entries(session?.values ?? {}).map(([name, value]) => [interpolate(gettext("Session: %s"), [name]), value]),
    [gettext("Path"), scope.path],
    [gettext("Route arguments"), pairs(route?.kwargs) || (route?.args ?? []).join(", ") || gettext("none")],
    [gettext("Query string"), pairs(query) || gettext("empty")],
    [gettext("Client"), address(client)],
    [gettext("Server"), address(server)],
    [gettext("Protocol"), `${scope.scheme}, HTTP ${scope.http_version}`],
    [gettext("Subprotocols"), (subprotocols ?? []).join(", ") || gettext("none")],
    [gettext("Cookies (names only)"), (cookies ?? []).join(", ") || gettext("none")],
    ...Object.entries(headers ?? {}).map(([name, value]) => [interpolate(gettext("Header %s"), [name]), value]),
  ].filter(([, value]) => value);
}

function roles(user) {
  if (user.superuser) return ` (${gettext("superuser")})`;
  return user.staff ? ` (${gettext("staff")})` : "";
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
