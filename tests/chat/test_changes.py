"""Messages are edited and deleted, and everybody hears of it once."""

import asyncio

import pytest
from django.contrib.auth import get_user_model

from chat.ledger import ledger
from chat.models import Message, Room

pytestmark = pytest.mark.django_db(transaction=True)


async def answer(socket):
    """The next `done` or `error`."""
    while True:
        frame = await socket.receive_json_from(timeout=5)
        if frame["type"] in ("done", "error"):
            return frame


async def test_all_hear_of_an_edit_and_a_resume_brings_it(join):
    ana, bruno = await join("ana"), await join("bruno")
    await ana.say("hola")
    await bruno.hear()

    await ana.send_json_to({"type": "edit", "seq": 1, "message": "hola a todos"})

    changed = await bruno.hear("changed")
    assert (changed["text"], changed["seq"], changed["rev"]) == ("hola a todos", 1, 2)
    assert changed["edited_at"] > changed["sent_at"]
    assert "message" not in changed
    assert (await answer(ana)) == {"type": "done", "seq": 1, "rev": 2}
    await bruno.send_json_to({"type": "resume", "after": 1})
    [again] = (await bruno.hear("resumed"))["messages"]
    assert again == {key: value for key, value in changed.items() if key != "type"}


async def test_a_deleted_message_leaves_its_place_without_its_text(join):
    ana, bruno = await join("ana"), await join("bruno")
    await ana.say("a secret")

    await ana.send_json_to({"type": "delete", "seq": 1})

    changed = await bruno.hear("changed")
    assert (changed["text"], changed["deleted_by"]) == ("", "ana")
    assert not await Message.objects.filter(text="a secret").aexists()
    late = await join("carla")
    await late.send_json_to({"type": "history", "before": 2})
    [told] = (await late.hear("history"))["messages"]
    assert told["deleted_at"] == changed["deleted_at"]
    assert "edited_at" not in told


async def test_staff_may_delete_but_not_edit_what_others_wrote(join, make_user):
    ana = await join("ana")
    await ana.say("rude")
    await get_user_model().objects.acreate(username="olga", is_staff=True)
    olga = await join("olga")

    await olga.send_json_to({"type": "edit", "seq": 1, "message": "kind"})
    assert (await answer(olga))["code"] == "not-yours"
    await olga.send_json_to({"type": "delete", "seq": 1})

    assert (await ana.hear("changed"))["deleted_by"] == "olga"


async def test_who_is_staff_no_more_deletes_nothing_of_others(join):
    ana = await join("ana")
    await ana.say("rude")
    staff = get_user_model().objects
    await staff.acreate(username="olga", is_staff=True)
    olga = await join("olga")

    await staff.filter(username="olga").aupdate(is_staff=False)
    await olga.send_json_to({"type": "delete", "seq": 1})

    assert (await answer(olga))["code"] == "not-yours"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "edit", "seq": 1, "message": "mine now"}, "not-yours"),
        ({"type": "delete", "seq": 1}, "not-yours"),
        ({"type": "delete", "seq": 99}, "no-such-message"),
        ({"type": "edit", "seq": 2, "message": "back again"}, "no-such-message"),
        ({"type": "edit", "seq": 3, "message": " "}, "blank"),
        ({"type": "edit", "seq": 3}, "no-message"),
        ({"type": "edit", "seq": "3", "message": "x"}, "bad-seq"),
        ({"type": "delete", "seq": 0}, "bad-seq"),
        ({"type": "delete", "seq": True}, "bad-seq"),
        ({"type": "delete"}, "bad-seq"),
    ],
)
async def test_what_cannot_be_changed_is_told_and_stays(join, frame, code):
    """Message 1 is ana's, 2 was deleted by its author bruno, 3 is bruno's."""
    ana, bruno = await join("ana"), await join("bruno")
    await ana.say("of ana's")
    await bruno.hear()
    for text in ("of bruno's", "still of bruno's"):
        await bruno.say(text)
        await bruno.hear()
    await bruno.send_json_to({"type": "delete", "seq": 2})
    await answer(bruno)
    before = [message async for message in Message.objects.order_by("seq").values()]

    await bruno.send_json_to(frame)
    refused = await answer(bruno)

    assert (refused["type"], refused["code"]) == ("error", code)
    assert refused.get("seq") == (
        frame.get("seq") if type(frame.get("seq")) is int else None
    )
    assert before == [m async for m in Message.objects.order_by("seq").values()]


async def test_what_is_asked_twice_changes_once(join):
    ana = await join("ana")
    await ana.say("hola")
    for kind in ({"type": "edit", "message": "adiós"}, {"type": "delete"}):
        revs = []
        for _ in range(2):
            await ana.send_json_to({**kind, "seq": 1})
            revs.append((await answer(ana))["rev"])
        assert revs[0] == revs[1]

    assert (await Room.objects.aget(slug="lobby")).last_rev == 3


async def test_changes_of_one_message_in_one_batch_come_in_their_order(make_user, join):
    ana = await join("ana")
    await ana.say("one")
    user = await get_user_model().objects.aget(username="ana")
    lobby = await Room.objects.aget(slug="lobby")

    edits = (ledger.edit(lobby.pk, user, 1, f"edit {n}") for n in range(20))
    await asyncio.gather(*edits)

    message = await Message.objects.aget()
    assert (message.text, message.rev) == ("edit 19", 21)
    heard = [(await ana.hear("changed"))["text"]]
    while heard[-1] != "edit 19":
        heard.append((await ana.hear("changed"))["text"])
    assert heard == sorted(heard, key=lambda text: int(text.split()[1]))
