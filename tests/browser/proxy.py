"""A network between browsers and a server that can be cut."""

import asyncio
import contextlib
import threading

from tests.server import free_port

READ_SIZE = 2**16  # bytes


class Proxy:
    """Passes bytes on, both ways, until it is cut; what is under way then is lost."""

    def __init__(self, server):
        self.server = server
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.open = set()  # the streams of all connections

    def cookie(self, user):
        """What `chromium.context_of` asks a server for."""
        return self.server.cookie(user)

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *exc_info):
        self.cut()
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def cut(self):
        """Reset all connections; new ones get through."""
        self._run(self._cut())

    async def _listen(self):
        self.listener = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port
        )

    async def _close(self):
        self.listener.close()
        await self.listener.wait_closed()

    async def _cut(self):
        for stream in self.open:
            stream.transport.abort()

    async def _connected(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.server.port)
        except OSError:
            writer.transport.abort()
            return
        self.open |= {writer, back}
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            self.open -= {writer, back}

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


async def _pass_on(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
    writer.close()
