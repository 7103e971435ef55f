"""Daphne, with a stop that works."""

import asyncio
import functools
import socket

# First of all: it installs Twisted's reactor.
import daphne.server  # isort: skip
from autobahn.util import encode_truncate
from daphne.endpoints import build_endpoint_description_strings
from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import defer, reactor, tcp

from .arrivals import Arrivals
from .garbage import Collector
from .limits import (
    ACCEPT_WITHIN,
    LARGEST_FRAME,
    LAST_WORD_WITHIN,
    PING_INTERVAL,
    PING_TIMEOUT,
)
from .shutdown import Shutdown

NO_CODE = 1005  # the client's close frame had none, RFC 6455 section 7.4.1
REASON_LIMIT = 123  # bytes of a close reason, section 5.5
TASKS_END_WITHIN = 1.0  # seconds


def run(listener, application, say_goodbye):
    """Serve until a signal comes."""
    server = Server(
        application,
        endpoints=_endpoints(listener),
        signal_handlers=False,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        websocket_timeout=-1,  # daphne would close every socket after a day
        websocket_connect_timeout=ACCEPT_WITHIN,
        websocket_handshake_timeout=ACCEPT_WITHIN,  # five seconds are short for a crowd
        websocket_max_message_size=LARGEST_FRAME,
        websocket_max_frame_size=LARGEST_FRAME,
        verbosity=0,
    )
    server.ready_callable = server.speak_plainly
    loop = reactor._asyncioEventloop
    Collector(loop)
    Shutdown(loop, server.stop_accepting, say_goodbye, server.stop)
    server.run()
    _end_tasks(loop)


