"""Somebody who does not exist: the pages that they have open, and what they do."""

import asyncio
import time

from channels.db import database_sync_to_async
from django.conf import settings

from .people import log_in
from .tab import Gone, Tab

ARRIVAL = 4.0  # seconds over which people come at the start
STAY = 240.0  # seconds until somebody goes away, on average
AWAY = (15.0, 60.0)  # seconds, from and to
SHUT_OUT = (60.0, 180.0)  # the same, after staff sent them away
STEP = 30.0  # seconds between two changes of pages, on average
IDLE_SHARE = 0.2  # of visits that pass without a word
SECOND_TAB_SHARE = 0.2  # of visits with one room open twice
SIGNED_OUT, NO_SUCH_ROOM = 4401, 4404
LETTERS = 14.0  # typed in a second
TYPES_AT_MOST = 6.0  # seconds


class Person:
    """A user who comes and goes, reads in some rooms, and says what they are told to.

    `on_message(tab, frame)` is called for each live message on each of their pages.
    """

    def __init__(self, user, keys, site, slugs, on_message, random):
        self.user = user
        self.keys = keys  # of sessions, by user
        self.site = site
        self.slugs = slugs
        self.on_message = on_message
        self.random = random
        self.tabs = []
        self.closing = set()  # tasks of tabs
        self.is_idle = False
        self.is_engaged = False  # in a dialogue: they stay until its end
        self.is_shut_out = False
        self.sent_away = asyncio.Event()
        self.speaking = asyncio.Lock()
        self.quiet_until = 0.0  # by CHAT_RATE

    @property
    def key(self):
        """That of their session; empty if it has ended."""
        return self.keys.get(self.user, "")

    @property
    def is_here(self):
        return bool(self.tabs)

    async def live(self):
        """Come and go, until cancelled."""
        await asyncio.sleep(self.random.uniform(0, ARRIVAL))
        while True:
            if not self.key:
                self.keys[self.user] = await database_sync_to_async(log_in)(self.user)
            self.is_shut_out = False
            self.sent_away.clear()
            self.come()
            await self.stay(self.random.expovariate(1 / STAY))
            await self.go()
            span = SHUT_OUT if self.is_shut_out else AWAY
            await asyncio.sleep(self.random.uniform(*span))

    def come(self):
        """Open some rooms."""
        self.is_idle = self.random.random() < IDLE_SHARE
        slugs = self.random.sample(self.slugs, min(len(self.slugs), self.how_many()))
        if self.random.random() < SECOND_TAB_SHARE:
            slugs.append(slugs[0])
        for slug in slugs:
            self.open(slug)

    def how_many(self):
        return self.random.choice([1, 1, 2, 2, 3])

    async def stay(self, seconds):
        """Look into other rooms now and then; return at the end of the visit."""
        ends_at = time.monotonic() + seconds
        while self.is_engaged or time.monotonic() < ends_at:
            try:
                async with asyncio.timeout(self.random.expovariate(1 / STEP)):
                    await self.sent_away.wait()
                return
            except TimeoutError:
                if not self.is_engaged:
                    await self.look_elsewhere()

    async def look_elsewhere(self):
        """Open another room, in the place of one of those that are open."""
        others = [slug for slug in self.slugs if not self.tab_in(slug)]
        if others and self.tabs:
            leaving = self.random.choice(self.tabs)
            self.open(self.random.choice(others))
            self.close(leaving)

    async def go(self):
        """Close everything; return when it is closed."""
        for tab in list(self.tabs):
            self.close(tab)
        if self.closing:
            await asyncio.wait(self.closing)

    async def say(self, slug, text, slowness=TYPES_AT_MOST):
        """Write something in a room; return its number. `tab.Gone`, `tab.NotTaken`.

        `slowness`: how many seconds they type at most.
        """
        async with self.speaking:
            tab = self.page_of(slug)
            await tab.type(min(len(text) / LETTERS, slowness))
            await self.be_polite()
            return await tab.post(text)

    async def change(self, slug, seq, text):
        """Give a message of theirs another text; without a text, delete it."""
        async with self.speaking:
            tab = self.page_of(slug)
            await self.be_polite()
            await (tab.delete(seq) if text is None else tab.edit(seq, text))

    async def be_polite(self):
        """Wait until one may send again."""
        await asyncio.sleep(self.quiet_until - time.monotonic())
        self.quiet_until = time.monotonic() + 1 / settings.CHAT_RATE

    def page_of(self, slug):
        """A page that shows a room. `tab.Gone` for who is not to come back yet."""
        if self.is_shut_out:
            raise Gone
        return self.tab_in(slug) or self.open(slug)

    def tab_in(self, slug):
        return next((tab for tab in self.tabs if tab.slug == slug), None)

    def open(self, slug):
        tab = Tab(self, slug, self.on_message, self.ended)
        self.tabs.append(tab)
        return tab

    def close(self, tab):
        """Close a page, which takes a moment."""
        self.tabs.remove(tab)
        tab.task.cancel()
        self.closing.add(tab.task)
        tab.task.add_done_callback(self.closing.discard)

    def ended(self, tab, code):
        """The server has closed a page for good: they go away, for a while."""
        if tab in self.tabs:
            self.tabs.remove(tab)
        if code == NO_SUCH_ROOM:
            return
        if code == SIGNED_OUT:
            self.keys.pop(self.user, None)
        self.is_shut_out = True
        self.sent_away.set()
