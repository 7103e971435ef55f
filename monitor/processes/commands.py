"""What staff ask of connections: heard, carried out, and answered on the row."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db.models.functions import Now

from monitor.models import Action, Connection

from .registry import Registry
from .subscription import Subscription

logger = logging.getLogger("channelscope.monitor")

GROUP = "monitor.commands"  # gets {"type": "commands.tick"} when staff ask
FORBIDDEN = 4403
ANSWER_WITHIN = 4.0  # seconds that a server may take to close a socket


class Answer(NamedTuple):
    """What came of an action."""

    action_id: uuid.UUID
    result: Action.Result
    detail: str


class Commands:
    """The actions that concern the connections of this process.

    `look` and `write_answers` run in the writer's thread, which alone touches the
    database; the sockets are closed on the event loop.
    """

    def __init__(
        self, process_id: uuid.UUID, registry: Registry, wake: Callable[[], None]
    ) -> None:
        self.process_id = process_id
        self.registry = registry
        self.wake = wake
        self._under_way: set[uuid.UUID] = set()
        self._answers: deque[Answer] = deque()
        self.subscription = Subscription(GROUP, wake)

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin whatever was asked since the last look."""
        for action in Action.objects.pending_at(self.process_id):
            if action.pk not in self._under_way:
                self._under_way.add(action.pk)
                asyncio.run_coroutine_threadsafe(self._carry_out(action), loop)

    def write_answers(self) -> bool:
        """Write what came of the actions onto their rows; True if anything did."""
        wrote = bool(self._answers)
        while self._answers:
            answer = self._answers[0]
            Action.objects.filter(
                pk=answer.action_id, result=Action.Result.PENDING
            ).update(result=answer.result, detail=answer.detail, finished_at=Now())
            self._under_way.discard(answer.action_id)
            self._answers.popleft()
        return wrote

    async def _carry_out(self, action: Action) -> None:
        result, detail = await _disconnect(action, self.registry)
        self._answers.append(Answer(action.pk, result, detail[:500]))
        self.wake()


def announce() -> None:
    """Tell every process that staff asked for something. A lost word costs 5 s."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(GROUP, {"type": "commands.tick"})
    except Exception:
        # The action is in the database: the processes find it at a heartbeat.
        logger.warning("Processes were not told of an action", exc_info=True)


async def _disconnect(action: Action, registry: Registry) -> tuple[Action.Result, str]:
    connection_id = action.connection_id
    recorder = registry.get(connection_id.hex) if connection_id else None
    if recorder is None:
        return Action.Result.GONE, ""

    # Who asked is for those who may view actions, and stands there.
    close = recorder.disconnect(FORBIDDEN, action.reason, Connection.Cause.STAFF)
    try:
        closed = await asyncio.wait_for(close, ANSWER_WITHIN)
    except TimeoutError:
        return Action.Result.FAILED, "the server did not close the socket in time"
    except Exception as error:
        # Whatever the server raises belongs on the row, where staff look for it.
        return Action.Result.FAILED, f"{type(error).__name__}: {error}"
    return (Action.Result.DONE if closed else Action.Result.GONE), ""
