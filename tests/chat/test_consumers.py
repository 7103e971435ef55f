import asyncio
import json
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection

from chat import ledger
from chat import socket as chat_socket
from chat.models import Message, Room
from chat.reader import reader

from .conftest import Socket

pytestmark = pytest.mark.django_db(transaction=True)
CROWD = 40
LETTERS = uuid.UUID("abcdefab-cdef-4bcd-8bcd-abcdefabcdef")


async def test_a_message_is_stored_before_everyone_in_the_room_gets_it(join):
    ana, bruno = await join("ana"), await join("bruno")

    await ana.say("hola")

    frame = await bruno.hear()
    assert await Message.objects.filter(text="hola", author_name="ana").aexists()
    assert frame == await ana.hear()
    assert frame.pop("sent_at").endswith("Z")
    assert frame == {
        "type": "message",
        "message": "hola",
        "seq": 1,
        "rev": 1,
        "room": "lobby",
        "user": "ana",
    }


async def test_a_message_stays_in_its_room(join):
    await Room.objects.acreate(slug="design", name="Design")
    lobby, design = await join("ana"), await join("ana", "/ws/chat/design/")

    await design.say("only here")

    assert (await design.hear())["room"] == "design"
    assert await lobby.hears_nothing()


async def test_the_bare_path_is_the_lobby(join):
    short, long = await join("ana"), await join("bruno", "/ws/chat/lobby/")

    await short.say("hola")

    assert (await long.hear())["message"] == "hola"


async def test_who_joins_gets_the_last_fifty_messages(connect, lobby_with):
    await lobby_with(60)

    frame = await (await connect("bruno")).hear("history")

    assert [message["seq"] for message in frame["messages"]] == list(range(11, 61))
    assert frame["more"] is True
    assert frame["messages"][0]["text"] == "message 11"
    assert "message" not in frame["messages"][0]


async def test_older_pages_lead_to_the_beginning(join, lobby_with):
    await lobby_with(60)
    bruno = await join("bruno")

    await bruno.send_json_to({"type": "history", "before": 11})

    page = await bruno.hear("history")
    assert [message["seq"] for message in page["messages"]] == list(range(1, 11))
    assert page["more"] is False


async def test_an_empty_room_has_an_empty_history(connect):
    frame = await (await connect()).hear("history")

    assert frame == {
        "type": "history",
        "messages": [],
        "more": False,
        "rev": 0,
        "name": "lobby",
        "archived": False,
    }


async def test_who_was_away_gets_what_changed_page_by_page(join, lobby_with):
    await lobby_with(130)
    bruno = await join("bruno")
    after, seqs = 15, []

    while True:
        await bruno.send_json_to({"type": "resume", "after": after})
        page = await bruno.hear("resumed")
        seqs += [message["seq"] for message in page["messages"]]
        after = page["rev"]
        if not page["more"]:
            break

    assert seqs == list(range(16, 131))
    assert after == 130
    await bruno.send_json_to({"type": "resume", "after": after})
    nothing = {"type": "resumed", "messages": [], "rev": 130, "more": False}
    assert await bruno.hear("resumed") == nothing


async def test_who_resumes_after_a_rev_that_never_was_is_told_the_last(
    join, lobby_with
):
    await lobby_with(3)
    bruno = await join("bruno")

    await bruno.send_json_to({"type": "resume", "after": 10})

    nothing = {"type": "resumed", "messages": [], "rev": 3, "more": False}
    assert await bruno.hear("resumed") == nothing


async def test_who_resumes_in_a_room_that_was_deleted_is_told(join):
    room = await Room.objects.acreate(slug="design", name="Design")
    ana = await join("ana", "/ws/chat/design/")

    await room.adelete()
    await ana.send_json_to({"type": "resume", "after": 0})

    assert (await ana.hear("bye"))["code"] == 4404
    assert await ana.hear_close() == 4404


