"""How far people have read: gathered for a moment, then stored at once."""

import logging

from monitor.turns import taking_turns

from .errand import Errand
from .models import Membership
from .reader import Reader

logger = logging.getLogger("channelscope.chat")

# A connection of its own: what is stored waits for the database's other writers, and
# nobody may wait for that.
marker = Reader("chat-marker")


def store(marks):
    """Store `{(room id, user id): seq}`."""
    with taking_turns():
        Membership.objects.read(marks)


class Reading:
    """The read marks of one event loop on their way into the database.

    `on_stored(places)` is called with (room id, user id) pairs.
    """

    PAUSE = 1.0  # seconds; what is read meanwhile goes together
    REST = 9  # times as long as storing takes, which thousands of readers make long

    def __init__(self, on_stored):
        self.on_stored = on_stored
        self.marks = {}  # seq by (room id, user id)
        self.errand = Errand(self._store, self.PAUSE, self.REST)

    def read(self, room_id, user_id, seq):
        """Note that a user has read all messages up to a number."""
        place = room_id, user_id
        self.marks[place] = max(seq, self.marks.get(place, 0))
        self.errand.ask()

    def go_on(self):
        """Try again what could not be stored."""
        if self.marks:
            self.errand.ask()

    async def finish(self):
        """Store what is left, as the server stops."""
        if self.marks:
            try:
                await self._store()
            except Exception:
                logger.warning("How far some have read is lost", exc_info=True)

    async def _store(self):
        marks, self.marks = self.marks, {}
        try:
            await marker.ask(store, marks)
        except Exception:
            for place, seq in marks.items():
                self.marks[place] = max(seq, self.marks.get(place, 0))
            raise
        self.on_stored(set(marks))
