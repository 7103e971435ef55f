"""python-socketio, which has an admin view of its own: to measure beside ours."""

from urllib.parse import parse_qs

import socketio

NEVER = 10**6  # seconds


def echo_server():
    """A Socket.IO server that sends back what comes in, and pings nobody."""
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=NEVER)

    @server.on("echo")
    async def echo(sid, text):
        await server.emit("echo", text, to=sid)

    return server


def room_server():
    """A Socket.IO server with rooms; who connects says which room it enters."""
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=NEVER)
    rooms = {}

    @server.event
    async def connect(sid, environ, auth):
        [rooms[sid]] = parse_qs(environ["QUERY_STRING"])["room"]
        await server.enter_room(sid, rooms[sid])

    @server.event
    async def disconnect(sid, reason):
        del rooms[sid]

    @server.on("say")
    async def say(sid, text):
        await server.emit("message", text, room=rooms[sid])

    return server


def application(name):
    """The ASGI application of this name.

    One for each process: the admin view patches classes that all servers share.
    """
    server = room_server() if name == "socketio-rooms" else echo_server()
    if name == "socketio-admin":
        server.instrument(auth=False, mode="development")
    return socketio.ASGIApp(server)
