"""The ASGI applications under test: all of them echo."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from monitor.middleware import MonitorMiddleware
from monitor.routing import MonitorRouter

from .usual.consumers import Echo, StoringEcho, Tutorial

PATH = "echo/"


async def bare(scope, receive, send):
    """Send back what comes in: as little as an ASGI application can do."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


APPLICATIONS = {
    "bare": bare,
    "recorded-bare": MonitorMiddleware(bare),
    "stock": URLRouter([path(PATH, Echo.as_asgi())]),
    "recorded-stock": MonitorMiddleware(MonitorRouter([path(PATH, Echo.as_asgi())])),
    "tutorial": AllowedHostsOriginValidator(
        AuthMiddlewareStack(
            URLRouter([path("tutorial/<slug:room>/", Tutorial.as_asgi())])
        )
    ),
    "stock-acreate": URLRouter([path(PATH, StoringEcho.as_asgi())]),
}