class Server(daphne.server.Server):
    """Daphne's server, which would fail to stop soon after a socket was closed."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.arrivals = Arrivals()

    def kill_all_applications(self):
        # As in daphne, which raises KeyError for a connection whose application has
        # returned, and then never stops.
        running = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]
        for application in running:
            application.cancel()
        waiting = defer.Deferred.fromFuture(asyncio.gather(*running))
        waiting.addErrback(lambda failure: None)
        return waiting

    async def handle_reply(self, protocol, message):
        """Send, as soon as the client has taken most of what was sent before.

        A close goes out at once: it ends the waiting.
        """
        waits = isinstance(protocol, Protocol) and protocol.drained is not None
        if waits and message["type"] == "websocket.send":
            await protocol.writable()
        await super().handle_reply(protocol, message)

    def speak_plainly(self):
        """Have requests and websockets be ours. Called when the factories are made."""
        build = self.http_factory.buildProtocol

        def build_protocol(address):
            protocol = build(address)
            protocol.requestFactory = Request
            return protocol

        self.http_factory.buildProtocol = build_protocol
        self.ws_factory.protocol = _configured(self.ws_factory)

    def stop_accepting(self):
        """Close the listening sockets, and the door."""
        for listening in self.listeners:
            listening.addCallback(lambda port: port.stopListening())
        self.arrivals.close()


class Request(WebRequest):
    """Daphne's request, where whoever wants a websocket waits for their turn.

    Twisted reads little more from them meanwhile: 16 KiB.
    """

    def process(self):
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade", [b""])[0]
        if upgrade.lower() == b"websocket":
            self.server.arrivals.add(self)
        else:
            return super().process()

    def enter(self):
        if self.channel is None:  # gone
            return
        channel, transport = self.channel, self.transport
        super().process()
        if self.transport is None:  # the websocket has it
            # They would hold each other until the garbage collector comes.
            channel.requests.clear()
            self.channel = None
            # What a client sent that did not wait for the answer.
            if early := b"".join(channel._dataBuffer):
                transport.protocol.dataReceived(early)

    def turn_away(self):
        # Without an answer: a proxy takes that as a reason to ask another process.
        self.transport.abortConnection()


class Protocol(WebSocketProtocol):
    """Daphne's websocket, which would report every failure as 1006.

    The application's disconnect message has the code and the reason of what was
    wrong with the client's frames, and the client gets them, too.

    Nor would it ever tell an application to wait: what a client does not read was
    kept in memory without a bound. It is the transport's producer (Twisted's
    `IPushProducer`), and is told when 64 KiB wait there.
    """

    failure = None  # (code, reason)
    drained = None  # a future while too much waits in the transport

    is_direct = False  # whether what is written goes straight to a socket

    def connectionMade(self):
        # It was the HTTP channel's until the upgrade.
        self.transport.unregisterProducer()
        super().connectionMade()
        self.transport.registerProducer(self, True)
        # No TLS in between; and not some later Twisted that counts otherwise.
        is_socket = isinstance(self.transport, tcp.Connection)
        self.is_direct = is_socket and hasattr(self.transport, "_tempDataLen")

    def dropConnection(self, abort=False):
        super().dropConnection(abort)
        # The transport has no producer any more, and closes only when all that it holds
        # has been taken: a client that reads nothing would hold it open.
        self.resumeProducing()
        reactor.callLater(LAST_WORD_WITHIN, self.transport.abortConnection)

    def serverSend(self, content, binary=False):
        if self.state in (self.STATE_CLOSING, self.STATE_CLOSED):
            return  # as daphne does a moment later; autobahn would raise
        if binary or self.state == self.STATE_CONNECTING or self.send_queue:
            super().serverSend(content, binary)
        else:
            self._write(_frame(self.factory, content))

    def _write(self, data):
        """Write at once what the kernel takes.

        Twisted's transport always asks the event loop to call it when it may write, and
        no more afterwards: that takes as long as all the rest.
        """
        transport = self.transport
        if not self.is_direct or transport.dataBuffer or transport._tempDataLen:
            return transport.write(data)
        written = transport.writeSomeData(data)
        if not isinstance(written, int):
            written = 0  # the connection is lost, which the transport finds by itself
        if written < len(data):
            transport.write(data[written:])

    async def writable(self):
        """Return when the transport can take more, or nothing any more."""
        while self.drained is not None:
            await asyncio.shield(self.drained)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        # Its result is this protocol: only the garbage collector would come for it.
        self.is_closed = None

    def pauseProducing(self):
        if self.drained is None:
            self.drained = asyncio.get_running_loop().create_future()

    def resumeProducing(self):
        drained, self.drained = self.drained, None
        if drained is not None:
            drained.set_result(None)

    def stopProducing(self):
        self.resumeProducing()

    def _fail_connection(self, code=1001, reason="going away"):
        if self.state != self.STATE_OPEN:
            return super()._fail_connection(code, reason)

        # Autobahn would abort the connection, and with it the word to the client.
        self.failure = (code, reason)
        self.failedByMe = True
        self.sendCloseFrame(code, encode_truncate(reason, REASON_LIMIT))
        self.dropConnection(abort=False)

    def onClose(self, wasClean, code, reason):
        if not hasattr(self, "server"):
            return  # the handshake failed, and no application was begun

        if self.failure:
            code, reason = self.failure
        elif not wasClean:
            # Autobahn's word for what it did itself, such as after a ping timeout.
            reason = self.wasNotCleanReason if self.droppedByMe else None
        code = NO_CODE if code is None else code
        gone = {"type": "websocket.disconnect", "code": code, "reason": reason or ""}
        if hasattr(self, "application_queue"):
            self.application_queue.put_nowait(gone)
        self.muted = True  # has daphne not put a message of its own
        super().onClose(wasClean, code, reason)


def _configured(factory):
    """The class of a factory's websockets, with its options.

    Autobahn would copy them into each websocket, and write a list of them for a log
    that nobody reads: half of what a handshake costs.
    """
    options = {name: getattr(factory, name) for name in Protocol.CONFIG_ATTRS}
    options = {
        name: staticmethod(value) if callable(value) else value
        for name, value in options.items()
    }
    options["CONFIG_ATTRS"] = []
    return type("ConfiguredProtocol", (Protocol,), options)


@functools.lru_cache(maxsize=8)
def _frame(factory, text):
    """The frame of a text, which is the same for all members of a room."""
    return factory.prepareMessage(text.encode()).payloadHybi


def _end_tasks(loop):
    """End what still waits for something, as `asyncio.run` does.

    The interpreter, as it ends, collects such tasks half torn down; it crashed by that.
    """
    if tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=TASKS_END_WITHIN))


def _endpoints(listener):
    if listener.family == socket.AF_INET:
        return build_endpoint_description_strings(file_descriptor=listener.fileno())
    # Daphne adopts IPv4 sockets only.
    host, port = listener.getsockname()[:2]
    listener.close()
    return build_endpoint_description_strings(host=host, port=port)
