"""PostgreSQL and Redis, several processes: the same code."""

import json

import pytest

from ..clock import until
from ..server import Server
from ..services import postgres, redis_server
from .test_up import hear

SECRET = "a-secret-for-a-test-that-is-long-enough-to-be-one"


@pytest.fixture
def pair(tmp_path):
    """Two processes, one on each server, with one database and one layer."""
    with postgres() as database_url, redis_server() as redis_url:
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": SECRET,
        }
        first = Server(tmp_path / "data", SERVER="uvicorn", **environment)
        second = Server(tmp_path / "data", SERVER="daphne", **environment)
        with first, second:
            yield first, second


async def test_two_processes_are_one_chat_and_one_dashboard(pair):
    first, second = pair
    second.cookies = first.cookies

    async with (
        first.connect("/ws/chat/", "ana") as ana,
        second.connect("/ws/chat/", "bruno") as bruno,
        second.connect("/ws/monitor/", "olga") as dashboard,
    ):
        await dashboard.send(json.dumps({"have": {}}))
        await ana.send(json.dumps({"message": "hola from the other one"}))
        heard = await hear(bruno, "message")
        pushed = ""

        async def arrived():
            nonlocal pushed
            pushed += await dashboard.recv()
            return "hola from the other one" in pushed

        await until(arrived)

    assert heard["user"] == "ana"
    assert "/ws/chat/" in pushed
    assert first.stop() == 0
    assert second.stop() == 0
