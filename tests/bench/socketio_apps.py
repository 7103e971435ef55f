"""python-socketio, which has an admin view of its own: to measure beside ours."""

import socketio

NEVER = 10**6  # seconds


def echo_server():
    """A Socket.IO server that sends back what comes in, and pings nobody."""
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=NEVER)

    @server.on("echo")
    async def echo(sid, text):
        await server.emit("echo", text, to=sid)

    return server


def application(name):
    """The ASGI application of this name.

    One for each process: the admin view patches classes that all servers share.
    """
    server = echo_server()
    if name == "socketio-admin":
        server.instrument(auth=False, mode="development")
    return socketio.ASGIApp(server)
