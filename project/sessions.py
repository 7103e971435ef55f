"""Sessions and users of websockets."""

import asyncio
from copy import copy

from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from chat.identity import logins, session_store
from chat.reader import reader


class LoginMiddleware:
    """Puts `session` and `user` into the scope, from the session cookie.

    In place of Channels' `SessionMiddleware` and `AuthMiddleware`, which ask two
    questions for each connection, one after the other, on the thread that all views
    share: here all who come at the same time are looked up together. Nor does it ask
    for every frame whether the session has changed. Stands inside a `CookieMiddleware`.
    """

    authenticates = True  # the set-up page looks where it stands

    def __init__(self, app):
        self.app = app
        self.under_way = 0  # look-ups
        self.settled = asyncio.Event()  # set while there are none
        self.settled.set()

    async def __call__(self, scope, receive, send):
        key = scope["cookies"].get(settings.SESSION_COOKIE_NAME)
        login = await self._look_up(key) if key else None
        session, user = session_store()(key if login else None), None
        if login:
            session._session_cache = dict(login.values)
            user = copy(login.user)
        scope = dict(scope, session=session, user=user or AnonymousUser())
        return await self.app(scope, receive, send)

    async def _look_up(self, key):
        self.under_way += 1
        self.settled.clear()
        try:
            return await reader.ask_together(logins, key)
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.settled.set()
