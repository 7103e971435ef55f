"""Many clients without a browser: sockets that are read, on a loop of their own."""

import asyncio
import contextlib
import json
import threading

import websockets

AT_ONCE = 40  # handshakes


class Crowd:
    """Websockets that a synchronous test opens, uses and closes."""

    def __init__(self, server):
        self.server = server
        self.heard = []  # texts of live messages, once for each socket
        self.sockets = []
        self.readers = set()

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.leave(self.sockets)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def join(self, count, user="ana", path="/ws/chat/"):
        """Open sockets; return them once each has been answered."""
        self.server.cookie(user)
        return self._run(self._join(count, user, path))

    def say(self, socket, text):
        """Send a chat message."""
        self._run(socket.send(json.dumps({"message": text})))

    def leave(self, sockets):
        """Close sockets."""
        gone = list(sockets)
        self.sockets = [socket for socket in self.sockets if socket not in gone]
        self._run(self._leave(gone))

    async def _join(self, count, user, path):
        opened = []
        while len(opened) < count:
            number = min(AT_ONCE, count - len(opened))
            some = [self._open(user, path) for _ in range(number)]
            opened += await asyncio.gather(*some)
        self.sockets += opened
        return opened

    async def _open(self, user, path):
        socket = await self.server.connect(path, user, close_timeout=1)
        await socket.recv()
        reader = asyncio.create_task(self._read(socket))
        self.readers.add(reader)
        reader.add_done_callback(self.readers.discard)
        return socket

    async def _read(self, socket):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for frame in socket:
                content = json.loads(frame)
                if "message" in content:
                    self.heard.append(content["message"])

    async def _leave(self, sockets):
        await asyncio.gather(*(socket.close() for socket in sockets))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)
