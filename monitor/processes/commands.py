"""What staff ask of connections: heard, carried out, and answered on the row."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib import import_module
from itertools import groupby
from typing import NamedTuple

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from monitor.models import Action, Connection
from monitor.recording.recorder import NoNotices, Recorder
from monitor.recording.rules import Blocking
from monitor.scope import session_key
from monitor.turns import taking_turns

from .registry import Registry
from .subscription import Subscription

logger = logging.getLogger("channelscope.monitor")

GROUP = "monitor.commands"  # gets {"type": "commands.tick"} when staff ask
SIGNED_OUT, FORBIDDEN = 4401, 4403
RATE = 20.0  # connections a second: their clients may all come back at once
CLOSE_WITHIN = 4.0  # seconds that a server may take to close a socket
SLIPPED_IN_AFTER = 10.0  # seconds after a process heard of a block
Kind, Result = Action.Kind, Action.Result


# Of this process. It hears of what is asked in it also while it holds no connection,
# and then no subscription.
_here: weakref.WeakSet[Commands] = weakref.WeakSet()


class Answer(NamedTuple):
    """What came of an action."""

    action_id: uuid.UUID
    result: Action.Result
    detail: str = ""


class Commands:
    """The actions that concern this process and the connections that it holds.

    `look`, `write_answers` and `give_up_waiting` run in the writer's thread, which
    alone touches the database; the sockets are closed on the event loop, one after
    the other. `wake` asks the writer for a look, `hurry` for writing what has come.
    """

    def __init__(
        self,
        process_id: uuid.UUID,
        registry: Registry,
        wake: Callable[[], None],
        hurry: Callable[[], None],
    ) -> None:
        self.process_id = process_id
        self.registry = registry
        self.wake = wake
        self.hurry = hurry
        self._under_way: set[uuid.UUID] = set()
        self._answers: deque[Answer] = deque()
        self._waiting: deque[Action] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_to_stop = False
        self._turn: asyncio.Task[None] | None = None
        self.subscription = Subscription(GROUP, wake)
        _here.add(self)

    # From the writer's thread --------------------------------------------------------

    def look(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begin whatever was asked since the last look.

        `loop` is the one that serves the connections; None if there never were any.
        """
        asked = [
            action
            for action in Action.objects.asked_of(self.process_id).order_by("pk")
            if action.pk not in self._under_way
        ]
        if not asked:
            return
        seconds = (len(asked) + len(self._under_way)) / RATE
        answer_by = Now() + (timedelta(seconds=seconds) + Action.ANSWER_WITHIN)
        with taking_turns():
            Action.objects.asked_of(self.process_id).update(answer_by=answer_by)
        ready = []
        try:
            for action in asked:
                if self._prepare(action):
                    ready.append(action)
                self._under_way.add(action.pk)
        finally:
            # Also if the database fails meanwhile: what was begun is not begun again.
            if loop is not None and ready:
                loop.call_soon_threadsafe(self._enqueue, ready)

    def write_answers(self) -> bool:
        """Write what came of the actions onto their rows; True if anything did."""
        answers = [self._answers[i] for i in range(len(self._answers))]
        if not answers:
            return False
        with taking_turns(), transaction.atomic():
            for (result, detail), some in groupby(
                sorted(answers, key=lambda a: a[1:]), key=lambda a: a[1:]
            ):
                Action.objects.unanswered().filter(
                    pk__in=[answer.action_id for answer in some]
                ).update(result=result, detail=detail, finished_at=Now())
        for answer in answers:
            self._under_way.discard(answer.action_id)
            self._answers.popleft()
        if self._is_to_stop:
            self._is_to_stop = False
            os.kill(os.getpid(), signal.SIGTERM)  # the server's own way to stop
        return True

    def give_up_waiting(self) -> bool:
        """Say of what nobody answers, in whatever process, that nobody does.

        It is carried out nevertheless if that process comes back soon. True if any.
        """
        if not Action.objects.overdue().exists():
            return False
        with taking_turns():
            overdue = Action.objects.overdue()
            return bool(overdue.update(result=Result.NO_ANSWER, finished_at=Now()))

    def _prepare(self, action: Action) -> bool:
        """Do what needs no event loop; True if there is more to do.

        Raises what the database raises: the next look begins again.
        """
        answer = None
        if action.kind == Kind.DRAIN:
            self._is_to_stop = True
            detail = "it refuses new connections and closes the open ones"
            answer = Answer(action.pk, Result.DONE, detail)
        elif (recorder := self._recorder(action)) is None:
            answer = Answer(action.pk, Result.GONE)
        elif action.kind == Kind.LOG_OUT and (failure := _log_out(recorder)):
            answer = Answer(action.pk, Result.FAILED, failure)
        if answer is not None:
            self._answers.append(answer)
        return answer is None

    # On the event loop ---------------------------------------------------------------

    def _enqueue(self, actions: Iterable[Action]) -> None:
        self._waiting.extend(actions)
        if self._turn is None or self._turn.done():
            self._turn = asyncio.get_running_loop().create_task(self._take_turns())

    def keep_out_soon(self) -> None:
        """Close what slipped in before this process knew of a block.

        What was open before it was made comes after the actions of those who made it,
        which say what came of each.
        """
        self._keep_out(lambda recorder, block: recorder.opened_at >= block.began_at)
        loop = asyncio.get_running_loop()
        loop.call_later(SLIPPED_IN_AFTER, self._keep_out, lambda *_: True)

    def _keep_out(self, is_due: Callable[[Recorder, Blocking], bool]) -> None:
        blocked = [(r, block) for r in self.registry if (block := r.block())]
        due = [pair for pair in blocked if is_due(*pair)]
        loop = asyncio.get_running_loop()
        for number, (recorder, block) in enumerate(due):
            loop.call_later(number / RATE, self._close_blocked, recorder, block)

    def _close_blocked(self, recorder: Recorder, block: Blocking) -> None:
        self._hold(asyncio.create_task(_close_quietly(recorder, block)))

    def _hold(self, task: asyncio.Task[None]) -> None:
        """The loop itself holds its tasks only weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_turns(self) -> None:
        while self._waiting:
            action = self._waiting.popleft()
            self._hold(asyncio.create_task(self._carry_out(action)))
            await asyncio.sleep(1 / RATE)

    async def _carry_out(self, action: Action) -> None:
        result, detail = await self._result(action)
        self._answers.append(Answer(action.pk, result, detail[:500]))
        self.hurry()

    async def _result(self, action: Action) -> tuple[Action.Result, str]:
        recorder = self._recorder(action)
        if recorder is None:
            return _gone(action)
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                done = await _do(action, recorder)
        except TimeoutError:
            return Result.FAILED, "the client took nothing in time"
        except NoNotices:
            return Result.FAILED, "its consumer has no monitor_notice"
        except Exception as error:
            # Whatever the server raises belongs on the row, where staff look for it.
            return Result.FAILED, _words(error)
        return (Result.DONE, "") if done else _gone(action)

    def _recorder(self, action: Action) -> Recorder | None:
        key = action.connection_id
        return self.registry.get(key.hex) if key else None


def announce() -> None:
    """Tell every process that staff asked for something. A lost word costs 5 s."""
    for commands in list(_here):
        commands.wake()
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(GROUP, {"type": "commands.tick"})
    except Exception:
        # The action is in the database: the processes find it at a heartbeat.
        logger.warning("Processes were not told of an action", exc_info=True)


def _log_out(recorder: Recorder) -> str:
    """Delete the session of a connection, whose key this process alone knows.

    Return why not, if not. DatabaseError if the database is away.
    """
    key = session_key(recorder.scope)
    if key is None:
        return "it has no session"
    try:
        with taking_turns():
            import_module(django_settings.SESSION_ENGINE).SessionStore(key).delete()
    except DatabaseError:
        raise
    except Exception as error:
        # The store may be anything: what it raises belongs on the row.
        return _words(error)
    return ""


def _gone(action: Action) -> tuple[Action.Result, str]:
    """What came of an action whose connection has ended since this process began it.

    The session that was to end has ended by then, and its application may have found
    that out, and closed the connection, before it was this one's turn.
    """
    if action.kind == Kind.LOG_OUT:
        return Result.DONE, "the connection ended by itself"
    return Result.GONE, ""


async def _do(action: Action, recorder: Recorder) -> bool:
    """Carry out what was asked of a connection; False if it has ended already."""
    # Who asked is for those who may view actions, and stands there.
    match action.kind:
        case Kind.NOTICE:
            return await recorder.notify(action.reason)
        case Kind.LOG_OUT:
            code = SIGNED_OUT
        case _:
            code = FORBIDDEN
    return await recorder.disconnect(code, action.reason, Connection.Cause.STAFF)


async def _close_quietly(recorder: Recorder, block: Blocking) -> None:
    reason, cause = block.sentence(time.time_ns() // 1000), Connection.Cause.STAFF
    try:
        async with asyncio.timeout(CLOSE_WITHIN):
            await recorder.disconnect(FORBIDDEN, reason, cause)
    except Exception:
        logger.warning("A blocked client could not be closed", exc_info=True)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
