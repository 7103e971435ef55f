"""The server that simulated people go to, as a browser would."""

import json
import re
from urllib.parse import urlsplit

import websockets
from django.conf import settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
OPEN_WITHIN = 20.0  # seconds
CLOSE_WITHIN = 2.0
FORBIDDEN = 403
SIGNED_OUT = 4401
START = "start it with `make run`, or say with --url where it is"


class Unusable(Exception):
    """The demo cannot run; the text says why, and what to do."""


class Site:
    """Its address is such as `http://127.0.0.1:8000`."""

    def __init__(self, url):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.websockets = re.sub("^http", "ws", self.origin)

    def connect(self, path, session_key):
        """Open a websocket as a page would (an async context)."""
        return websockets.connect(
            f"{self.websockets}{path}",
            origin=self.origin,
            additional_headers={
                "Cookie": f"{settings.SESSION_COOKIE_NAME}={session_key}"
            },
            user_agent_header="Channelscope demo",
            open_timeout=OPEN_WITHIN,
            close_timeout=CLOSE_WITHIN,
            compression=None,  # the servers offer none
            proxy=None,
        )

    async def check(self, session_key):
        """See whether people can come in. Unusable."""
        try:
            async with self.connect("/ws/chat/", session_key) as socket:
                first = json.loads(await socket.recv())
        except websockets.InvalidStatus as refusal:
            status = refusal.response.status_code
            if status != FORBIDDEN:
                words = f"{self.origin} answers HTTP {status}, not as Channelscope does"
                raise Unusable(f"{words}; {START}.") from None
            raise Unusable(
                f"{self.origin} refuses pages of that address; add its host to "
                "ALLOWED_HOSTS, or say with --url a name that is there."
            ) from None
        except (OSError, TimeoutError, websockets.WebSocketException):
            raise Unusable(f"No server at {self.origin}; {START}.") from None
        if first.get("code") == SIGNED_OUT:
            raise Unusable(
                f"{self.origin} does not know the people of this database; set "
                "DATA_DIR and DATABASE_URL as for that server, or say another --url."
            )


def default_url():
    """Where `manage.py up` serves."""
    host = settings.HOST.strip("[]")
    return url_of(EVERYWHERE.get(host, host), settings.PORT)


def url_of(host, port):
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
