"""What SIGTERM and SIGINT begin.

A hook inside a server comes too late to say good-bye: by then daphne has cancelled
every application, and uvicorn has closed every socket. So the signals are ours: no
new connections, a farewell to the open ones, and only then the server stops.
"""

import asyncio
import contextlib
import os
import signal
import threading

GOODBYE_WITHIN = 6.0  # seconds
STOP_WITHIN = 9.5  # seconds from the signal; ten are promised


class Shutdown:
    """Stops a server gently, and by force if that takes too long.

    `say_goodbye` is a coroutine function that closes what is open; it gets
    `GOODBYE_WITHIN` seconds. A second signal changes nothing.
    """

    def __init__(self, loop, stop_accepting, say_goodbye, stop_server):
        self.loop = loop
        self.stop_accepting = stop_accepting
        self.say_goodbye = say_goodbye
        self.stop_server = stop_server
        self.task = None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.begin)

    def begin(self):
        """Handle a signal."""
        if self.task is None:
            # What is not stored by then is in the journal, for the next start.
            by_force = threading.Timer(STOP_WITHIN, os._exit, [1])
            by_force.daemon = True
            by_force.start()
            self.task = self.loop.create_task(self.run())

    async def run(self):
        try:
            self.stop_accepting()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_WITHIN):
                    await self.say_goodbye()
        finally:
            self.stop_server()
