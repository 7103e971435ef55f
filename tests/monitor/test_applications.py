"""Any ASGI application: the monitor changes nothing that it sees, and records it."""

import pytest
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import URLRouter
from channels.testing import ApplicationCommunicator
from django.urls import path, re_path

from monitor.middleware import MonitorMiddleware
from monitor.models import Connection
from monitor.routing import MonitorRouter

from ..clock import until_no_task_is_left
from .conftest import kinds, stored


class Async(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Sync(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data, bytes_data=bytes_data)


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content):
        await self.send_json(content)


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content):
        self.send_json(content)


class LowLevel(AsyncConsumer):
    async def websocket_connect(self, message):
        await self.send({"type": "websocket.accept", "subprotocol": "v1"})

    async def websocket_receive(self, message):
        await self.send({"type": "websocket.send", "text": message["text"]})
        await self.send({"type": "websocket.close", "code": 4000})

    async def websocket_disconnect(self, message):
        raise StopConsumer


async def bare(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


class Http(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_response(200, body, headers=[(b"Content-Type", b"text/plain")])


ROUTES = [
    path("async/", Async.as_asgi(), name="async"),
    path("sync/", Sync.as_asgi(), name="sync"),
    path("async-json/", AsyncJson.as_asgi()),
    path("sync-json/", SyncJson.as_asgi()),
    path("low/<int:number>/", LowLevel.as_asgi(), name="low"),
    path("bare/", bare, name="bare"),
    path("http/", Http.as_asgi()),
    path("in/<slug:room>/", URLRouter([path("deep/", Async.as_asgi(), name="deep")])),
    re_path(r"^re/(?P<name>\w+)/$", Async.as_asgi(), name="re"),
]
PLAIN = URLRouter(ROUTES)
RECORDED = MonitorMiddleware(MonitorRouter(ROUTES))
PATHS = {
    "/async/": ("async", f"{__name__}.Async"),
    "/sync/": ("sync", f"{__name__}.Sync"),
    "/async-json/": ("async-json/", f"{__name__}.AsyncJson"),
    "/sync-json/": ("sync-json/", f"{__name__}.SyncJson"),
    "/low/7/": ("low", f"{__name__}.LowLevel"),
    "/bare/": ("bare", f"{__name__}.bare"),
    "/in/kitchen/deep/": ("deep", f"{__name__}.Async"),
    "/re/x/": ("re", f"{__name__}.Async"),
}


async def transcript(app, where):
    """Everything that an application says to a client that talks to it."""
    scope = {"type": "websocket", "path": where, "headers": [], "subprotocols": ["v1"]}
    client = ApplicationCommunicator(app, scope)
    await client.send_input({"type": "websocket.connect"})
    said = [await client.receive_output(timeout=5)]
    await client.send_input({"type": "websocket.receive", "text": '{"a": "é"}'})
    said.append(await client.receive_output(timeout=5))
    if not await client.receive_nothing(timeout=0.01):
        said.append(await client.receive_output())
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await client.wait(timeout=5)
    await until_no_task_is_left()
    return said


@pytest.mark.parametrize("where", PATHS)
async def test_a_client_hears_the_same_with_the_monitor(transactional_db, where):
    plain = await transcript(PLAIN, where)

    assert await transcript(RECORDED, where) == plain


@pytest.mark.parametrize("where", PATHS)
async def test_it_is_recorded_with_its_route_and_its_consumer(transactional_db, where):
    await transcript(RECORDED, where)

    await stored()
    connection = await Connection.objects.aget()
    assert (connection.route, connection.consumer) == PATHS[where]
    assert (connection.messages_in, connection.messages_out) == (1, 1)
    assert (await kinds())[:3] == ["connect", "accept", "receive"]
    assert connection.closed_at is not None


async def test_the_arguments_of_routers_in_routers_come_together(transactional_db):
    await transcript(RECORDED, "/in/kitchen/deep/")

    await stored()
    assert (await Connection.objects.aget()).route_args == {"room": "kitchen"}


async def test_the_application_sees_the_scope_as_it_was(transactional_db):
    seen = []

    async def look(scope, receive, send):
        seen.append({name: scope[name] for name in scope if name != "monitor"})
        await receive()
        await send({"type": "websocket.close"})

    scope = {"type": "websocket", "path": "/", "headers": [], "state": {}, "custom": 1}
    for app in (look, MonitorMiddleware(look)):
        client = ApplicationCommunicator(app, scope)
        await client.send_input({"type": "websocket.connect"})
        assert await client.receive_output() == {"type": "websocket.close"}
        await client.wait()

    assert seen[0] == seen[1]
    assert "monitor" not in scope


@pytest.mark.parametrize("app", [PLAIN, RECORDED])
async def test_an_http_consumer_beside_it_is_left_alone(transactional_db, app):
    scope = {"type": "http", "path": "/http/", "method": "POST", "headers": []}
    client = ApplicationCommunicator(app, scope)

    await client.send_input({"type": "http.request", "body": b"hello"})

    assert (await client.receive_output(timeout=5))["status"] == 200
    assert (await client.receive_output())["body"] == b"hello"
    await client.send_input({"type": "http.disconnect"})
    await client.wait(timeout=5)
    assert await Connection.objects.acount() == 0
