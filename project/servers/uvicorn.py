"""Uvicorn, without its hand on the signals."""

import asyncio
import contextlib
import functools

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from .arrivals import Arrivals
from .garbage import Collector
from .limits import LARGEST_FRAME, LAST_WORD_WITHIN, PING_INTERVAL, PING_TIMEOUT
from .shutdown import Shutdown

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
LINGER = 2  # seconds that open requests get at the end

# Close codes, RFC 6455 section 7.4.1
PROTOCOL_ERROR = 1002
NO_FRAME = 1006
INVALID_PAYLOAD = 1007


def run(listener, application, say_goodbye):
    """Serve until a signal comes."""
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        http=HttpProtocol,
        ws=Protocol,
        ws_max_size=LARGEST_FRAME,
        # It would keep a compressor for each connection, and compress each frame anew
        # for each member of a room. Daphne does not offer it either.
        ws_per_message_deflate=False,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_TIMEOUT,
        timeout_graceful_shutdown=LINGER,
        server_header=False,
        proxy_headers=False,  # anybody on this machine could write them
    )
    server = Server(config)

    async def main():
        loop = asyncio.get_running_loop()
        Collector(loop)
        Shutdown(loop, server.stop_accepting, say_goodbye, server.stop)
        await server.serve(sockets=[listener])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())


class Server(uvicorn.Server):
    """Uvicorn's server, stopped from outside."""

    def __init__(self, config):
        super().__init__(config)
        # Where each protocol finds it.
        self.server_state.arrivals = Arrivals()

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    def stop_accepting(self):
        """Close the listening sockets, and the door."""
        for server in self.servers:
            server.close()
        self.server_state.arrivals.close()

    def stop(self):
        """End `serve`."""
        self.should_exit = True


@functools.lru_cache(maxsize=8)
def _frame(text):
    """The frame of a text, which is the same for all members of a room."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP, where whoever wants a websocket waits for their turn."""

    def handle_websocket_upgrade(self):
        self.transport.pause_reading()
        self.server_state.arrivals.add(self)

    def enter(self):
        if not self.transport.is_closing():
            self.transport.resume_reading()
            super().handle_websocket_upgrade()

    def turn_away(self):
        # Without an answer: a proxy takes that as a reason to ask another process.
        self.transport.close()


class Protocol(WebSocketsSansIOProtocol):
    """Uvicorn's websocket, which would call a connection lost 1005: "closed".

    The first disconnect message is the one that counts, so ours goes before its.
    And a client that reads nothing could neither be closed nor time out.
    """

    def data_received(self, data):
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # Headers that websockets does not take: uvicorn would never answer.
            self.transport.write(BAD_REQUEST)
            self.transport.close()

    def connection_lost(self, exc):
        # Only a ping timeout and the application close without a message before.
        sent = self.conn.close_sent
        self._gone(NO_FRAME, sent.reason if sent else "")
        super().connection_lost(exc)
        # The garbage collector may come for the rest of it much later.
        self.frames.clear()
        self.conn.parser_exc = None  # it has the stack, and that has this

    async def send(self, message):
        text = message.get("text")
        if text is not None and self._takes_frames():
            self.transport.write(_frame(text))
            return
        if message["type"] == "websocket.close":
            self._overtake()
        elif not self.writable.is_set():
            await self.writable.wait()
            if self.close_sent:
                raise ClientDisconnected
        await super().send(message)

    def handle_close(self, event):
        super().handle_close(event)
        self._abort_within(LAST_WORD_WITHIN)

    def keepalive_timeout(self):
        super().keepalive_timeout()
        self._abort_within(LAST_WORD_WITHIN)

    def handle_parser_exception(self):
        if self.conn.close_sent is None:
            # A frame before the handshake was answered: uvicorn fails an assertion.
            self._gone(PROTOCOL_ERROR, str(self.conn.parser_exc))
            self.transport.close()
        else:
            super().handle_parser_exception()

    def send_receive_event_to_app(self):
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError as error:
                # Uvicorn would log a traceback for each, and give nobody a reason.
                reason = f"{error.reason} at position {error.start}"
                self.conn.fail(INVALID_PAYLOAD, reason)
                return self.handle_parser_exception()
        super().send_receive_event_to_app()

    def _takes_frames(self):
        conn = self.conn
        is_open = conn.state is State.OPEN and not self.disconnected
        return is_open and self.writable.is_set() and not conn.extensions

    def _overtake(self):
        """Have the close frame wait for nobody who reads nothing."""
        if self.writable.is_set():
            self._abort_within(self.close_timeout + LAST_WORD_WITHIN)
        else:
            self.writable.set()
            self._abort_within(LAST_WORD_WITHIN)

    def _abort_within(self, seconds):
        # A transport closes only when all that it holds has been taken.
        self.loop.call_later(seconds, self.transport.abort)

    def _gone(self, code, reason):
        message = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.queue.put_nowait(message)