async def test_joining_says_after_which_rev_to_resume(join, connect, lobby_with):
    await lobby_with(60)
    bruno = await connect("bruno")
    history = await bruno.hear("history")
    await bruno.disconnect()

    ana = await join("ana")
    await ana.say("while bruno is away")
    await ana.hear()
    bruno = await join("bruno")
    await bruno.send_json_to({"type": "resume", "after": history["rev"]})

    [missed] = (await bruno.hear("resumed"))["messages"]
    assert missed["text"] == "while bruno is away"


async def test_many_senders_are_seen_by_all_in_one_order_without_gaps(join):
    sockets = [await join(f"user{number}") for number in range(8)]

    for number in range(20):
        await asyncio.gather(*(socket.say(str(number)) for socket in sockets))

    seen = [[await socket.hear() for _ in range(160)] for socket in sockets]
    assert all(frames == seen[0] for frames in seen)
    assert [frame["seq"] for frame in seen[0]] == list(range(1, 161))
    for number in range(8):
        own = [f["message"] for f in seen[0] if f["user"] == f"user{number}"]
        assert own == [str(number) for number in range(20)]


async def test_who_joins_while_others_write_misses_nothing(join, connect):
    ana = await join("ana")
    late = []

    for number in range(30):
        await ana.say(str(number))
        if number % 3 == 0:
            late.append(await connect("bruno"))

    for socket in late:
        history = await socket.hear("history")
        seen = [message["seq"] for message in history["messages"]]
        while not seen or seen[-1] < 30:
            seen.append((await socket.hear())["seq"])
        assert seen == list(range(1, 31))
        assert await socket.hears_nothing()


async def test_a_client_id_comes_back_with_the_message(join):
    ana = await join()
    client_id = str(uuid.uuid4())

    await ana.say("hola", client_id=client_id)

    assert (await ana.hear())["client_id"] == client_id


async def test_a_sender_hears_that_its_message_is_committed(join):
    ana = await join()
    client_id = str(uuid.uuid4())

    await ana.say("hola", client_id=client_id)
    ack = await ana.hear("ack")

    stored = await Message.objects.aget()
    assert ack.pop("sent_at").endswith("Z")
    assert ack == {"type": "ack", "client_id": client_id, "seq": stored.seq}
    await ana.say("hola", client_id=client_id)
    assert (await ana.hear("ack"))["seq"] == stored.seq


async def test_a_message_that_is_sent_again_is_stored_once_and_seen_once(join):
    ana, bruno = await join("ana"), await join("bruno")
    client_id = str(uuid.uuid4())

    for _ in range(3):
        await ana.say("hola", client_id=client_id)
    await ana.say("adiós")

    assert [(await bruno.hear())["message"] for _ in range(2)] == ["hola", "adiós"]
    assert await Message.objects.acount() == 2


async def test_the_same_client_id_of_another_user_is_another_message(join):
    ana, bruno = await join("ana"), await join("bruno")
    client_id = str(uuid.uuid4())

    await ana.say("mine", client_id=client_id)
    await ana.hear()
    await bruno.say("mine, too", client_id=client_id)

    assert (await ana.hear())["message"] == "mine, too"


