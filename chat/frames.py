"""What the server says: each function returns the text of one frame."""

import orjson

# Bytes of a page of history. Servers limit frames, daphne also those that it sends:
# a few long messages must not make a room that nobody can enter.
HISTORY_SIZE = 128 * 2**10


def message(stored, slug):
    """A live message. No other frame has the key `message`."""
    return _encode(
        {"type": "message", "message": stored.text, **_particulars(stored, slug)}
    )


def history(messages, more, slug):
    """Messages that were there before, oldest first.

    The newest of them, if all would be too much for one frame; then there are more.
    """
    shown, size = [], 0
    for stored in reversed(messages):
        shown.append(_encode({"text": stored.text, **_particulars(stored, slug)}))
        size += len(shown[-1].encode())
        if size > HISTORY_SIZE and len(shown) > 1:
            shown.pop()
            more = True
            break
    fragments = [orjson.Fragment(text) for text in reversed(shown)]
    return _encode({"type": "history", "messages": fragments, "more": more})


def members(names):
    """Who is in the room; None if nobody can know."""
    return _encode({"type": "members", "members": names})


def whoami(facts):
    """What the server knows of this connection."""
    return _encode({"type": "whoami", "scope": facts})


def error(refused, about=None):
    """Why a request was not carried out; the connection stays.

    `about` is the `client_id` of a refused message, so that its sender can tell which.
    """
    content = {"type": "error", "code": refused.code, "detail": refused.detail}
    if refused.retry_after:
        content["retry_after"] = refused.retry_after
    if isinstance(about, str):
        content["client_id"] = about[:36]  # characters of a UUID
    return _encode(content)


def bye(code, reason):
    """The last frame before a close, for clients whose server drops the reason."""
    return _encode({"type": "bye", "code": code, "reason": reason})


def _particulars(stored, slug):
    particulars = {
        "seq": stored.seq,
        "room": slug,
        "user": stored.author_name,
        "sent_at": stored.sent_at,
    }
    if stored.client_id:
        particulars["client_id"] = stored.client_id
    return particulars


def _encode(content):
    return orjson.dumps(content, option=orjson.OPT_UTC_Z).decode()
