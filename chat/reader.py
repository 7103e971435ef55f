"""Questions to the database, answered without holding up the event loop."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

from django.db import Error, InterfaceError, OperationalError, connection


class Reader:
    """One thread with a database connection of its own, kept open.

    Not the thread that Django and Channels share among all consumers and views: one
    slow page would hold up every room.
    """

    AT_ONCE = 100  # keys that are asked about together

    def __init__(self):
        self.lock = Lock()
        self.executor = None
        self.gathering = {}  # by question, and by key: the futures of those who ask

    async def ask(self, question, *args, **kwargs):
        """Return what `question` returns. It may raise `django.db.Error`."""
        question = partial(question, *args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread(), _answer, question)

    async def ask_together(self, question, key):
        """Return what `question(keys)`, a dict, has for a key; None if nothing.

        It is asked for all who want to know at the same time. While the thread is busy
        the next ones gather: the more come at once, the less each of them costs (as
        with the ledger's group commit). It may raise `django.db.Error`, for all.
        """
        answer = asyncio.get_running_loop().create_future()
        with self.lock:
            gathering = self.gathering.setdefault(question, {})
            is_first = not gathering
            gathering.setdefault(key, []).append(answer)
        if is_first:
            self._thread().submit(self._answer_all, question)
        return await answer

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

    def _answer_all(self, question):
        with self.lock:
            waiting = self.gathering.pop(question)
        keys = list(waiting)
        for start in range(0, len(keys), self.AT_ONCE):
            some = keys[start : start + self.AT_ONCE]
            try:
                answers = _answer(partial(question, some))
            except Exception as error:
                # Whatever it was, those who wait must hear of it.
                answers = dict.fromkeys(some, error)
            for key in some:
                for future in waiting[key]:
                    _tell(future, answers.get(key))


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


def _tell(future, answer):
    with contextlib.suppress(RuntimeError):  # its event loop has closed
        future.get_loop().call_soon_threadsafe(_resolve, future, answer)


def _resolve(future, answer):
    if future.done():  # whoever asked was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _close():
    connection.close()  # this thread's: the name stands for another one in each


reader = Reader()
