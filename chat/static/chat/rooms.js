// Lists of rooms: what was said last, what is not read yet, who is there.

import { exact, relative } from "./times.js";

const AGAIN = 1; // s until the list is asked for again, if the server does not say
const FEW = 99; // unread messages, and then only that there are more
const KINDS = { private: gettext("private"), direct: gettext("direct message") };

/** Ask for the list, and for what changes in it from then on. */
export function askForRooms(socket) {
  socket.send({ type: "rooms" });
}

/** The server refused the list: ask once more, when it says, and not all tabs at once. */
export function askAgain(socket, { retry_after: wait = AGAIN }) {
  setTimeout(() => askForRooms(socket), 1000 * wait * (1 + Math.random()));
}

/**
 * The rooms that a user may enter, in one list or in two: `direct` for direct messages.
 *
 * What was said last comes first; while somebody points into a list, nothing moves.
 */
export class Rooms {
  constructor({ rooms, direct = rooms, opener, user, current, reads, archived = false, grows = true, complete = true }) {
    this.lists = { rooms, direct };
    this.opener = opener; // the button behind which they are on a phone, if any
    this.user = user;
    this.current = current; // the slug of the room that the page shows
    this.reads = reads; // () => whether somebody reads its newest messages
    this.archived = archived; // whether it lists these, or the others
    this.grows = true;
    this.complete = complete; // whether it has all rooms of the whole list
    this.template = document.getElementById("entry");
    this.known = new Map(); // rooms by slug
    this.listed = new Set(); // slugs of the last whole list
    for (const list of new Set([rooms, direct])) {
      list.addEventListener("mouseleave", () => this.arrange());
      list.addEventListener("focusout", ({ relatedTarget }) => list.contains(relatedTarget) || this.arrange());
    }
    for (const room of JSON.parse(document.getElementById("rooms-data").textContent)) this.put(room);
    this.grows = grows; // whether rooms come that were not there when it was made
    this.arrange();
    this.tellNews();
    setInterval(() => this.tellTimes(), 30_000);
  }

  /** Take in what the server says of rooms; of all of them, if that is the `whole`. */
  take({ rooms, whole }) {
    const named = new Set(rooms.map(({ room }) => room));
    if (whole) this.listed = named;
    for (const room of rooms) this.put(room);
    const gone = (slug) => !named.has(slug) && slug !== this.current;
    if (whole && this.complete) [...this.known.keys()].filter(gone).forEach((slug) => this.remove(slug));
    this.arrange();
    this.tellNews();
    this.tellStale(false);
  }

  /** Take in how far the user has read; in all of the list, if that is the `whole`. */
  mark({ marks, whole }) {
    const named = new Map(marks.map((mark) => [mark.room, mark]));
    for (const slug of [...this.known.keys()]) {
      const never = whole && this.listed.has(slug) && { room: slug, read: null, mentions: 0 };
      const mark = named.get(slug) ?? never;
      if (mark) this.put(this.newer(mark));
    }
    this.tellNews();
  }

  /** Say on the button whether something is not read in another room. */
  tellNews() {
    if (!this.opener) return;
    const isNews = ({ room, element }) => room !== this.current && element.classList.contains("has-news");
    const news = [...this.known.values()].some(isNews);
    this.opener.classList.toggle("has-news", news);
    this.opener.ariaLabel = news ? gettext("Rooms; something is not read") : gettext("Rooms");
  }

  /** A mark, or what is known here already: it is on its way to the server. */
  newer(mark) {
    const { read, seq } = this.known.get(mark.room);
    if ((read ?? 0) <= (mark.read ?? 0)) return mark;
    return { ...mark, read, mentions: read < seq ? mark.mentions : 0 };
  }

  /** The connection went, or is there: whether the lists are true. */
  tellStale(isStale) {
    for (const list of Object.values(this.lists)) list.classList.toggle("stale", isStale);
  }

  /** The messages of a room up to a number are read. */
  read(slug, seq) {
    const room = this.known.get(slug);
    if (room) this.put({ room: slug, read: Math.max(room.read ?? 0, seq), seq: Math.max(room.seq, seq), mentions: 0 });
  }

