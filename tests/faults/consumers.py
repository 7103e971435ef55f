"""Consumers and bare applications that end in every way that there is."""

import asyncio
import contextlib

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.urls import path

from monitor.middleware import MonitorMiddleware
from monitor.routing import MonitorRouter

SLOW = 0.3  # seconds that the slow handler takes
CROWDED = 7.0  # seconds; daphne, left to itself, waits for 5


class Mistake(Exception):
    """What the consumers here raise."""


class Echo(AsyncWebsocketConsumer):
    """Sends back what it hears."""

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


class RaisesInConnect(AsyncWebsocketConsumer):
    async def connect(self):
        raise Mistake("in connect")


class RaisesInReceive(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        raise Mistake("in receive")


class RaisesInHandler(AsyncWebsocketConsumer):
    """Sends itself a message through the channel layer, and fails to handle it."""

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.send(self.channel_name, {"type": "layer.message"})

    async def layer_message(self, message):
        raise Mistake("in a handler")


class Closes(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.close(code=4000, reason="enough")


class Slow(Echo):
    """Is busy for a while with each message, and with the handshake."""

    async def connect(self):
        await asyncio.sleep(SLOW)
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await asyncio.sleep(SLOW)
        await super().receive(text_data, bytes_data)


class Crowded(Echo):
    """Takes as long to accept as where many want to come in at once."""

    async def connect(self):
        await asyncio.sleep(CROWDED)
        await self.accept()


class Hangs(AsyncWebsocketConsumer):
    """Never comes to an end with a message."""

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data)
        await asyncio.get_running_loop().create_future()


class HangsOn(Hangs):
    """The same, and does not let itself be cancelled."""

    async def receive(self, text_data=None, bytes_data=None):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await super().receive(text_data, bytes_data)


async def returns_after_accept(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def returns_before_accept(scope, receive, send):
    await receive()


async def ready(scope, receive, send):
    """Answer any page, so that a test can see that the server is up."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ready"})


# The last part of a path is the test's, to find its connections by.
consumers = {
    "echo": Echo.as_asgi(),
    "raises-in-connect": RaisesInConnect.as_asgi(),
    "raises-in-receive": RaisesInReceive.as_asgi(),
    "raises-in-handler": RaisesInHandler.as_asgi(),
    "closes": Closes.as_asgi(),
    "slow": Slow.as_asgi(),
    "crowded": Crowded.as_asgi(),
    "hangs": Hangs.as_asgi(),
    "hangs-on": HangsOn.as_asgi(),
    "returns-after-accept": returns_after_accept,
    "returns-before-accept": returns_before_accept,
}
router = MonitorRouter(
    [path(f"{name}/<str:test>", consumer) for name, consumer in consumers.items()]
)
application = ProtocolTypeRouter(
    {"http": ready, "websocket": MonitorMiddleware(router)}
)
