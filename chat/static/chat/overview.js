// The page of all rooms, kept live over a socket of its own.

import { askAgain, askForRooms, Rooms } from "./rooms.js";
import { Socket } from "./socket.js";
import { Status } from "./status.js";

const find = (id) => document.getElementById(id);
const { user, archived, first, only } = find("rooms").dataset;

const rooms = new Rooms({
  rooms: find("rooms"),
  user,
  archived: archived !== undefined,
  grows: first !== undefined,
  complete: only !== undefined && archived === undefined,
});
const socket = new Socket("/ws/rooms/");
const status = new Status({
  pill: find("state"),
  notice: find("notice"),
  retry: () => socket.retry(),
  next: gettext("Trying again %s."),
});

socket.addEventListener("frame", ({ detail }) => {
  if (detail.type === "rooms") rooms.take(detail);
  if (detail.type === "marks") rooms.mark(detail);
  if (detail.type === "error") askAgain(socket, detail);
  find("no-rooms").hidden = rooms.known.size > 0;
});
socket.addEventListener("state", ({ detail }) => {
  status.show(detail.state === "open" ? { state: "connected" } : detail);
  if (detail.state === "open") askForRooms(socket);
  else rooms.tellStale(true);
});
socket.retry();
