"""Simulated people in a running chat: who says what, when and where."""

import asyncio
import random as chance
import time

from chat.models import called_names

from .answers import answer
from .people import FEWEST, speakers
from .person import TYPES_AT_MOST, Person
from .repertoire import DELETES, SAYS, Cast
from .schedule import told
from .tab import Gone, NotTaken

PATIENCE = 3.0  # seconds until a dialogue that was cut is followed by another
BETWEEN = (0.0, 8.0)  # seconds between two dialogues, from and to
THOUGHT = (0.8, 3.0)  # seconds before an answer
ANSWERED = 0.6  # share of messages that are answered although they call nobody


def conversations(people, rooms):
    """How many dialogues so many people have at the same time."""
    return min(people // FEWEST, rooms)


class Pace:
    """Says when the next message is due, so many a second on average."""

    ARREARS = 5  # messages

    def __init__(self, rate, random):
        self.rate = rate
        self.random = random
        self.next_at = time.monotonic()

    async def turn(self):
        """Wait for one's turn."""
        # What was held up is caught up with, but not a long time of it all at once.
        earliest = time.monotonic() - self.ARREARS / self.rate
        self.next_at = max(self.next_at, earliest)
        self.next_at += self.random.expovariate(self.rate)
        await asyncio.sleep(self.next_at - time.monotonic())


class Traffic:
    """People who talk in rooms of the library until they are stopped."""

    def __init__(self, site, keys, places, rate, random=chance):
        """`keys` are those of the people's sessions, by user; `places` have slugs."""
        self.site = site
        self.keys = keys
        self.places = places
        self.rate = rate
        self.random = random
        self.pace = Pace(rate, random)
        facts = (keys, site, list(places), self.hear, random)
        self.people = {user.get_username(): Person(user, *facts) for user in keys}
        self.talking = conversations(len(keys), len(places))
        self.quiet = set(places)  # rooms without a dialogue
        self.decks = {}  # dialogues that wait, by slug
        self.heard = {}  # the last number, by slug
        self.answering = {}  # tasks by slug
        self.said = 0

    async def check(self):
        """See whether people can come in. `site.Unusable`."""
        await self.site.check(next(iter(self.keys.values())))

    async def run(self, seconds=None):
        """Go on for so many seconds, or until cancelled; then everybody leaves."""
        tasks = [asyncio.create_task(person.live()) for person in self.people.values()]
        tasks += [asyncio.create_task(self.converse()) for _ in range(self.talking)]
        try:
            # None of them ends by itself, but by a fault.
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait(tasks, timeout=seconds, return_when=first)
        finally:
            await self.end([*tasks, *self.answering.values()])

    async def end(self, tasks):
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(person.go() for person in self.people.values()))
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def converse(self):
        """Have one dialogue after the other, each in a room that is quiet."""
        await asyncio.sleep(self.random.uniform(*BETWEEN) / self.talking)
        while True:
            slug = self.random.choice(sorted(self.quiet))
            self.quiet.remove(slug)
            try:
                wait = await self.play(self.places[slug])
            finally:
                self.quiet.add(slug)
            await asyncio.sleep(wait)

    async def play(self, place):
        """Have one dialogue; return the seconds until the next."""
        free = self.free(place)
        if len(free) < FEWEST:
            return PATIENCE
        cast = Cast(dialogue := self.next_dialogue(place), free, self.random)
        engaged = [self.people[user.get_username()] for user in cast.people.values()]
        for person in engaged:
            person.is_engaged = True
        try:
            await self.speak(place.slug, dialogue, cast)
        except (Gone, NotTaken):
            return PATIENCE
        finally:
            for person in engaged:
                person.is_engaged = False
        return self.random.uniform(*BETWEEN) / max(1.0, self.rate)

    async def speak(self, slug, dialogue, cast):
        last = {}  # numbers by role
        for line in dialogue.lines:
            await self.pace.turn()
            person = self.people[cast.people[line.role].get_username()]
            if line.kind == SAYS:
                text = cast.words(line)
                last[line.role] = await person.say(slug, text, self.slowness())
                self.said += 1
            else:
                text = None if line.kind == DELETES else cast.words(line)
                await person.change(slug, last[line.role], text)

    def slowness(self):
        """How long somebody may type for the rate to be kept."""
        return min(TYPES_AT_MOST, self.talking / self.rate / 2)

    def free(self, place):
        """Users for a dialogue: those who are here and listen, if they are enough."""
        people = [p for p in self.people.values() if not p.is_engaged]
        people = [person for person in people if not person.is_shut_out]
        awake = [p.user for p in people if p.is_here and not p.is_idle]
        users = awake if len(awake) >= FEWEST else [person.user for person in people]
        return speakers(users, place.language)

    def next_dialogue(self, place):
        """The next of a place: first those that its history does not have."""
        deck = self.decks.get(place.slug)
        if not deck:
            is_new = place.slug not in self.decks
            deck = list(
                place.dialogues[len(told(place)) :] if is_new else place.dialogues
            )
            self.random.shuffle(deck)
            self.decks[place.slug] = deck
        return deck.pop()

    def hear(self, tab, frame):
        """See on some page that somebody has said something."""
        slug, seq = tab.slug, frame["seq"]
        if seq <= self.heard.get(slug, 0):
            return
        self.heard[slug] = seq
        is_real = frame["user"] not in self.people
        if is_real and self.answering.get(slug) is None:
            task = asyncio.create_task(self.answer(slug, frame))
            self.answering[slug] = task
            task.add_done_callback(lambda _: self.answering.pop(slug, None))

    async def answer(self, slug, frame):
        """Have those who are called answer, or now and then whoever is there."""
        called = called_names(frame["message"]) & self.people.keys()
        present = [p for p in self.people.values() if p.tab_in(slug) and not p.is_idle]
        if called:
            somebody = self.people[min(called)]
        elif present and self.random.random() < ANSWERED:
            somebody = self.random.choice(present)
        else:
            return
        await asyncio.sleep(self.random.uniform(*THOUGHT))
        words = answer(frame["message"], frame["user"], self.random)
        try:
            await somebody.say(slug, words)
            self.said += 1
        except (Gone, NotTaken):
            return