async def test_a_client_id_of_another_room_is_refused_and_nothing_is_stored(join):
    await Room.objects.acreate(slug="design", name="Design")
    lobby, design = await join("ana"), await join("ana", "/ws/chat/design/")
    client_id = str(uuid.uuid4())
    await lobby.say("hola", client_id=client_id)
    await lobby.hear("ack")

    await design.say("hola", client_id=client_id)

    error = await design.hear("error")
    assert (error["code"], error["client_id"]) == ("client-id-used", client_id)
    assert await Message.objects.acount() == 1
    assert await design.hears_nothing()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hola", "not-json"),
        ("{", "not-json"),
        ('{"message": NaN}', "not-json"),
        ('{"message": "\\ud800"}', "not-json"),
        ('{"message": "\ud800"}', "not-json"),
        ("[" * 30_000, "not-json"),
        ('{"message": ' + "[" * 30_000, "not-json"),
        ('{"message": ' + "1" * 5000 + "}", "not-json"),
        ("[" * 200_000, "too-large"),
        ("[]", "not-an-object"),
        ("null", "not-an-object"),
        ('"hola"', "not-an-object"),
        ("{}", "no-message"),
        ('{"type": "message"}', "no-message"),
        ('{"message": null}', "no-message"),
        ('{"message": 7}', "not-a-string"),
        ('{"message": {"text": "hola"}}', "not-a-string"),
        ('{"message": ""}', "blank"),
        ('{"message": " \\n\\t\\u200b"}', "blank"),
        (json.dumps({"message": "x" * 4001}), "too-long"),
        ('{"message": "a\\u0000b"}', "bad-text"),
        ('{"message": "hola", "client_id": "7"}', "bad-client-id"),
        ('{"message": "hola", "client_id": 7}', "bad-client-id"),
        ('{"message": "hola", "client_id": ["a"]}', "bad-client-id"),
        ('{"type": "dance"}', "unknown-type"),
        ('{"type": null, "message": "hola"}', "unknown-type"),
        ('{"type": ["history"]}', "unknown-type"),
        ('{"type": "history"}', "bad-place"),
        ('{"type": "history", "before": 1, "after": 1}', "bad-place"),
        ('{"type": "history", "after": -1}', "bad-place"),
        ('{"type": "history", "around": 0}', "bad-place"),
        ('{"type": "search"}', "bad-query"),
        ('{"type": "search", "text": "  "}', "bad-query"),
        ('{"type": "search", "text": "a\\u0000"}', "bad-query"),
        ('{"type": "search", "text": "hola", "before": 0}', "bad-before"),
        ('{"type": "history", "before": 0}', "bad-place"),
        ('{"type": "history", "before": true}', "bad-place"),
        ('{"type": "history", "before": 1.5}', "bad-place"),
        ('{"type": "history", "before": 9223372036854775808}', "bad-place"),
    ],
    ids=lambda value: value[:30].encode("ascii", "replace").decode(),
)
async def test_bad_input_is_answered_and_not_stored(join, text, code):
    ana = await join()

    await ana.send_input({"type": "websocket.receive", "text": text})

    error = await ana.hear("error")
    assert error["code"] == code
    assert error["detail"]
    await ana.say("still here")
    assert (await ana.hear())["seq"] == 1


@pytest.mark.parametrize(
    "spelling",
    [str(LETTERS).upper(), LETTERS.hex, f"{{{LETTERS}}}", LETTERS.urn],
)
async def test_a_client_id_has_one_spelling(join, spelling):
    ana = await join()

    await ana.say("hola", client_id=spelling)

    assert (await ana.hear("error"))["code"] == "bad-client-id"
    assert not await Message.objects.aexists()


async def test_a_binary_frame_is_answered_and_not_stored(join):
    ana = await join()

    await ana.send_to(bytes_data=b"\x00\xff")

    assert (await ana.hear("error"))["code"] == "binary"
    assert not await Message.objects.aexists()


async def test_four_thousand_characters_are_a_message(join):
    ana = await join()

    await ana.say("🙂" * 4000)

    assert (await ana.hear())["message"] == "🙂" * 4000


async def test_an_error_names_the_message_that_it_is_about(join):
    ana = await join()
    client_id = str(uuid.uuid4())

    await ana.say(" ", client_id=client_id)

    assert (await ana.hear("error"))["client_id"] == client_id


async def test_the_rate_holds_for_all_sockets_of_a_user_together(join, settings):
    settings.CHAT_RATE = 1.0
    first, second, other = await join("ana"), await join("ana"), await join("bruno")

    for socket in (first, second, first):
        await socket.say("quick")

    error = await first.hear("error")
    assert error["code"] == "rate"
    assert 0 < error["retry_after"] <= 1
    await other.say("slow")
    assert [(await other.hear())["user"] for _ in range(3)] == ["ana", "ana", "bruno"]


