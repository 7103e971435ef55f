"""Who logs out, is shut out or has a new password leaves the rooms, too."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from chat.hub import Hub

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


async def test_others_stay(join):
    ana, bruno = await join("ana"), await join("bruno")

    await deactivate()

    await ana.hear_farewell()
    await bruno.say("still here")
    assert (await bruno.hear())["message"] == "still here"
