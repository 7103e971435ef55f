"""What the server says: each function returns the text of one frame."""

import orjson

# Bytes of a page of history. Servers limit frames, plain daphne also those that it
# sends: a few long messages must not make a room that nobody can enter.
HISTORY_SIZE = 128 * 2**10
BEYOND = {"before": ("more",), "after": ("newer",), "around": ("more", "newer")}
LAST_LENGTH = 140  # characters of the last message, in a list of rooms
NAMED = 5  # of those who are in a room, in a list of rooms
HEARTBEAT = '{"type":"heartbeat"}'


def message(stored, slug):
    """A live message; or what became of one. No other frame has the key `message`."""
    is_new = not (stored.edited_at or stored.deleted_at)
    kind, key = ("message", "message") if is_new else ("changed", "text")
    return _encode({"type": kind, key: stored.text, **_particulars(stored, slug)})


def room(name, archived_at):
    """What a room is called, and whether it is archived; when that changes."""
    return _encode({"type": "room", **_facts(name, archived_at)})


def history(messages, more, slug, rev=None, facts=()):
    """Messages that were there before, oldest first.

    The newest of them, if all would be too much for one frame; then there are more.
    `rev` is that of the room, and `facts` its name and since when it is archived; for
    who joins.
    """
    shown = _fitting(reversed(messages), slug)
    content = {"type": "history", "messages": shown[::-1]}
    content["more"] = more or len(shown) < len(messages)
    return _encode(content if rev is None else content | {"rev": rev, **_facts(*facts)})


def page(messages, slug, where, seq, *rest):
    """A page of messages where a client asked for it, oldest first, as in `history`.

    `rest` says whether there are more beyond it: older ones of a page before a number,
    newer ones of a page after it, and both of one around it.
    """
    beyond = dict(zip(BEYOND[where], rest, strict=True))
    older = [message for message in messages if message.seq < seq]
    newer = messages[len(older) :]
    # What is nearest to the number is shown in any case.
    limit = HISTORY_SIZE // len(beyond)
    shown_older = _fitting(reversed(older), slug, limit)
    shown_newer = _fitting(newer, slug, limit)
    if len(shown_older) < len(older):
        beyond["more"] = True
    if len(shown_newer) < len(newer):
        beyond["newer"] = True
    shown = shown_older[::-1] + shown_newer
    return _encode({"type": "history", where: seq, "messages": shown, **beyond})


def found(messages, before, slug, text):
    """Messages with a text in them, newest first.

    `before` is the number before which to look on; None if there is nothing more.
    """
    shown = _fitting(messages, slug)
    if len(shown) < len(messages):
        before = messages[len(shown) - 1].seq
    content = {"type": "found", "text": text, "messages": shown}
    return _encode(content | {"before": before})


def resumed(messages, more, slug, after):
    """What changed after a rev, in that order, or the start of it.

    Then there is more, after the `rev` of this frame.
    """
    shown = _fitting(messages, slug)
    return _encode(
        {
            "type": "resumed",
            "messages": shown,
            "rev": messages[len(shown) - 1].rev if shown else after,
            "more": more or len(shown) < len(messages),
        }
    )


def ack(stored):
    """A message is committed; to its sender, if it has a `client_id`."""
    content = {"type": "ack", "client_id": stored.client_id, "seq": stored.seq}
    return _encode(content | {"sent_at": stored.sent_at})


def done(stored):
    """A change is committed, or there was nothing to change; to whoever asked."""
    return _encode({"type": "done", "seq": stored.seq, "rev": stored.rev})


def members(names, idle=(), away=()):
    """Who is in the room; None if nobody can know.

    `idle`: since when, by the names of those who are; `away`: who belongs to the room
    and is not there.
    """
    content = {"type": "members", "members": names, "idle": dict(idle)}
    content["away"] = [
        {"user": one.user, "seen_at": one.seen_at}
        | ({"elsewhere": True} if one.is_elsewhere else {})
        for one in away
    ]
    return _encode(content)


def typing(username):
    """Somebody else in the room writes."""
    return _encode({"type": "typing", "user": username})


def rooms(parts, whole=False):
    """Rooms of a list, from `entry`: the whole list, or those that have changed."""
    return _encode({"type": "rooms", "rooms": parts, "whole": whole})


def entry(listed, here):
    """A room in a list; `here` are names, None if nobody can know."""
    content = {"room": listed.slug, "kind": listed.kind, "seq": listed.last_seq}
    content |= _facts(listed.name, listed.archived_at)
    content["last"] = listed.last_at and {
        "user": listed.last_author,
        "text": listed.last_text[:LAST_LENGTH],
        "sent_at": listed.last_at,
    }
    if listed.kind == "direct":
        content["members"] = sorted(listed.members.values())
    if here is not None:
        content |= {"here": here[:NAMED], "here_count": len(here)}
    return content


def mark(read_seq, mentions):
    """How far a user has read; None if they have not been there. And how often they
    were called since."""
    return {"read": read_seq, "mentions": mentions}


def marks(found, whole=False):
    """How a user stands to rooms, by slug: where that has changed, or to all."""
    stands = [{"room": slug, **mark(*one)} for slug, one in found.items()]
    return _encode({"type": "marks", "marks": stands, "whole": whole})


def notice(text):
    """A word of staff to whoever is connected; not stored."""
    return _encode({"type": "notice", "text": text})


def whoami(facts):
    """What the server knows of this connection."""
    return _encode({"type": "whoami", "scope": facts})


def error(refused, about):
    """Why a request was not carried out; the connection stays.

    `about` is what was refused: with its `type`, and its `client_id` or `seq`, its
    sender can tell.
    """
    content = {"type": "error", "code": refused.code, "detail": refused.detail}
    if refused.retry_after:
        content["retry_after"] = refused.retry_after
    kind = about.get("type")
    client_id, seq = about.get("client_id"), about.get("seq")
    if isinstance(kind, str):
        content["about"] = kind[:20]  # characters; longer than all that there are
    if isinstance(client_id, str):
        content["client_id"] = client_id[:36]  # characters of a UUID
    if type(seq) is int:
        content["seq"] = seq
    return _encode(content)


def size(text):
    """The bytes of a frame's text; a lone surrogate, which no frame can hold, is 3."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def bye(code, reason, retry_after=None):
    """The last frame before a close, for clients whose server drops the reason.

    `retry_after`: seconds after which the client may come back.
    """
    content = {"type": "bye", "code": code, "reason": reason}
    return _encode(content | ({"retry_after": retry_after} if retry_after else {}))


def _facts(name, archived_at):
    return {"name": name, "archived": archived_at is not None}


def _fitting(messages, slug, limit=HISTORY_SIZE):
    """As many messages, encoded, as fit into one frame; at least one."""
    shown, size = [], 0
    for stored in messages:
        text = _encode({"text": stored.text, **_particulars(stored, slug)})
        size += len(text.encode())
        if size > limit and shown:
            break
        shown.append(orjson.Fragment(text))
    return shown


def _particulars(stored, slug):
    particulars = {
        "seq": stored.seq,
        "rev": stored.rev,
        "room": slug,
        "user": stored.author_name,
        "sent_at": stored.sent_at,
    }
    if stored.client_id:
        particulars["client_id"] = stored.client_id
    if stored.deleted_at:
        particulars["deleted_at"] = stored.deleted_at
        particulars["deleted_by"] = stored.deleted_by_name
    elif stored.edited_at:
        particulars["edited_at"] = stored.edited_at
    return particulars


def _encode(content):
    return orjson.dumps(content, option=orjson.OPT_UTC_Z).decode()