async def test_who_does_not_listen_to_the_rate_is_let_go_and_told_for_how_long(
    join, settings
):
    settings.CHAT_RATE = 1.0
    ana = await join()

    for _ in range(6):
        await ana.say("quick")

    bye = await ana.hear_farewell()
    assert bye["code"] == 4429
    assert 0 < bye["retry_after"] <= 1
    assert await ana.hear_close() == 4429


async def test_the_advice_never_says_to_wait_for_no_time(join, monkeypatch):
    monkeypatch.setattr(chat_socket.messages_sent, "take", lambda user, rate: 0.004)
    ana = await join()

    await ana.say("quick")

    assert (await ana.hear("error"))["detail"] == "Too fast; try again in 0.1 s."


@pytest.mark.parametrize("frame", ["{", '{"type": "seen", "rev": 0}'])
async def test_frames_of_any_kind_are_limited_and_who_goes_on_is_let_go(
    join, settings, monkeypatch, frame
):
    settings.CHAT_RATE = 0.5
    monkeypatch.setattr(chat_socket, "FRAME_RATE", 2.0)
    ana = await join()

    codes = []
    for _ in range(4 + 4 + 1):
        await ana.send_input({"type": "websocket.receive", "text": frame})
    while (answer := await ana.receive_json_from(timeout=5))["type"] != "bye":
        codes.append(answer.get("code"))

    assert codes.count("rate") == 4
    assert answer["code"] == 4429
    assert await ana.hear_close() == 4429


async def test_the_more_messages_are_allowed_the_more_frames_are(settings):
    settings.CHAT_RATE = 5.0
    assert chat_socket.frame_rate() == 100
    settings.CHAT_RATE = 50.0
    assert chat_socket.frame_rate() == 200


async def test_one_connection_too_many_is_told_when_to_come_back(
    join, connect, settings
):
    settings.CHAT_MAX_CONNECTIONS = 2
    first, _second = await join("ana"), await join("ana")

    third = await connect("ana")
    bye = await third.hear("bye")
    assert (bye["code"], bye["retry_after"]) == (4429, 60)
    assert await third.hear_close() == 4429
    await third.disconnect()
    await join("bruno")

    await first.disconnect()
    await join("ana")


async def test_a_frame_above_64_kib_is_refused_and_the_connection_stays(join):
    ana = await join()

    await ana.say("x", padding="ñ" * 2**15)

    assert (await ana.hear("error"))["code"] == "too-large"
    await ana.say("hola")
    assert (await ana.hear())["message"] == "hola"


async def test_an_anonymous_visitor_is_told_to_log_in(connect):
    visitor = await connect(user=None)

    bye = await visitor.hear("bye")

    assert bye["code"] == 4401
    assert "Log in" in bye["reason"]
    assert await visitor.hear_close() == 4401


async def test_a_missing_room_is_told(connect):
    ana = await connect(path="/ws/chat/nowhere/")

    bye = await ana.hear("bye")

    assert bye["code"] == 4404
    assert await ana.hear_close() == 4404


async def test_what_a_refused_visitor_still_sends_is_ignored(connect):
    visitor = await connect(user=None)

    await visitor.say("hola")
    await visitor.hear("bye")
    await visitor.hear_close()
    await visitor.disconnect()

    assert not await Message.objects.aexists()


async def test_members_of_a_deleted_room_are_told(join):
    room = await Room.objects.acreate(slug="design", name="Design")
    ana = await join("ana", "/ws/chat/design/")

    await room.adelete()
    await ana.say("hola")

    assert (await ana.hear("bye"))["code"] == 4404
    assert await ana.hear_close() == 4404


