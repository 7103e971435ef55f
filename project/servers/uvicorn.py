"""Uvicorn, without its hand on the signals."""

import asyncio
import contextlib

import uvicorn

from .limits import LARGEST_FRAME, PING_INTERVAL, PING_TIMEOUT
from .shutdown import Shutdown

LINGER = 2  # seconds that open requests get at the end


def run(listener, application, say_goodbye):
    """Serve until a signal comes."""
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_max_size=LARGEST_FRAME,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_TIMEOUT,
        timeout_graceful_shutdown=LINGER,
        server_header=False,
        proxy_headers=False,  # anybody on this machine could write them
    )
    server = Server(config)

    async def main():
        loop = asyncio.get_running_loop()
        Shutdown(loop, server.stop_accepting, say_goodbye, server.stop)
        await server.serve(sockets=[listener])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())


class Server(uvicorn.Server):
    """Uvicorn's server, stopped from outside."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    def stop_accepting(self):
        """Close the listening sockets."""
        for server in self.servers:
            server.close()

    def stop(self):
        """End `serve`."""
        self.should_exit = True
