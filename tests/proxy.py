"""A network between two ends that can be slow, silent, deaf or cut."""

import asyncio
import contextlib
import random
import socket
import struct
import threading

from .server import free_port

READ_SIZE = 2**16  # bytes
RESET = struct.pack("ii", True, 0)  # on close, at once: SO_LINGER, in seconds


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

    @contextlib.contextmanager
    def lost_replies(self):
        """Let through what is asked, and swallow what is answered."""
        self.loses_replies = True
        try:
            yield
        finally:
            self.loses_replies = False
            self.cut()

    @contextlib.contextmanager
    def slow(self, delay):
        """Let each piece take up to `delay` seconds."""
        self.delay = delay
        try:
            yield
        finally:
            self.delay = 0.0

    async def _listen(self):
        self.listener = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port
        )

    async def _close(self):
        self.listener.close()
        await self.listener.wait_closed()

    async def _cut(self):
        for stream in self.open:
            _reset(stream)

    async def _connected(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            _reset(writer)
            return
        self.open |= {writer, back}
        try:
            await asyncio.gather(
                self._pass_on(reader, back), self._pass_on(there, writer, True)
            )
        finally:
            self.open -= {writer, back}
            writer.close()
            back.close()

    async def _pass_on(self, reader, writer, are_replies=False):
        """Pass on what comes, and in which way it ends."""
        try:
            while data := await reader.read(READ_SIZE):
                if self.delay:
                    await asyncio.sleep(self.chance.uniform(0, self.delay))
                if not self._swallows(are_replies):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            if not self._swallows(are_replies):
                _reset(writer)
            return
        if not self._swallows(are_replies):
            with contextlib.suppress(OSError, RuntimeError):  # it has closed meanwhile
                writer.write_eof()

    def _swallows(self, are_replies):
        return self.is_black_hole or (are_replies and self.loses_replies)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


def _reset(stream):
    with contextlib.suppress(OSError):  # it has closed meanwhile
        opened = stream.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stream.transport.abort()
