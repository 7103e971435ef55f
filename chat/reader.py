"""Questions to the database, answered without holding up the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

from django.db import Error, InterfaceError, OperationalError, connection


class Reader:
    """One thread with a database connection of its own, kept open.

    Not the thread that Django and Channels share among all consumers and views: one
    slow page would hold up every room.
    """

    def __init__(self):
        self.lock = Lock()
        self.executor = None

    async def ask(self, question, *args, **kwargs):
        """Return what `question` returns. It may raise `django.db.Error`."""
        question = partial(question, *args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread(), _answer, question)

    def stop(self):
        """Close the connection and end the thread; the next question starts anew."""
        with self.lock:
            executor, self.executor = self.executor, None
        if executor is not None:
            executor.submit(_close)
            executor.shutdown()

    def _thread(self):
        with self.lock:
            if self.executor is None:
                self.executor = ThreadPoolExecutor(1, thread_name_prefix="chat-reader")
            return self.executor


def _answer(question):
    try:
        return question()
    except (OperationalError, InterfaceError):
        # The connection may have died since the last question; a new one is tried.
        connection.close()
    try:
        return question()
    except Error:
        connection.close()
        raise


def _close():
    connection.close()  # this thread's: the name stands for another one in each


reader = Reader()
