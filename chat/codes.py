"""Why the chat closes a connection."""


class CloseCode:
    """Close codes of the chat; 4000-4999 are for applications (RFC 6455, 7.4.2).

    40xx: reconnect at once. 44xx: do not reconnect by itself, but for 4429, after the
    time that its farewell names. 45xx: back off. Not an `IntEnum`, which daphne's
    autobahn does not take for an integer.
    """

    TOO_SLOW = 4008
    SIGNED_OUT = 4401
    NO_SUCH_ROOM = 4404
    TOO_FAST = 4429
    OUR_ERROR = 4500