  put(news) {
    const known = this.known.get(news.room);
    const room = { ...known, ...news };
    if (!known && !this.grows) return;
    if (room.archived !== this.archived && room.room !== this.current) return this.remove(room.room);
    room.element ??= this.template.content.firstElementChild.cloneNode(true);
    this.known.set(room.room, room);
    this.show(room);
  }

  remove(slug) {
    this.known.get(slug)?.element.remove();
    this.known.delete(slug);
  }

  show(room) {
    const { element, kind, last } = room;
    const { here, count } = this.others(room);
    const find = (name) => element.querySelector(`.${name}`);
    element.dataset.kind = kind;
    const link = element.querySelector("a");
    link.href = `/rooms/${room.room}/`;
    if (room.room === this.current) link.ariaCurrent = "page";
    find("room-name").textContent = this.title(room);
    find("room-name").title = this.title(room);
    find("room-kind").textContent = KINDS[kind] ?? "";
    find("room-last").textContent = lastWords(last);
    find("room-present").hidden = here === undefined;
    find("dot").classList.toggle("hollow", !count);
    find("room-here").textContent = present(here ?? [], count);
    this.showCounts(room);
    this.showTime(room);
  }

  /** Who is there; of a direct one, whether the other is. */
  others({ kind, here, here_count: count }) {
    if (kind !== "direct" || here === undefined) return { here, count };
    const others = here.filter((name) => name !== this.user);
    return { here: others, count: others.length };
  }

  showCounts({ element, seq, read, mentions: calls, room }) {
    // What is about to be shown is read as soon as it is.
    const isRead = read === null || read === undefined || (room === this.current && this.reads());
    const unread = isRead ? 0 : Math.max(0, seq - read);
    const mentions = isRead && read ? 0 : calls;
    const called = element.querySelector(".calls-count");
    called.hidden = !mentions;
    called.textContent = `@${mentions}`;
    called.ariaLabel = interpolate(ngettext("%s mention", "%s mentions", mentions), [mentions]);
    const count = element.querySelector(".unread-count");
    count.hidden = unread === 0;
    count.textContent = unread > FEW ? `${FEW}+` : unread;
    count.ariaLabel = interpolate(ngettext("%s unread message", "%s unread messages", unread), [unread]);
    element.classList.toggle("has-news", unread > 0 || mentions > 0);
  }

  showTime({ element, last }) {
    const time = element.querySelector("time");
    time.hidden = !last;
    if (!last) return;
    const date = new Date(last.sent_at);
    time.dateTime = last.sent_at;
    time.textContent = relative(date);
    time.title = exact(date);
  }

  tellTimes() {
    for (const room of this.known.values()) this.showTime(room);
  }

  title({ kind, members, name }) {
    return (kind === "direct" && members.find((member) => member !== this.user)) || name;
  }

  /** Put what was said last first, unless somebody is about to choose. */
  arrange() {
    const sorted = [...this.known.values()].sort((a, b) => liveliness(b) - liveliness(a));
    for (const list of new Set(Object.values(this.lists))) {
      if (list.matches(":hover, :focus-within") && list.hasChildNodes()) continue;
      const wanted = sorted.filter((room) => this.listOf(room) === list).map(({ element }) => element);
      if (wanted.some((element, index) => list.children[index] !== element)) list.replaceChildren(...wanted);
    }
    // New ones are shown at once, at the end of a list that must not move.
    for (const room of sorted) if (!room.element.parentElement) this.listOf(room).append(room.element);
  }

  listOf({ kind }) {
    return kind === "direct" ? this.lists.direct : this.lists.rooms;
  }
}

const liveliness = ({ last }) => (last ? Date.parse(last.sent_at) : 0);

function lastWords(last) {
  if (!last) return gettext("Nothing said yet. Be the first.");
  return last.text ? `${last.user}: ${last.text}` : gettext("A message that was deleted.");
}

function present(names, count) {
  if (!count) return gettext("nobody here now");
  const rest = count - names.length;
  const all = names.join(", ");
  return rest > 0 ? interpolate(gettext("%s and %s more"), [all, rest]) : all;
}
