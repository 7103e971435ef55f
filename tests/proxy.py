"""A network between two ends that can be slow, silent, deaf or cut."""

import asyncio
import contextlib
import random
import threading

from .server import free_port

READ_SIZE = 2**16  # bytes


class Proxy:
    """Passes bytes on to a port, both ways, until something is done to it.

    `seed` decides how long each piece is delayed.
    """

    def __init__(self, to_port, seed=0):
        self.to_port = to_port
        self.port = free_port()
        self.open = set()  # the streams of all connections
        self.chance = random.Random(seed)
        self.delay = 0.0  # seconds, at most, that each piece takes
        self.is_black_hole = False  # nothing gets through, and nobody is told
        self.loses_replies = False  # nothing gets back

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
        """Reset all connections, by which what is under way is lost; new ones get
        through."""
        self._run(self._cut())

    @contextlib.contextmanager
    def black_hole(self):
        """Swallow everything, without a word to anybody; connections stay open."""
        self.is_black_hole = True
        try:
            yield
        finally:
            self.is_black_hole = False
            self.cut()  # what was swallowed is missing from each stream

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
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self.open |= {writer, back}
        try:
            await asyncio.gather(
                self._pass_on(reader, back), self._pass_on(there, writer, True)
            )
        finally:
            self.open -= {writer, back}

    async def _pass_on(self, reader, writer, are_replies=False):
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_SIZE):
                if self.delay:
                    await asyncio.sleep(self.chance.uniform(0, self.delay))
                if self.is_black_hole or (are_replies and self.loses_replies):
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)
