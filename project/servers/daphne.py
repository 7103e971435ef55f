"""Daphne, with a stop that works."""

import asyncio
import socket

# First of all: it installs Twisted's reactor.
import daphne.server  # isort: skip
from daphne.endpoints import build_endpoint_description_strings
from twisted.internet import defer, reactor

from .limits import LARGEST_FRAME, PING_INTERVAL, PING_TIMEOUT
from .shutdown import Shutdown


def run(listener, application, say_goodbye):
    """Serve until a signal comes."""
    server = Server(
        application,
        endpoints=_endpoints(listener),
        signal_handlers=False,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        websocket_timeout=-1,  # daphne would close every socket after a day
        websocket_max_message_size=LARGEST_FRAME,
        websocket_max_frame_size=LARGEST_FRAME,
        verbosity=0,
    )
    loop = reactor._asyncioEventloop
    Shutdown(loop, server.stop_accepting, say_goodbye, server.stop)
    server.run()


class Server(daphne.server.Server):
    """Daphne's server, which would fail to stop soon after a socket was closed."""

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

    def stop_accepting(self):
        """Close the listening sockets."""
        for listening in self.listeners:
            listening.addCallback(lambda port: port.stopListening())


def _endpoints(listener):
    if listener.family == socket.AF_INET:
        return build_endpoint_description_strings(file_descriptor=listener.fileno())
    # Daphne adopts IPv4 sockets only.
    host, port = listener.getsockname()[:2]
    listener.close()
    return build_endpoint_description_strings(host=host, port=port)