async def test_a_database_error_is_told_and_the_next_message_is_stored(
    join, monkeypatch
):
    ana = await join()
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "write", refuse)
        await ana.say("lost")
        error = await ana.hear("error")

    await ana.say("kept")

    assert error["code"] == "not-stored"
    assert (await ana.hear())["message"] == "kept"
    assert await Message.objects.acount() == 1


async def test_a_full_ledger_says_so(join, monkeypatch):
    ana = await join()
    monkeypatch.setattr(ledger.ledger, "LIMIT", 0)

    await ana.say("hola")

    assert (await ana.hear("error"))["code"] == "busy"


async def test_members_are_told_who_is_in_the_room(join):
    ana = await join("ana")
    while (await ana.hear("members"))["members"] != ["ana"]:
        pass

    bruno = await join("bruno")

    assert (await ana.hear("members"))["members"] == ["ana", "bruno"]
    await bruno.disconnect()
    assert (await ana.hear("members"))["members"] == ["ana"]


async def test_without_the_monitor_presence_is_unavailable(join, settings):
    settings.MONITOR_ENABLED = False
    ana = await join()

    assert (await ana.hear("members"))["members"] is None
    await ana.say("hola")
    assert (await ana.hear())["message"] == "hola"


async def test_a_client_can_ask_what_the_server_knows_of_it(join):
    ana = await join("ana", "/ws/chat/?token=secret&view=small")

    await ana.send_json_to({"type": "whoami"})

    frame = await ana.hear("whoami")
    scope = frame["scope"]
    assert scope["user"]["username"] == "ana"
    assert scope["route"]["kwargs"] == {"slug": "lobby"}
    assert scope["query"]["view"] == ["small"]
    assert scope["client"] == ["127.0.0.1", 50000]
    assert scope["session"]["expires_at"].endswith("Z")
    assert scope["cookies"] == ["sessionid"]
    assert "secret" not in json.dumps(frame)


async def test_nobody_is_shown_a_session_key(join, cookie_of):
    ana = await join("ana")

    await ana.send_json_to({"type": "whoami"})

    frame = await ana.hear("whoami")
    cookie = dict(ana.scope["headers"])[b"cookie"].decode()
    assert cookie.removeprefix("sessionid=") not in json.dumps(frame)


def refuse(batch):
    raise OperationalError("the disk is full")


async def test_a_page_of_long_messages_is_cut_to_a_frame_that_servers_take(
    join, connect
):
    ana = await join("ana")
    for _ in range(30):
        await ana.say("\N{GRINNING FACE}" * 4000)
        await ana.hear()

    bruno = await connect("bruno")
    page = await bruno.hear("history")
    await bruno.send_json_to({"type": "history", "before": page["messages"][0]["seq"]})
    older = await bruno.hear("history")

    assert len(json.dumps(page, ensure_ascii=False).encode()) < 256 * 2**10
    assert page["more"] is True
    assert page["messages"][-1]["seq"] == 30
    assert older["messages"][-1]["seq"] == page["messages"][0]["seq"] - 1


@pytest.fixture
async def asked():
    """What the chat asks the database for those who come, from now on."""
    found = []

    def note(execute, sql, *rest):
        found.append(sql)
        return execute(sql, *rest)

    await reader.ask(lambda: connection.execute_wrappers.append(note))
    yield found
    await reader.ask(lambda: connection.execute_wrappers.remove(note))


async def test_who_comes_in_a_crowd_costs_two_statements_at_most(cookie_of, asked):
    cookies = [await sync_to_async(cookie_of)(f"user{n}") for n in range(5)]
    crowd = [Socket("/ws/chat/", cookies[n % 5]) for n in range(CROWD)]

    await asyncio.gather(*(socket.connect(timeout=10) for socket in crowd))
    for socket in crowd:
        await socket.hear("history")
        await socket.send_json_to({"type": "resume", "after": 0})
    for socket in crowd:
        await socket.hear("resumed")

    assert 0 < len(asked) <= 2 * CROWD
    await asyncio.gather(*(socket.disconnect() for socket in crowd))
