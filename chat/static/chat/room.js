// A room: what comes over its socket, and where it goes.

import { Activity } from "./activity.js";
import { Changes } from "./changes.js";
import { Composer } from "./composer.js";
import { setUpDrawers } from "./drawers.js";
import { Facts } from "./facts.js";
import { History } from "./history.js";
import { Kept } from "./kept.js";
import { Log } from "./log.js";
import { Members } from "./members.js";
import { Outbox } from "./outbox.js";
import { Reading } from "./reading.js";
import { askAgain, askForRooms, Rooms } from "./rooms.js";
import { Search } from "./search.js";
import { Socket } from "./socket.js";
import { showNotice } from "./notice.js";
import { setUpSettings, showRoom } from "./settings.js";
import { Status } from "./status.js";
import { clock } from "./times.js";
import { Typing } from "./typing.js";

const find = (id) => document.getElementById(id);
const { slug, kind, user, staff, textLimit, rate } = find("room").dataset;
const NO_SUCH_ROOM = 4404; // or nobody's who is not a member
const hasKeyboard = matchMedia("(pointer: fine)").matches; // or else one comes up, over the messages

const socket = new Socket(`/ws/chat/${slug}/`);
const log = new Log(find("log"), user, {
  isDirect: kind === "direct",
  ways(message) {
    const own = message.user === user;
    const ways = own ? [["edit", gettext("Edit"), () => edit(message)]] : [];
    return own || staff ? [...ways, ["delete", gettext("Delete"), () => remove(message)]] : ways;
  },
  toEnd: () => history.toEnd(),
  toUnread: (seq) => history.toUnread(seq),
  onEnd: () => (hasKeyboard ? find("message") : find("log")).focus(),
  onRead(seq) {
    reading.read(seq);
    if (seq) rooms.read(slug, seq);
  },
});
const reading = new Reading((seq) => socket.send({ type: "read", seq }));
const history = new History(log, (question) => socket.send(question));
const rooms = new Rooms({
  rooms: find("rooms-list"),
  direct: find("direct-list"),
  opener: document.querySelector("[aria-controls=rooms-side]"),
  user,
  current: slug,
  reads: () => log.following && !document.hidden,
});
const search = new Search(find("search"), find("search-button"), {
  ask: (question) => socket.send(question),
  goTo: (seq) => history.goTo(seq),
});
const members = new Members(find("members-side"), { user, count: find("member-count") });
const facts = new Facts(find("my-connection"), () => socket.send({ type: "whoami" }));
const status = new Status({
  pill: find("state"),
  notice: find("notice"),
  retry: () => socket.retry(),
  next: gettext("Trying again %s; what you write meanwhile sends itself."),
});
new Activity(() => socket.send({ type: "active" }));
const typing = new Typing(find("typing"), () => socket.send({ type: "typing" }));
const outbox = new Outbox({
  list: find("pending"),
  alert: find("unsent"),
  kept: new Kept(`outbox ${slug} ${user}`),
  user,
  rate: Number(rate),
  send: (content) => socket.send(content),
  opens: (message) => log.opens(message),
  grew: () => log.follow(),
  suspect: () => socket.restart(),
  edit: (text) => composer.put(text),
});
const composer = new Composer(find("composer"), {
  limit: Number(textLimit),
  draft: new Kept(`draft ${slug} ${user}`, "localStorage"),
  names: () => members.others,
  writes: () => typing.writes(),
  submit: (text) => {
    typing.rest();
    outbox.add(text);
    log.toNewest();
  },
  recall() {
    const last = log.findLast((message) => message.user === user && !message.deleted_at);
    if (last) edit(last);
    return Boolean(last);
  },
});
const changes = new Changes({
  kept: new Kept(`changes ${slug} ${user}`),
  send: (content) => socket.send(content),
  tell: (seq, text, ...buttons) => log.tellFate(seq, text, ...buttons),
  edit: (seq, text) => edit({ ...log.find(seq), text }),
});

function edit({ seq, text, date }) {
  composer.edit(text, interpolate(gettext("Editing your message of %s"), [clock(date)]), (message) =>
    changes.ask({ type: "edit", seq, message }));
}

function remove({ seq, text }) {
  const dialog = find("deletion");
  dialog.querySelector("blockquote").textContent = text;
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "delete" && changes.ask({ type: "delete", seq });
  dialog.showModal();
}

const handlers = {
  history(frame) {
    const joining = !history.joined;
    if (history.rev === undefined) log.readBefore = rooms.known.get(slug)?.read ?? undefined;
    history.received(frame);
    for (const message of frame.messages) outbox.seen(message.client_id);
    if (!joining) return;
    showRoom(kind, frame, composer);
    joined();
  },
  resumed(frame) {
    history.resumed(frame);
    for (const message of frame.messages) outbox.seen(message.client_id);
  },
  message({ message, ...rest }) {
    typing.forget(rest.user);
    log.addLive({ ...rest, text: message }, outbox.has(rest.client_id));
    outbox.seen(rest.client_id);
    history.saw(rest.rev);
  },
  changed(frame) {
    log.addChanges([frame]);
    history.saw(frame.rev);
  },
  room: (frame) => showRoom(kind, frame, composer),
  rooms: (frame) => rooms.take(frame),
  marks: (frame) => rooms.mark(frame),
  typing: (frame) => typing.saw(frame.user),
  done: (frame) => changes.done(frame),
  heartbeat: () => history.tell(),
  ack({ client_id: clientId, seq }) {
    // One that a reload sent again may be in pages that nobody has loaded.
    if (seq < log.oldest) outbox.seen(clientId);
    else outbox.acked(clientId);
  },
  notice: (frame) => showNotice(find("staff-notice"), frame.text),
  members: (frame) => members.show(frame),
  whoami: ({ scope }) => facts.show(scope),
  found: (frame) => search.found(frame),
  error(frame) {
    if (frame.about === "search") search.refused(frame);
    else if (frame.about === "rooms") askAgain(socket, frame);
    else if (frame.about === "history" || frame.about === "resume") history.failed();
    else if (!outbox.refused(frame)) changes.refused(frame);
  },
};

/** Nobody writes on a page that the server has sent away; what was written can be copied. */
function leave({ state, code }) {
  const isOut = state === "closed" && code === NO_SUCH_ROOM;
  find("composer").inert = isOut;
  for (const name of ["search-button", "room-settings"]) if (find(name)) find(name).disabled = isOut;
}

function joined() {
  status.show({ state: "connected" });
  outbox.connect(true);
  changes.connect(true);
  facts.refresh();
  askForRooms(socket);
  reading.send();
}

socket.addEventListener("frame", ({ detail }) => handlers[detail.type]?.(detail));
socket.addEventListener("state", ({ detail }) => {
  status.show(detail);
  if (detail.state === "open") return;
  const connecting = detail.state === "connecting";
  if (history.rev === undefined) log.tellAbsent(connecting);
  history.lost();
  members.lost(connecting);
  rooms.tellStale(true);
  reading.lost();
  search.lost();
  leave(detail);
  typing.forgetAll();
  changes.connect(false);
  outbox.connect(false, { final: detail.state === "closed" });
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) reading.hurry();
  else if (log.atEnd()) log.read();
});
addEventListener("pagehide", () => reading.hurry());

setUpDrawers();
setUpSettings();
socket.retry();
if (hasKeyboard) find("message").focus();
