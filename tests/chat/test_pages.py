"""Pages of a long history: before, after and around a message, and by a text."""

import pytest
from asgiref.sync import sync_to_async

from chat.models import PAGE, Message, MessageQuerySet, Room

pytestmark = pytest.mark.django_db(transaction=True)


async def page(socket, **where):
    await socket.send_json_to({"type": "history", **where})
    frame = await socket.hear("history")
    return [message["seq"] for message in frame.pop("messages")], frame


async def search(socket, text, **more):
    await socket.send_json_to({"type": "search", "text": text, **more})
    frame = await socket.hear("found")
    return [message["text"] for message in frame["messages"]], frame


@pytest.fixture
async def ana(join, lobby_with):
    """She is in a room with 120 messages."""
    await lobby_with(120)
    return await join("ana")


@pytest.mark.parametrize(
    ("where", "seqs", "beyond"),
    [
        ({"before": 121}, range(71, 121), {"more": True}),
        ({"before": 51}, range(1, 51), {"more": False}),
        ({"before": 1}, (), {"more": False}),
        ({"after": 0}, range(1, 51), {"newer": True}),
        ({"after": 70}, range(71, 121), {"newer": False}),
        ({"after": 120}, (), {"newer": False}),
        ({"around": 60}, range(35, 85), {"more": True, "newer": True}),
        ({"around": 3}, range(1, 28), {"more": False, "newer": True}),
        ({"around": 120}, range(95, 121), {"more": True, "newer": False}),
    ],
)
async def test_a_page_is_where_it_was_asked_for(ana, where, seqs, beyond):
    found, frame = await page(ana, **where)

    assert found == list(seqs)
    assert frame == {"type": "history", **where, **beyond}


async def test_a_page_of_long_messages_shows_what_is_nearest(join, make_user):
    author = await sync_to_async(make_user)("ana")
    lobby = await Room.objects.aget()
    await Message.objects.abulk_create(
        Message(
            **{"room": lobby, "author": author, "author_name": "ana"},
            **{
                "seq": seq,
                "rev": seq,
                "text": "漢" * 4000,
                "sent_at": lobby.created_at,
            },
        )
        for seq in range(1, 61)
    )
    await Room.objects.aupdate(last_seq=60, last_rev=60)
    ana = await join("ana")

    older, first = await page(ana, before=60)
    newer, second = await page(ana, after=1)
    both, third = await page(ana, around=30)

    assert older == list(range(60 - len(older), 60))
    assert newer == list(range(2, 2 + len(newer)))
    assert (first["more"], second["newer"]) == (True, True)
    assert 30 in both
    assert (third["more"], third["newer"]) == (True, True)
    assert all(0 < len(some) < PAGE for some in (older, newer, both))


async def test_a_search_finds_the_newest_first_page_by_page(ana):
    texts, frame = await search(ana, "MESSAGE 1")

    assert texts[:2] == ["message 120", "message 119"]
    assert frame["before"] is None
    assert len(texts) == 32  # 1, 10 to 19, 100 to 120

    texts, frame = await search(ana, "message")
    assert (len(texts), frame["before"]) == (PAGE, 71)
    texts, _ = await search(ana, "message", before=71)
    assert texts[0] == "message 70"


async def test_one_search_looks_through_so_many_messages_and_says_where_it_ended(
    ana, monkeypatch
):
    monkeypatch.setattr(MessageQuerySet, "SEARCHED", 50)

    texts, frame = await search(ana, "message 4")
    assert (texts, frame["before"]) == ([], 71)  # 71 to 120
    texts, frame = await search(ana, "message 4", before=71)
    assert (len(texts), frame["before"]) == (10, 21)  # 40 to 49
    texts, frame = await search(ana, "message 4", before=21)
    assert (texts, frame["before"]) == (["message 4"], None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CANCIÓN", ["La canción de Ñandú"]),
        ("ñandÚ", ["La canción de Ñandú"]),
        ("Ñ", ["La canción de Ñandú"]),
        ("北京", ["北京 50% off_"]),
        ("50%", ["北京 50% off_"]),
        ("off_", ["北京 50% off_"]),
        ("%", ["北京 50% off_"]),
        ("cancion", []),
        ("gone", []),
    ],
)
async def test_a_search_knows_case_and_takes_signs_as_they_are(join, text, found):
    ana, bruno = await join("ana"), await join("bruno")
    for words in ("La canción de Ñandú", "北京 50% off_", "gone soon", "offer"):
        await bruno.say(words)
        await bruno.hear("message")
    await bruno.send_json_to({"type": "delete", "seq": 3})
    await bruno.hear("done")

    assert (await search(ana, text))[0] == found


async def test_who_searches_too_often_is_told(ana):
    for _ in range(5):
        await ana.send_json_to({"type": "search", "text": "hola"})

    while (frame := await ana.receive_json_from())["type"] != "error":
        pass
    assert frame["code"] == "rate"
