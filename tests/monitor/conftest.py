import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import path
from django.utils import timezone

from monitor.middleware import MonitorMiddleware
from monitor.models import Connection, Event, Process
from monitor.processes.local import local_process
from monitor.routing import MonitorRouter

from ..clock import until, until_no_task_is_left


class Echo(AsyncWebsocketConsumer):
    """Says what it hears; "boom" makes it fail, "close" makes it close."""

    async def receive(self, text_data=None, bytes_data=None):
        match text_data:
            case "boom":
                raise RuntimeError("boom")
            case "close":
                await self.close(code=4000, reason="asked to")
            case _:
                await self.send(text_data=text_data, bytes_data=bytes_data)


def recorded(*routes):
    """The usual stack of a Channels project, with the monitor in it."""
    return AuthMiddlewareStack(MonitorMiddleware(MonitorRouter(list(routes))))


ECHO = path("echo/<slug:name>/", Echo.as_asgi(), name="echo")


@pytest.fixture
async def open_socket(transactional_db):
    """Open websockets of ASGI applications; close them in the end."""
    sockets = []

    async def open_socket(app=None, path="/echo/here/", headers=(), **scope):
        socket = WebsocketCommunicator(app or recorded(ECHO), path, list(headers))
        socket.scope |= {"client": ["192.0.2.7", 52024], **scope}
        sockets.append(socket)
        socket.accepted, _ = await socket.connect(timeout=5)
        return socket

    yield open_socket
    for socket in sockets:
        if not socket.future.done():
            await socket.disconnect()
    await until_no_task_is_left()


@pytest.fixture
def user_of(transactional_db):
    """Make a user; staff if in a group of the monitor's."""

    def user_of(name, *groups, **fields):
        users = get_user_model().objects
        user = users.create_user(name, is_staff=bool(groups), **fields)
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    return sync_to_async(user_of)


@pytest.fixture
def headers_of():
    """Log a user in; return the headers that a browser's handshake would have."""

    def headers_of(user):
        client = Client()
        client.force_login(user)
        cookie = f"sessionid={client.session.session_key}; csrftoken=canary-csrf"
        return [
            (b"cookie", cookie.encode()),
            (b"host", b"testserver"),
            (b"origin", b"http://testserver"),
        ]

    return sync_to_async(headers_of)


@pytest.fixture
def connection(db):
    """A connection of ana's that is open, and said one thing."""
    now = timezone.now()
    process = Process.objects.create(
        name="web-1", host="here", pid=1, started_at=now, seen_at=now
    )
    connection = Connection.objects.create(
        process=process,
        username="ana",
        path="/ws/chat/",
        client_host="192.0.2.7",
        client_port=52024,
        opened_at=now,
        accepted_at=now,
        active_at=now,
        scope={"path": "/ws/chat/", "headers": {"user-agent": "<b>Mozilla</b>"}},
    )
    recorded_event(connection, 1, text="between you and me", size=18)
    return connection


def recorded_event(connection, seq, kind=Event.Kind.RECEIVE, **facts):
    """Write an event of a connection, as if it had been recorded."""
    return Event.objects.create(
        seq=seq,
        connection=connection,
        kind=kind,
        at=timezone.now(),
        username=connection.username,
        path=connection.path,
        client=connection.client,
        **facts,
    )


@pytest.fixture
def client_of(db):
    """A browser of a member of staff in a group, or with certain permissions."""

    def client_of(group=None, *permissions, staff=True):
        user = get_user_model().objects.create_user(uuid.uuid4().hex, is_staff=staff)
        if group:
            user.groups.add(Group.objects.get(name=group))
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        client.user = user
        return client

    return client_of


@pytest.fixture
def olga(client_of):
    """The browser of an operator."""
    return client_of("Monitor operators")


@pytest.fixture
def vera(client_of):
    """The browser of a viewer."""
    return client_of("Monitor viewers")


async def stored():
    """Wait until everything that was recorded is in the database."""
    process = local_process()
    await until(
        lambda: (
            process.stopping
            or (
                process.writer.resting
                and not process.journal.waiting
                and not process.registry.touched
            )
        )
    )


async def kinds():
    """The kinds of all stored events, in their order."""
    await stored()
    return [event.kind async for event in Event.objects.order_by("seq")]


async def only_connection():
    """The one connection that was recorded."""
    await stored()
    return await Connection.objects.select_related("process").aget()
