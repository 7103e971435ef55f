"""Questions to the database, answered without holding up the event loop."""

import asyncio
import contextlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from threading import Event, Lock

from django.db import Error, InterfaceError, OperationalError, connection

DIGEST_WITHIN = 1.0  # seconds; a loop that is stopped runs nothing any more


class Reader:
    """One thread with a database connection of its own, kept open.

    Not the thread that Django and Channels share among all consumers and views: one
    slow page would hold up every room.
    """

    AT_ONCE = 20  # keys that are asked about together

    def __init__(self, name="chat-reader"):
        self.name = name
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
            self._thread().submit(self._answer_some, question)
        return await answer

    def stop(self):
        """Close the connection and end the thread; the next question starts anew."""
        with self.lock:
            executor, self.executor = self.executor, None
        if executor is not None:
            executor.submit(_close)
            executor.shutdown()
        self.gathering.clear()  # nobody waits any more for what is left

    def _thread(self):
        with self.lock:
            if self.executor is None:
                self.executor = ThreadPoolExecutor(1, thread_name_prefix=self.name)
            return self.executor

    def _answer_some(self, question):
        with self.lock:
            gathering = self.gathering[question]
            some = dict(islice(gathering.items(), self.AT_ONCE))
            for key in some:
                del gathering[key]
            # Else whoever comes next is the first again, and begins anew.
            goes_on = bool(gathering)
        try:
            answers = _answer(partial(question, list(some)))
        except Exception as error:
            # Whatever it was, those who wait must hear of it.
            answers = dict.fromkeys(some, error)
        _tell(
            (future, answers.get(key))
            for key, futures in some.items()
            for future in futures
        )
        with self.lock:
            # Other questions have their turn in between.
            if goes_on and self.executor is not None:
                self.executor.submit(self._answer_some, question)


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


def _tell(answered):
    """Give answers to those who wait, and wait until they have had a first go at them.

    Else a crowd that comes at once would have the event loop for itself: it takes as
    long for a handshake as the database for twenty look-ups.
    """
    by_loop = defaultdict(list)
    for future, answer in answered:
        by_loop[future.get_loop()].append((future, answer))
    for loop, some in by_loop.items():
        digested = Event()
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(_resolve, some, digested)
            digested.wait(DIGEST_WITHIN)


def _resolve(answered, digested):
    for future, answer in answered:
        if future.done():  # whoever asked was cancelled
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
    # Behind the tasks that this has woken.
    asyncio.get_running_loop().call_soon(digested.set)


def _close():
    connection.close()  # this thread's: the name stands for another one in each


reader = Reader()
# What was said elsewhere must not wait for the questions of those who are coming in.
courier = Reader("chat-courier")
