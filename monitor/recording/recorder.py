"""Stands between the server and the application for one connection."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection
from time import perf_counter_ns, time_ns
from typing import Any, Protocol

import orjson

from monitor.ids import time_ordered_uuid
from monitor.models import Connection, Event
from monitor.scope import MASK, TOKEN, clean

from . import lines
from .capture import Kept, connection_row, keep, message_size, redacted
from .failures import describe, keep_traceback
from .masking import mask
from .rules import Blocking, Capture, Rules, Subject, Tracing

Cause, Kind, Omission = Connection.Cause, Event.Kind, Event.Omission

SERVER_RESTARTS = 1012  # RFC 6455's registry of close codes; uvicorn sends it
NO_FRAME = 1006  # the connection ended without a close frame
# Codes by which one side says that the other broke the protocol (RFC 6455, 7.4.1).
# A page cannot send them: WebSocket.close() takes 1000 and 3000-4999.
PROTOCOL_ERRORS = {1002, 1003, 1007, 1009, 1010}
FAREWELL_WITHIN = 1.0  # seconds; a peer that does not read would hold it up
REASON_LIMIT = 123  # bytes of a close reason, RFC 6455 section 5.5
RECEIVE, SEND = Kind.RECEIVE.value, Kind.SEND.value
CONTROL_LIMIT = 4 * 2**10  # characters; a longer message is no control frame
FORBIDDEN = 4403
NOTHING = Capture(counts=False, events=False, limit=0)


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Keep a promise: a monitor that fails must not fail what it monitors."""

    @functools.wraps(method)
    def guarded(self: Recorder, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception:
            self.process.count_loss()

    return guarded


class NoNotices(Exception):
    """The consumer of a connection does not say how its clients take a notice."""


class Holder(Protocol):
    """What a recorder needs of the process that holds its connection."""

    messages_in: int
    messages_out: int
    rules: Rules

    def add(self, recorder: Recorder) -> None: ...
    def discard(self, recorder: Recorder) -> None: ...
    def touch(self, recorder: Recorder) -> None: ...
    def note(self, event: lines.Event) -> int: ...
    def note_message(self, message: lines.Message) -> int: ...
    def count_failure(self, message: str) -> None: ...
    def count_loss(self) -> None: ...


class Recorder:
    """Records one connection: passes everything on unchanged, and notes it.

    It travels in `scope["monitor"]`, for `MonitorRouter` and `note_refusal`.
    """

    # Slots, because there is one for each open connection.
    __slots__ = (
        *("scope", "server_receive", "server_send", "process", "key", "opened_at"),
        *("route_row", "subject", "frames", "farewell", "control_frames", "refusal"),
        *("subprotocol", "goes_on", "notice", "heartbeat", "automatic_frames"),
        *("opened", "accepted", "closed", "ended", "gone", "active_at", "touched"),
        *("heard_at", "shown_at", "has_types"),
        *("messages_in", "messages_out", "bytes_in", "bytes_out"),
        *("rules", "capture", "tracing"),
        *("handled", "handed_at", "handled_message", "handled_seq", "handler_us"),
    )

    def __init__(
        self, scope: dict[str, Any], receive: Any, send: Any, process: Holder
    ) -> None:
        self.scope = scope
        self.server_receive = receive
        self.server_send = send
        self.process = process
        self.key = time_ordered_uuid().hex
        self.opened_at = time_ns() // 1000  # microseconds since 1970, as all times here
        self.route_row: dict[str, str] = {"route": "", "consumer": ""}
        self.subject: Subject | None = None
        self.frames = True
        self.farewell: Callable[[int, str, dict[str, Any]], str] | None = None
        self.notice: Callable[[str], str] | None = None
        self.heartbeat: str | None = None
        self.control_frames: Collection[str] = ()
        self.automatic_frames: Collection[str] = ()
        self.has_types = False  # whether there are any of those two
        self.refusal = self.subprotocol = ""
        self.goes_on = False  # in another row than it began
        self.opened = self.accepted = self.closed = self.ended = False
        self.gone: BaseException | None = None  # by which the server said so
        self.active_at = self.opened_at
        self.heard_at: int | None = None  # when a person showed, if any did
        self.shown_at = self.opened_at  # the same, as it was last stored
        self.touched = False  # since its counts were last stored
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.rules: Rules | None = None
        self.capture = NOTHING
        self.tracing: tuple[Tracing, ...] = ()
        # The number of the message that the application has in its hands, the message
        # itself, and since when (nanoseconds of no particular clock).
        self.handled: int | None = None
        self.handled_message: dict[str, Any] | None = None
        self.handed_at = 0
        # The number of the message before, and how long it took; if not noted yet.
        self.handled_seq: int | None = None
        self.handler_us: int | None = None

    # The application's side ----------------------------------------------------------

    async def run(self, app: Any) -> None:
        """Call the application, and note how it ends."""
        self.begin()
        try:
            await app(dict(self.scope, monitor=self), self.receive, self.send)
            await self._close_for_the_application()
        except asyncio.CancelledError as error:
            if _was_asked_to_cancel():
                # A server cancels its applications when it stops, and those that are
                # busy for long after their peer has left.
                self._ask_why_it_is_gone()
                cancelled = "cancelled by the server"
                self.end(Kind.DISCONNECT, Cause.SERVER, detail=cancelled)
            else:
                self.failed(error)
            raise
        except Exception as error:
            if error is self.gone:
                self._ask_why_it_is_gone()
            else:
                self.failed(error)
            raise
        finally:
            # For what is none of the above: GeneratorExit, SystemExit.
            self.end(Kind.DISCONNECT, Cause.LOST)
            self.leave()

    async def receive(self) -> dict[str, Any]:
        """Pass a message on to the application, once it is in the journal."""
        if self.handled is not None:
            # The application had the last one until now, when it asks for the next.
            self.handler_us = (perf_counter_ns() - self.handed_at) // 1000
            self.handled_seq = self.handled
            self.handled = self.handled_message = None
            if not self.touched:
                self.process.touch(self)
        message = await self.server_receive()
        try:
            if message["type"] == "websocket.receive":
                self.received(message)
            else:
                self.took(message)
        except Exception:
            self.process.count_loss()
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Pass a message on to the server."""
        try:
            await self.server_send(message)
        except OSError as error:
            # How a server says that the peer has gone (ASGI, "Send callable").
            self.gone = error
            raise
        try:
            if message["type"] == "websocket.send":
                self.sent(message)
            else:
                self.gave(message)
        except Exception:
            if message.get("type") == "websocket.send" and not self.tracing:
                # It would have been no event: nothing is missing among them.
                self.process.count_failure("A message that was sent was not counted")
            else:
                self.process.count_loss()
        if message["type"] == "websocket.accept":
            await self._turn_away_late()

    def routed(self, route: Any, scope: dict[str, Any]) -> None:
        """Hear from a router what it chose. Routers in routers tell one by one."""
        consumer = getattr(route.callback, "consumer_class", route.callback)
        self.frames = getattr(consumer, "monitor_frames", self.frames)
        self.farewell = getattr(consumer, "monitor_farewell", self.farewell)
        self.notice = getattr(consumer, "monitor_notice", self.notice)
        self.heartbeat = getattr(consumer, "monitor_heartbeat", self.heartbeat)
        self.control_frames = getattr(
            consumer, "monitor_control_frames", self.control_frames
        )
        self.automatic_frames = getattr(
            consumer, "monitor_automatic_frames", self.automatic_frames
        )
        self.has_types = bool(self.control_frames or self.automatic_frames)
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

        False if it had ended already, or ends by itself at this moment. Raises what
        else the server raises; then it may be tried again.
        """
        if self.closed or self.ended:
            return False

        close = {"type": "websocket.close", "code": code, "reason": _short(reason)}
        self.closed = True
        try:
            await self._bid_farewell(code, reason)
            await self.server_send(close)
        except OSError:  # the peer has gone
            self.closed = False
            return False
        except BaseException:
            self.closed = False
            raise
        self.end(Kind.DISCONNECT, cause, code=code, detail=reason)
        return True

    async def notify(self, text: str) -> bool:
        """Send a notice of staff, in the frame that the route's clients know.

        False if the connection has ended, or ends at this moment. `NoNotices` if the
        consumer has no `monitor_notice`. Raises what else the server raises.
        """
        if self.closed or self.ended:
            return False
        if self.notice is None or not self.accepted:
            raise NoNotices
        try:
            await self.send({"type": "websocket.send", "text": self.notice(text)})
        except OSError:  # the peer has gone
            return False
        return True

    async def turn_away(self, block: Blocking) -> None:
        """Refuse a connection of somebody who is blocked, and say for how long.

        It is accepted first, or a browser would show neither code nor reason.
        """
        reason = block.sentence(time_ns() // 1000)
        self.refusing(f"blocked: {block.reason}")
        if not self.accepted:
            await self.send({"type": "websocket.accept"})
        await self._bid_farewell(FORBIDDEN, reason)
        close = {"type": "websocket.close", "code": FORBIDDEN}
        await self.send({**close, "reason": _short(reason)})

    async def _turn_away_late(self) -> None:
        """Refuse somebody who is blocked where no `MonitorRouter` has done so."""
        block = None if self.refusal else self.block()
        if block is not None:
            await self.turn_away(block)

    def block(self) -> Blocking | None:
        """What keeps the user or the client of this connection out, if anything."""
        rules = self.process.rules
        if not rules.blocks:
            return None
        try:
            user: Any = self.scope.get("user")
            known = getattr(user, "is_authenticated", False)
            host, _ = self.scope.get("client") or ("", 0)
            name = user.get_username() if known else ""
            return rules.block(name, host, time_ns() // 1000)
        except Exception:
            # Whatever the scope has: the monitor fails nobody's handshake.
            self.process.count_failure("Blocks could not be looked up")
            return None

    async def _bid_farewell(self, code: int, reason: str) -> None:
        """Send the route's last frame, if it has one and the peer takes it."""
        if self.farewell is None or not self.accepted:
            return
        try:
            text = self.farewell(code, reason, self.scope)
            async with asyncio.timeout(FAREWELL_WITHIN):
                await self.server_send({"type": "websocket.send", "text": text})
        except OSError:
            pass  # the peer has gone, or took too long
        except Exception:
            # The close matters more.
            self.process.count_failure("A farewell could not be sent")

    # What is noted -------------------------------------------------------------------

    def begin(self) -> None:
        try:
            self.process.add(self)
        except Exception:
            self.process.count_failure("A connection could not be registered")

    @harmless
    def begin_anew(self, process: Holder, why: str) -> None:
        """Go on as another connection, held by `process`, in a row of its own.

        The row before is closed or gone; `why` says by what.
        """
        was_open = self.opened and not self.ended
        self.leave_process()
        self.process, self.touched = process, False
        self.heard_at = self.heard_at or self.opened_at  # nobody has come by this
        self.key, self.opened_at = time_ordered_uuid().hex, time_ns() // 1000
        self.begin()
        if not was_open:
            return
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.handled = self.handled_seq = self.handler_us = None
        self.opened, self.rules, self.tracing = False, None, ()
        self.goes_on = True
        self.route_row = {**self.route_row, "detail": f"goes on: {why}"}
        self.obey()
        if self.accepted:
            self.note(Kind.ACCEPT, subprotocol=self.subprotocol)

    def leave_process(self) -> None:
        try:
            self.process.discard(self)
        except Exception:
            self.process.count_failure("A connection could not be let go")

    def leave(self) -> None:
        self.leave_process()
        # They have this recorder in them, which has all that the server keeps of the
        # connection: the garbage collector would come for it much later.
        self.scope, self.gone = {}, None

    def took(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.connect":
                seq = self.open()
                if self.frames:
                    self.handled, self.handled_message = seq, message
                    self.handed_at = perf_counter_ns()
            case "websocket.disconnect":
                self.disconnected(message)

    def gave(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                self.accept(message)
            case "websocket.close":
                self.close(message)
            case "websocket.http.response.start":
                self.closed = True
                self.reject(code=message["status"])

    def open(self) -> int | None:
        """Note the handshake, as late as its route is known; return its number.

        If the disk refuses it, it is tried again with whatever comes next.
        """
        if self.opened:
            return None
        row = connection_row(self.scope)
        self.subject = Subject(
            connection_id=self.key,
            username=row["username"],
            client_host=row["client_host"],
            path=self.scope.get("path", ""),
        )
        facts = {"row": row | self.route_row, "at": self.opened_at}
        seq = self.note(Kind.CONNECT, **facts)
        self.opened = True
        return seq

    def accept(self, message: dict[str, Any]) -> None:
        if self.ended:
            return  # the server stops meanwhile, and daphne passes over it
        self.open()
        self.accepted = True
        subprotocol = TOKEN.sub(MASK, message.get("subprotocol") or "")
        self.subprotocol = clean(subprotocol, 255)
        self.note(Kind.ACCEPT, subprotocol=self.subprotocol)

    # The next two run for every message: they spell out what a helper would say,
    # because in Python a call costs as much as the work.

    def received(self, message: dict[str, Any]) -> None:
        """Note a message before the application gets it."""
        process = self.process
        self.active_at = time_ns() // 1000
        if self.rules is not process.rules or self.tracing or not self.opened:
            self.obey()
        assert self.rules is not None
        capture = self.capture
        if not capture.counts or self.ended:
            return
        kind = self._type(message) if self.has_types else None
        is_automatic = kind is not None and kind in self.automatic_frames
        if not is_automatic:
            self.heard_at = self.active_at
        kept = keep(message, capture.limit)
        text, size, omission = (
            kept if self.rules.redact is None else self.redacted(kept)
        )
        self.messages_in += 1
        self.bytes_in += size
        process.messages_in += 1
        if not self.touched:
            process.touch(self)
        if not capture.events:
            return
        if kind is not None and kind in self.control_frames and not self.tracing:
            return
        line = self._line(RECEIVE, text, size, omission)
        if is_automatic:
            line.append(lines.AUTOMATIC)
        self.handled = process.note_message(line)
        self.handled_message = message
        self.handed_at = perf_counter_ns()

    def sent(self, message: dict[str, Any]) -> None:
        """Count a message, and note it if it is traced."""
        process = self.process
        self.active_at = time_ns() // 1000
        if self.rules is not process.rules or self.tracing:
            self.obey()
        if not self.capture.counts or self.ended:
            return
        text = message.get("text")
        if text is not None and text == self.heartbeat:
            return  # it says nothing, to thousands of idle connections
        self.messages_out += 1
        if text is not None and text.isascii():
            self.bytes_out += len(text)
        else:
            self.bytes_out += message_size(message)
        process.messages_out += 1
        if not self.touched:
            process.touch(self)
        if self.tracing:
            kept = self.redacted(keep(message, self.capture.limit))
            process.note_message(self._line(SEND, *kept))

    def redacted(self, kept: Kept) -> Kept:
        """What the project's own function leaves of a message."""
        assert self.rules is not None
        assert self.subject is not None
        if self.rules.redact is None or not kept[0]:
            return kept
        try:
            return redacted(kept, self.rules.redact, self.subject.path)
        except Exception:
            # Whatever it raises: what it could not see to is not kept.
            self.process.count_failure("MONITOR_REDACT failed; a text is not kept")
            return "", kept[1], Omission.REDACTION

    def _line(self, kind: str, text: str, size: int, omission: str) -> lines.Message:
        """A message as the journal takes it; its number comes later."""
        traces = None
        if self.tracing:
            traces = [tracing.id for tracing in self.tracing]
            for tracing in self.tracing:
                tracing.left -= lines.trace_cost(size)
        line = [
            *(0, self.key, kind, self.active_at, self.messages_in, self.messages_out),
            *(self.bytes_in, self.bytes_out, text, size, omission, traces),
            *(self.handled_seq, self.handler_us),
        ]
        self.handled_seq = self.handler_us = None
        return line

    def obey(self) -> None:
        """Look up what is to be kept of this connection."""
        rules = self.process.rules
        if (
            self.opened
            and self.rules is rules
            and self.tracing
            and not any(tracing.is_over(self.active_at) for tracing in self.tracing)
        ):
            return
        self.open()
        assert self.subject is not None
        self.rules = rules
        if self.frames:
            self.tracing = rules.tracing(self.subject, self.active_at)
            self.capture = rules.traced if self.tracing else rules.capture(self.subject)

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
        elif code in PROTOCOL_ERRORS:
            cause = Cause.PROTOCOL
        else:
            cause = Cause.CLIENT
        detail = mask(message.get("reason") or "")
        self.closed = True
        self.end(Kind.DISCONNECT, cause, code=code, detail=detail)

    @harmless
    def failed(self, error: BaseException) -> None:
        """Note an exception of the application, also one that comes after the end."""
        if self.rules is None:
            self.obey()
        # A traceback quotes messages: it is only for those who may read them.
        text, size, omission = keep_traceback(error, self.handled_message)
        if not self.capture.limit:
            text, omission = "", Omission.POLICY
        elif self.rules is not None and self.rules.redact is not None:
            text, size, omission = self.redacted((text, size, omission))
        facts = {"text": text, "size": size, "omission": omission}
        facts["about_seq"] = self.handled
        detail = describe(error)
        if self.ended:
            self.note(Kind.ERROR, detail=clean(detail, 500), **facts)
        else:
            self.end(Kind.ERROR, Cause.ERROR, detail=detail, **facts)

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

    def note(self, kind: Event.Kind, **facts: Any) -> int:
        self.active_at = time_ns() // 1000
        event: lines.Event = {
            "kind": kind,
            "id": self.key,
            "at": self.active_at,
            "heard_at": self.heard_at,
            "counts": self.counts(),
            "took": (self.handled_seq, self.handler_us),
        }
        self.handled_seq = self.handler_us = None
        return self.process.note(event | facts)

    def counts(self) -> tuple[int, int, int, int]:
        """Messages in and out, bytes in and out, until now."""
        return self.messages_in, self.messages_out, self.bytes_in, self.bytes_out

    def _type(self, message: dict[str, Any]) -> str | None:
        """The `type` of a message that may be a control frame or an automatic one."""
        text = message.get("text") or ""
        if len(text) > CONTROL_LIMIT or '"type"' not in text:
            return None
        try:
            content = orjson.loads(text)
        except ValueError:
            return None
        kind = content.get("type") if isinstance(content, dict) else None
        return kind if isinstance(kind, str) else None

    async def _close_for_the_application(self) -> None:
        """Close what an application left open when it returned.

        Daphne would leave the socket open, answered by nobody.
        """
        if self.closed or self.ended:
            return

        self.closed = True
        try:
            await self.server_send({"type": "websocket.close", "code": 1000})
        except Exception:
            # The application has done its part; the peer has gone, most likely.
            return self._ask_why_it_is_gone()
        detail = "the application returned"
        if self.accepted:
            self.end(Kind.DISCONNECT, Cause.APPLICATION, code=1000, detail=detail)
        else:
            self.end(Kind.REJECT, Cause.REJECT, code=403, detail=detail)

    @harmless
    def _ask_why_it_is_gone(self) -> None:
        """Read what the application did not: the server may have said why the peer
        has gone, while the application was busy. Never waits."""
        while not self.ended:
            reading = self.server_receive().__await__()
            try:
                next(reading)
            except StopIteration as read:
                self.took(read.value)
            else:
                reading.close()  # it would wait
                return


def _short(reason: str) -> str:
    """As much of a reason as a close frame takes."""
    return reason.encode()[:REASON_LIMIT].decode("utf-8", "ignore")


def _was_asked_to_cancel() -> bool:
    """Whether somebody cancels this task, or its application let a cancellation of
    something else escape."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _dotted_name(consumer: Any) -> str:
    name = getattr(consumer, "__qualname__", type(consumer).__qualname__)
    return f"{getattr(consumer, '__module__', '')}.{name}"
