"""docs/protocol.md: each frame that it shows is one that is sent or understood."""

import json
import re
import uuid

import pytest

from chat.consumers import ChatConsumer
from chat.hub import Hub
from chat.models import Room

from ..server import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
PROTOCOL = (ROOT / "docs/protocol.md").read_text().partition("# The dashboard's")[0]
TO_SERVER, FROM_SERVER = PROTOCOL.split("## From the server")


def documented(section):
    """The frames in the first column of a table, what is left out (…) empty."""
    for example in re.findall(r"^\| `(\{.*?\})` \|", section, re.MULTILINE):
        yield json.loads(example.replace("[…]", "[]").replace("{…}", "{}"))


SENT = list(documented(FROM_SERVER))


def kinds(frame):
    """The types of what a frame has, by its keys."""
    return {key: type(value) for key, value in frame.items()}


def as_documented(frame):
    """Whether a frame has the keys that an example has, of the same types."""
    examples = [kinds(one) for one in SENT if one["type"] == frame["type"]]
    return kinds(frame) in examples


async def test_every_frame_of_the_server_is_as_documented(
    join, connect, monkeypatch, settings
):
    monkeypatch.setattr(Hub, "HEARTBEAT_INTERVAL", 0.05)
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    ana = await connect()
    heard = {}

    async def hear(*kinds):
        while not heard.keys() >= set(kinds):
            frame = await ana.receive_json_from(timeout=5)
            heard[frame["type"]] = frame

    await hear("history", "members")
    await ana.say("hola", client_id=str(uuid.uuid4()))
    await hear("message", "ack")
    await ana.send_json_to({"type": "edit", "seq": 1, "message": "hola a todos"})
    await hear("changed", "done")
    await ana.send_json_to({"type": "resume", "after": 0})
    await ana.send_json_to({"type": "whoami"})
    await ana.send_json_to({"type": "search", "text": "HOLA"})
    await ana.send_json_to({"type": "rooms"})
    await ana.send_json_to({"type": "read", "seq": 1})
    await hear("found", "rooms", "marks")
    await ana.send_json_to({"type": "history", "around": 1})
    await Room.objects.filter(slug="lobby").aupdate(name="Lobby")
    await hear("room")
    bruno = await connect("bruno")
    await bruno.send_json_to({"type": "typing"})
    await hear("typing")
    settings.CHAT_RATE = 0.5
    for _ in range(2):
        await ana.say("hola", client_id=str(uuid.uuid4()))
    await hear("resumed", "whoami", "heartbeat", "error")
    await Room.objects.all().adelete()
    heard["bye"] = await ana.hear_farewell()
    # Staff send it through the monitor, which asks the consumer for the frame.
    heard["notice"] = json.loads(ChatConsumer.monitor_notice("We restart at ten."))

    assert heard.keys() == {frame["type"] for frame in SENT}
    for frame in heard.values():
        if frame["type"] == "error":
            del frame["client_id"]  # said in words
        assert as_documented(frame), frame


def test_every_code_of_an_error_is_documented():
    _, _, codes = PROTOCOL.partition("### Codes of `error`")
    codes, _, _ = codes.partition("## Close codes")
    sources = "".join(file.read_text() for file in (ROOT / "chat").glob("*.py"))

    raised = set(re.findall(r'Refused\(\s*"([a-z-]+)"', sources))

    assert set(re.findall(r"^\| `([a-z-]+)` \|", codes, re.MULTILINE)) == raised


@pytest.mark.parametrize("frame", list(documented(TO_SERVER)), ids=json.dumps)
async def test_every_frame_of_a_client_is_understood(join, lobby_with, frame):
    await lobby_with(60)
    ana = await join()
    if "client_id" in frame:
        frame |= {"client_id": str(uuid.uuid4())}
    answer = {"history": "history", "resume": "resumed", "whoami": "whoami"}
    answer |= dict.fromkeys(["edit", "delete"], "done")
    answer |= {"search": "found", "rooms": "rooms"}

    await ana.send_json_to(frame)
    if frame.get("type") in (
        "seen",
        "read",
        "typing",
        "active",
    ):  # which have no answer
        await ana.say("hola")

    assert await ana.hear(answer.get(frame.get("type"), "message"))
