"""The process under test of the drain: it receives a burst without any server.

    python -m tests.bench.burst 300000

It says `open`, waits for a line, receives the burst, says `journalled` and how many
seconds of CPU that took, and stays until its input ends.
"""

import asyncio
import sys
import time

import django

CONNECTIONS = 50
TEXT = '{"message": "a burst that comes in while the database is away......."}'
assert len(TEXT) == 70


class Peer:
    """One connection, as an ASGI server would hand it to an application."""

    def __init__(self, number, messages, burst, end):
        self.scope = {
            "type": "websocket",
            "path": "/echo/",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1")],
            "client": ("127.0.0.1", 40_000 + number),
            "server": ("127.0.0.1", 8000),
            "subprotocols": [],
        }
        self.burst = burst
        self.end = end
        self.accepted = asyncio.Event()
        self.received = asyncio.Event()
        self._messages = self._as_they_come(messages)

    async def receive(self):
        return await anext(self._messages)

    async def send(self, message):
        self.accepted.set()

    async def _as_they_come(self, count):
        yield {"type": "websocket.connect"}
        await self.burst.wait()
        for _ in range(count):
            yield {"type": "websocket.receive", "text": TEXT}
            await asyncio.sleep(0)  # the others have their turn, as in a server
        self.received.set()
        await self.end.wait()
        yield {"type": "websocket.disconnect", "code": 1000}


async def swallow(scope, receive, send):
    """Accept, and take in whatever comes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        pass


async def main(count):
    """Receive `count` messages when told to."""
    from monitor.middleware import MonitorMiddleware

    application = MonitorMiddleware(swallow)
    burst, end = asyncio.Event(), asyncio.Event()
    share = count // CONNECTIONS
    peers = [Peer(number, share, burst, end) for number in range(CONNECTIONS)]
    async with asyncio.TaskGroup() as tasks:
        for peer in peers:
            tasks.create_task(application(peer.scope, peer.receive, peer.send))
        for peer in peers:
            await peer.accepted.wait()
        say("open")

        await asyncio.to_thread(sys.stdin.readline)
        cpu = time.process_time()
        burst.set()
        for peer in peers:
            await peer.received.wait()
        say("journalled", time.process_time() - cpu)

        await asyncio.to_thread(sys.stdin.read)
        end.set()


def say(*words):
    """Tell whoever started this process."""
    print(*words, flush=True)


if __name__ == "__main__":
    django.setup()
    asyncio.run(main(int(sys.argv[1])))
