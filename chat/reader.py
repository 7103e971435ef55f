"""Questions to the database, answered without holding up the event loop."""

import asyncio
import contextlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
        with self.lock:
            thread = self._thread()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, _answer, question)

    async def ask_together(self, question, key):
        """Return what `question(keys)`, a dict, has for a key; None if nothing.

        It is asked for all who want to know at the same time. While the thread is busy
        the next ones gather: the more come at once, the less each of them costs (as
        with the ledger's group commit). It may raise `django.db.Error`, for all.
        """
        answer = asyncio.get_running_loop().create_future()
        with self.lock:
            gathering = self.gathering.setdefault(question, {})
            if not gathering:
                self._thread().submit(self._answer_some, question)
            gathering.setdefault(key, []).append(answer)
        return await answer

    def stop(self):
        """Close the connection and end the thread; the next question starts anew."""
        with self.lock:
            executor, self.executor = self.executor, None
        if executor is not None:
            executor.submit(_close)
            executor.shutdown()
        with self.lock:
            left, self.gathering = self.gathering, {}
        stopped = InterfaceError("The chat's reader has stopped.")
        futures = (f for keys in left.values() for some in keys.values() for f in some)
        _tell((future, stopped) for future in futures)

    def _thread(self):
        if self.executor is None:
            self.executor = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        return self.executor

    def _answer_some(self, question):
        with self.lock:
            gathering, some = self.gathering[question], {}
            while gathering and len(some) < self.AT_ONCE:
                key = next(iter(gathering))
                waiting = [f for f in gathering.pop(key) if not f.done()]
                if waiting:  # and have not given up
                    some[key] = waiting
            # Else whoever comes next is the first again, and begins anew.
            goes_on = bool(gathering)
        if some:
            self._answer_each(question, some)
        with self.lock:
            # Other questions have their turn in between.
            if goes_on and self.executor is not None:
                self.executor.submit(self._answer_some, question)

    def _answer_each(self, question, some):
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

    The database answers faster than the event loop goes on with the answers. Without
    this wait a crowd that comes at once would have the loop for itself.
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
