"""Who logs out, is shut out or has a new password leaves the rooms, too."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from channels.sessions import CookieMiddleware
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from chat.hub import Hub
from project.sessions import LoginMiddleware

from .conftest import Socket

User = get_user_model()


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(Hub, "LOGIN_INTERVAL", 0.05)


async def log_out():
    await Session.objects.all().adelete()


async def let_the_session_run_out():
    await Session.objects.aupdate(expire_date=timezone.now())


async def deactivate():
    await User.objects.filter(username="ana").aupdate(is_active=False)


async def delete():
    await User.objects.filter(username="ana").adelete()


async def change_the_password():
    ana = await User.objects.aget(username="ana")
    ana.set_password("another one")
    await ana.asave()


@pytest.mark.parametrize(
    "end", [log_out, let_the_session_run_out, deactivate, delete, change_the_password]
)
async def test_an_open_socket_is_closed_when_the_login_ends(join, end):
    ana = await join()

    await end()

    bye = await ana.hear_farewell()
    assert (bye["code"], bye["reason"]) == (4401, "You are logged out; log in again.")
    assert await ana.hear_close() == 4401


@pytest.mark.parametrize(
    "end", [log_out, let_the_session_run_out, deactivate, delete, change_the_password]
)
async def test_a_login_that_has_ended_opens_no_room(cookie_of, end):
    cookie = await sync_to_async(cookie_of)("ana")
    await end()

    late = Socket("/ws/chat/", cookie)
    await late.connect(timeout=5)

    assert (await late.hear_farewell())["code"] == 4401
    assert await late.hear_close() == 4401


async def test_an_older_secret_key_still_opens_a_room(join, cookie_of, settings):
    await sync_to_async(cookie_of)("ana")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret, long enough to be one for real"

    ana = await join("ana")
    await ana.send_json_to({"type": "whoami"})

    assert (await ana.hear("whoami"))["scope"]["user"]["username"] == "ana"


async def test_connections_that_come_together_share_neither_session_nor_user(cookie_of):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)

    stack = CookieMiddleware(LoginMiddleware(app))
    cookie = (await sync_to_async(cookie_of)("ana")).encode()
    scope = {"type": "websocket", "headers": [(b"cookie", cookie)]}

    await asyncio.gather(*(stack(dict(scope), None, None) for _ in range(2)))
    one, other = scopes
    one["session"]["basket"] = ["a book"]
    one["user"].first_name = "Ana"

    assert "basket" not in other["session"]
    assert (other["user"].username, other["user"].first_name) == ("ana", "")


async def test_others_stay(join):
    ana, bruno = await join("ana"), await join("bruno")

    await deactivate()

    await ana.hear_farewell()
    await bruno.say("still here")
    assert (await bruno.hear())["message"] == "still here"
