"""The channel layer, which tells processes when to look again, and nothing else."""

import asyncio
import logging
import uuid

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from monitor.channel import channel_of

from .errand import Errand

logger = logging.getLogger("channelscope.chat")


GROUP = "chat"


class Tick:
    """What there is to look at."""

    ROOM = "chat.tick"  # ids of rooms: something was said, or the room is another
    TYPING = "chat.typing"  # (room id, user name)
    MARKS = "chat.marks"  # (room id, user id): who has read, or was called
    MEMBERS = "chat.members"  # (room id, user id): who was invited, or removed


def tick(kind, about):
    """Tell all processes, from a view. Who misses it finds out by polling."""
    message = {"type": kind, "sender": "", "about": list(about)}
    try:
        async_to_sync(get_channel_layer().group_send)(GROUP, message)
    except Exception:
        # Whatever the layer's client raises.
        logger.warning("Processes were not told of a change", exc_info=True)


class Ticks:
    """One event loop's subscription to groups of the channel layer.

    `on_tick(type, about)` is called for each tick that others sent: what to look at, or
    None for everything. After subscribing it is called with None twice, for whatever
    was missed before. A tick may be lost or doubled.
    """

    # The in-memory layer forgets a member after 24 h without a word.
    REJOIN_INTERVAL = 3600.0  # seconds
    RETRY_INTERVAL = 2.0  # seconds

    def __init__(self, groups, on_tick):
        self.groups = groups
        self.on_tick = on_tick
        self.sender = uuid.uuid4().hex
        self.listener = None
        self.unsent = {}  # what ticks are about, by group and type
        self.publisher = Errand(self._publish)

    def start(self):
        """Listen, until stopped."""
        self.listener = asyncio.create_task(self._listen())

    def stop(self):
        """Stop listening. What is to be published still goes out."""
        if self.listener is not None:
            self.listener.cancel()
            self.listener = None

    def publish(self, group, kind, about):
        """Tell the other processes, soon and once for all that was asked till then.

        `about` is what they need to look at, such as the ids of rooms.
        """
        self.unsent.setdefault((group, kind), set()).update(about)
        self.publisher.ask()

    async def _publish(self):
        while self.unsent:
            (group, kind), about = self.unsent.popitem()
            tick = {"type": kind, "sender": self.sender, "about": list(about)}
            await get_channel_layer().group_send(group, tick)

    async def _listen(self):
        failing = False
        while self._is_listener():
            try:
                async with asyncio.timeout(self.REJOIN_INTERVAL):
                    await self._hear()
            except TimeoutError:
                failing = False
            except Exception:
                # Without the layer, the poll of the hub still finds everything.
                if not failing:
                    logger.exception("No ticks from the channel layer; polling instead")
                failing = True
                await asyncio.sleep(self.RETRY_INTERVAL)

    def _is_listener(self):
        # A cancellation can get lost: redis-py swallows one that comes while it
        # connects.
        return asyncio.current_task() is self.listener

    async def _hear(self):
        layer = get_channel_layer()
        async with channel_of(layer, self.groups) as channel:
            tick = {"type": None}
            while self._is_listener():
                if tick.get("sender") != self.sender:
                    self.on_tick(tick["type"], tick.get("about"))
                tick = await layer.receive(channel)
