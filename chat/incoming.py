"""What a client says: checked here, so that nothing after it meets a surprise."""

import uuid

import orjson
from django.utils.translation import gettext as _

from . import frames

FRAME_LIMIT = 64 * 2**10  # bytes; a text of 4,000 characters takes 48,000 at most
TEXT_LIMIT = 4000  # characters of a message
QUERY_LIMIT = 200  # characters of what is searched for
SEQ_LIMIT = 2**63  # what the database takes


class Refused(Exception):
    """Something that a client asked for cannot be done.

    `code` is for programs, `detail` says to people what to do instead, `retry_after`
    is the number of seconds after which the same would be accepted.
    """

    def __init__(self, code, detail, retry_after=None):
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def decode(text):
    """Return the object in a frame; None stands for a binary frame."""
    if text is None:
        detail = _("Binary frames are not understood; send JSON text.")
        raise Refused("binary", detail)
    if frames.size(text) > FRAME_LIMIT:
        detail = _("A frame has at most %(limit)s bytes.")
        raise Refused("too-large", detail % {"limit": f"{FRAME_LIMIT:,}"})
    try:
        # orjson limits nesting and numbers by itself, and takes no lone surrogates.
        content = orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        raise Refused("not-json", _("This is not valid JSON.")) from None
    if not isinstance(content, dict):
        detail = _('Send an object such as {"message": "hello"}.')
        raise Refused("not-an-object", detail)
    return content


def text_of(content):
    """Return the text of a message."""
    text = content.get("message")
    if text is None:
        raise Refused("no-message", _('The key "message" is missing.'))
    if not isinstance(text, str):
        raise Refused("not-a-string", _('"message" must be a string.'))
    if len(text) > TEXT_LIMIT:
        detail = _("A message has at most %(limit)s characters; this has %(length)s.")
        facts = {"limit": f"{TEXT_LIMIT:,}", "length": f"{len(text):,}"}
        raise Refused("too-long", detail % facts)
    if "\0" in text:
        detail = _("A message cannot contain the character NUL.")
        raise Refused("bad-text", detail)
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        detail = _("A message needs at least one visible character.")
        raise Refused("blank", detail)
    return text


def client_id_of(content):
    """Return the id that the client gave its message, or None."""
    value = content.get("client_id")
    if value is None:
        return None
    try:
        client_id = uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        client_id = None
    # Another spelling would come back as this one, and its sender not know it again.
    if value != str(client_id):
        detail = _(
            '"client_id" must be a UUID of 36 characters, with a-f in lower case.'
        )
        raise Refused("bad-client-id", detail)
    return client_id


def after_of(content):
    """Return the rev after which a client wants to hear what changed."""
    value = content.get("after")
    if type(value) is int and 0 <= value < SEQ_LIMIT:
        return value
    detail = _('"after" must be the rev that the client has, or 0.')
    raise Refused("bad-after", detail)


def rev_of(content):
    """Return the rev up to which a client has seen everything."""
    value = content.get("rev")
    if type(value) is int and 0 <= value < SEQ_LIMIT:
        return value
    detail = _('"rev" must be the highest rev that the client has.')
    raise Refused("bad-rev", detail)


def seq_of(content):
    """Return the number of the message that is to be changed."""
    value = content.get("seq")
    if type(value) is int and 0 < value < SEQ_LIMIT:
        return value
    detail = _('"seq" must be the number of a message.')
    raise Refused("bad-seq", detail)


def place_of(content):
    """Return which page of history a client wants: before, after or around a number."""
    places = [place for place in ("before", "after", "around") if place in content]
    if len(places) != 1:
        detail = _(
            'Say one of "before", "after" and "around", the number of a message.'
        )
        raise Refused("bad-place", detail)
    (where,) = places
    least = 0 if where == "after" else 1
    if type(content[where]) is int and least <= content[where] < SEQ_LIMIT:
        return where, content[where]
    detail = _('"%(key)s" must be the number of a message.')
    raise Refused("bad-place", detail % {"key": where})


def query_of(content):
    """Return the text that a client searches for."""
    text = content.get("text")
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        detail = _('"text" must be what to search for.')
        raise Refused("bad-query", detail)
    if len(text) > QUERY_LIMIT:
        detail = _("Search for at most %(limit)s characters.")
        raise Refused("bad-query", detail % {"limit": QUERY_LIMIT})
    return text.strip()


def before_of(content):
    """Return the number before which messages are wanted; any, if none is said."""
    value = content.get("before", SEQ_LIMIT - 1)
    if type(value) is int and 0 < value < SEQ_LIMIT:
        return value
    detail = _('"before" must be the number of a message.')
    raise Refused("bad-before", detail)
