"""Stands between the server and the application for one connection."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

from monitor.conf import settings
from monitor.ids import time_ordered_uuid
from monitor.models import Connection, Event
from monitor.scope import MASK, TOKEN, clean

from .capture import client_of, connection_row, keep, message_size

Cause, Kind = Connection.Cause, Event.Kind

SERVER_RESTARTS = 1012  # RFC 6455's registry of close codes; uvicorn sends it
NO_FRAME = 1006  # the connection ended without a close frame
FAREWELL_WITHIN = 1.0  # seconds; a peer that does not read would hold it up
REASON_LIMIT = 123  # bytes of a close reason, RFC 6455 section 5.5


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Keep a promise: a monitor that fails must not fail what it monitors."""

    @functools.wraps(method)
    def guarded(self: Recorder, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception:
            self.process.count_failure("Recording failed; the connection carries on")

    return guarded


class Holder(Protocol):
    """What a recorder needs of the process that holds its connection."""

    messages_in: int
    messages_out: int

    def add(self, recorder: Recorder) -> None: ...
    def discard(self, recorder: Recorder) -> None: ...
    def touched(self, recorder: Recorder) -> None: ...
    def note(self, record: dict[str, Any]) -> None: ...
    def count_failure(self, message: str) -> None: ...


class Recorder:
    """Records one connection: passes everything on unchanged, and notes it.

    It travels in `scope["monitor"]`, for `MonitorRouter` and `note_refusal`.
    """

    def __init__(
        self, scope: dict[str, Any], receive: Any, send: Any, process: Holder
    ) -> None:
        self.scope = scope
        self.server_receive = receive
        self.server_send = send
        self.process = process
        self.id = time_ordered_uuid()
        self.key = str(self.id)
        self.route_row = {"route": "", "consumer": ""}
        self.identity: dict[str, Any] = {}
        self.frames = True
        self.farewell: Callable[[int, str], str] | None = None
        self.refusal = ""
        self.opened = self.accepted = self.closed = self.ended = False
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.active_at = 0  # microseconds since 1970

    # The application's side ----------------------------------------------------------

    async def run(self, app: Any) -> None:
        """Call the application, and note how it ends."""
        self.begin()
        try:
            await app(dict(self.scope, monitor=self), self.receive, self.send)
            await self._close_for_the_application()
        except asyncio.CancelledError:
            # A server cancels its applications when it stops.
            self.end(Kind.DISCONNECT, Cause.SERVER, detail="cancelled by the server")
            raise
        except Exception as error:
            self.failed(error)
            raise
        finally:
            # For what is none of the above: GeneratorExit, SystemExit.
            self.end(Kind.DISCONNECT, Cause.LOST)
            self.leave()

    async def receive(self) -> dict[str, Any]:
        """Pass a message on to the application, once it is in the journal."""
        message = await self.server_receive()
        self.took(message)
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Pass a message on to the server."""
        try:
            await self.server_send(message)
        except OSError:
            # How a server says that the peer has gone (ASGI, "Send callable").
            self.end(Kind.DISCONNECT, Cause.LOST)
            raise
        self.gave(message)

    def routed(self, route: Any, scope: dict[str, Any]) -> None:
        """Hear from a router what it chose. Routers in routers tell one by one."""
        consumer = getattr(route.callback, "consumer_class", route.callback)
        self.frames = getattr(consumer, "monitor_frames", self.frames)
        self.farewell = getattr(consumer, "monitor_farewell", self.farewell)
        self.scope = scope  # a copy of ours that knows the route's arguments
        self.route_row = {
            "route": clean(route.name or str(route.pattern), 255),
            "consumer": clean(_dotted_name(consumer), 255),
        }

    def refusing(self, cause: str) -> None:
        """Hear why the connection is about to be refused."""
        self.refusal = cause

    # Staff's side --------------------------------------------------------------------

    async def disconnect(self, code: int, reason: str, cause: Connection.Cause) -> bool:
        """Close the connection from outside of its application.

        False if it had ended already. Raises what the server raises; then it may be
        tried again.
        """
        if self.closed or self.ended:
            return False

        short = reason.encode()[:REASON_LIMIT].decode("utf-8", "ignore")
        close = {"type": "websocket.close", "code": code, "reason": short}
        self.closed = True
        try:
            await self._bid_farewell(code, reason)
            await self.server_send(close)
        except BaseException:
            self.closed = False
            raise
        self.end(Kind.DISCONNECT, cause, code=code, detail=reason)
        return True

    async def _bid_farewell(self, code: int, reason: str) -> None:
        """Send the route's last frame, if it has one and the peer takes it."""
        if self.farewell is None or not self.accepted:
            return
        try:
            text = self.farewell(code, reason)
            async with asyncio.timeout(FAREWELL_WITHIN):
                await self.server_send({"type": "websocket.send", "text": text})
        except Exception:
            # The close matters more.
            self.process.count_failure("A farewell could not be sent")

    # What is noted -------------------------------------------------------------------

    @harmless
    def begin(self) -> None:
        self.process.add(self)

    @harmless
    def leave(self) -> None:
        self.process.discard(self)

    @harmless
    def took(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.connect":
                self.open()
            case "websocket.receive":
                self.received(message)
            case "websocket.disconnect":
                self.disconnected(message)

    @harmless
    def gave(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.send":
                self.sent(message)
            case "websocket.accept":
                self.accept(message)
            case "websocket.close":
                self.close(message)
            case "websocket.http.response.start":
                self.closed = True
                self.reject(code=message["status"])

    def open(self) -> None:
        """Note the handshake, as late as its route is known."""
        if self.opened:
            return
        self.opened = True
        row = connection_row(self.scope)
        self.identity = {
            "user_id": row["user_id"],
            "username": row["username"],
            "path": row["path"],
            "client": client_of(row),
        }
        self.note(Kind.CONNECT, row=row | self.route_row)

    def accept(self, message: dict[str, Any]) -> None:
        self.open()
        self.accepted = True
        subprotocol = TOKEN.sub(MASK, message.get("subprotocol") or "")
        self.note(Kind.ACCEPT, subprotocol=clean(subprotocol, 255))

    def received(self, message: dict[str, Any]) -> None:
        if not self.frames or self.ended:
            return
        text, size = keep(message, settings.TEXT_LIMIT)
        self.messages_in += 1
        self.bytes_in += size
        self.process.messages_in += 1
        self.note(Kind.RECEIVE, text=text, size=size)

    def sent(self, message: dict[str, Any]) -> None:
        if not self.frames or self.ended:
            return
        self.messages_out += 1
        self.bytes_out += message_size(message)
        self.process.messages_out += 1
        self.active_at = time.time_ns() // 1000
        self.process.touched(self)

    def close(self, message: dict[str, Any]) -> None:
        self.closed = True
        if self.refusal or not self.accepted:
            self.reject(code=message.get("code") if self.accepted else 403)
        else:
            code = message.get("code") or 1000
            reason = message.get("reason") or ""
            self.end(Kind.DISCONNECT, Cause.APPLICATION, code=code, detail=reason)

    def reject(self, code: int | None) -> None:
        detail = self.refusal or "refused by the application"
        self.end(Kind.REJECT, Cause.REJECT, code=code, detail=detail)

    def disconnected(self, message: dict[str, Any]) -> None:
        code = message.get("code")
        if code == SERVER_RESTARTS:
            cause = Cause.SERVER
        elif code == NO_FRAME:
            cause = Cause.LOST
        else:
            cause = Cause.CLIENT
        detail = message.get("reason") or ""
        self.closed = True
        self.end(Kind.DISCONNECT, cause, code=code, detail=detail)

    @harmless
    def failed(self, error: Exception) -> None:
        # What it says may quote a message: only for those who may read them.
        text, size = keep({"text": str(error)}, settings.TEXT_LIMIT)
        name = type(error).__name__
        self.end(Kind.ERROR, Cause.ERROR, detail=name, text=text, size=size)

    @harmless
    def end(
        self,
        kind: Event.Kind,
        cause: Connection.Cause,
        *,
        code: int | None = None,
        detail: str = "",
        **facts: Any,
    ) -> None:
        """Note the end of the connection: the first cause is the true one."""
        if self.ended:
            return
        self.open()
        self.ended = True
        if self.refusal and cause != Cause.ERROR:
            # It was being refused, whoever was quicker to hang up.
            kind, cause, detail = Kind.REJECT, Cause.REJECT, self.refusal
        code = code if isinstance(code, int) and 0 <= code <= 65535 else None
        facts |= {"cause": cause, "code": code, "detail": clean(str(detail), 500)}
        self.note(kind, **facts)

    def note(self, kind: Event.Kind, **facts: Any) -> None:
        self.active_at = time.time_ns() // 1000
        self.process.note(
            {
                "kind": kind,
                "connection_id": self.key,
                "at": self.active_at,
                "counts": self.counts(),
                **self.identity,
                **facts,
            }
        )

    def counts(self) -> tuple[int, int, int, int]:
        """Messages in and out, bytes in and out, until now."""
        return self.messages_in, self.messages_out, self.bytes_in, self.bytes_out

    async def _close_for_the_application(self) -> None:
        """Close what an application left open when it returned.

        Daphne would leave the socket open, answered by nobody.
        """
        if self.closed or self.ended:
            return

        self.closed = True
        await self.server_send({"type": "websocket.close", "code": 1000})
        detail = "the application returned"
        if self.accepted:
            self.end(Kind.DISCONNECT, Cause.APPLICATION, code=1000, detail=detail)
        else:
            self.end(Kind.REJECT, Cause.REJECT, code=403, detail=detail)


def _dotted_name(consumer: Any) -> str:
    name = getattr(consumer, "__qualname__", type(consumer).__qualname__)
    return f"{getattr(consumer, '__module__', '')}.{name}"
