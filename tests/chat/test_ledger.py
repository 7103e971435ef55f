import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from chat import ledger as module
from chat.ledger import Busy, Ledger
from chat.models import Message, Room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def commits():
    """The batches of messages that a ledger told of."""
    return []


@pytest.fixture
def ledger(commits):
    ledger = Ledger(on_commit=commits.append)
    yield ledger
    ledger.stop()


@pytest.fixture
def ana(make_user):
    return make_user("ana")


@pytest.fixture
async def lobby():
    return await Room.objects.aget(slug="lobby")


async def test_numbers_have_no_gaps_in_each_room(ledger, ana, lobby):
    design = await Room.objects.acreate(slug="design", name="Design")
    rooms = [lobby, design]

    await asyncio.gather(
        *(ledger.submit(room.pk, ana, "hola") for _ in range(50) for room in rooms)
    )

    for room in rooms:
        seqs = [seq async for seq in room.messages.values_list("seq", flat=True)]
        assert sorted(seqs) == list(range(1, 51))
        await room.arefresh_from_db()
        assert room.last_seq == 50


async def test_what_waits_is_committed_together(ledger, commits, ana, lobby):
    await asyncio.gather(*(ledger.submit(lobby.pk, ana, "hola") for _ in range(100)))

    assert [m.seq for batch in commits for m in batch] == list(range(1, 101))
    assert len(commits) < 20


async def test_a_message_is_committed_when_its_sender_hears_of_it(ledger, ana, lobby):
    message = await ledger.submit(lobby.pk, ana, "hola")

    stored = await Message.objects.aget(room=lobby, seq=message.seq)
    assert (stored.text, stored.author_name) == ("hola", "ana")


async def test_whatever_fails_after_the_commit_keeps_no_sender_waiting(ana, lobby):
    def fail(messages):
        raise LookupError("the hub is broken")

    ledger = Ledger(on_commit=fail)
    async with asyncio.timeout(5):
        message = await ledger.submit(lobby.pk, ana, "hola")

    assert message.seq == 1
    ledger.stop()


async def test_a_used_client_id_returns_what_was_stored_then(
    ledger, commits, ana, lobby
):
    client_id = uuid.uuid4()
    first = await ledger.submit(lobby.pk, ana, "hola", client_id)

    again = await ledger.submit(lobby.pk, ana, "changed", client_id)

    assert (again.seq, again.text) == (first.seq, "hola")
    assert await Message.objects.acount() == 1


async def test_a_client_id_twice_in_one_batch_is_stored_once(ledger, ana, lobby):
    client_id = uuid.uuid4()

    messages = await asyncio.gather(
        *(ledger.submit(lobby.pk, ana, "hola", client_id) for _ in range(10))
    )

    assert {message.seq for message in messages} == {1}
    assert await Message.objects.acount() == 1


async def test_a_refused_row_costs_only_itself(ledger, ana, lobby, make_user):
    gone = await sync_to_async(make_user)("gone")
    author_id = gone.pk
    await gone.adelete()
    gone.pk = author_id

    outcomes = await asyncio.gather(
        ledger.submit(lobby.pk, ana, "before"),
        ledger.submit(lobby.pk, gone, "from nobody"),
        ledger.submit(lobby.pk, ana, "after"),
        return_exceptions=True,
    )

    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Message",
        "IntegrityError",
        "Message",
    ]
    texts = Message.objects.order_by("seq").values_list("seq", "text")
    assert [row async for row in texts] == [(1, "before"), (2, "after")]


async def test_a_missing_room_costs_only_its_own_messages(ledger, ana, lobby):
    outcomes = await asyncio.gather(
        ledger.submit(lobby.pk + 1000, ana, "nowhere"),
        ledger.submit(lobby.pk, ana, "somewhere"),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], Room.DoesNotExist)
    assert outcomes[1].seq == 1


async def test_an_error_reaches_all_who_wait_and_the_ledger_goes_on(
    ledger, ana, lobby, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(module, "write", refuse)
        outcomes = await asyncio.gather(
            *(ledger.submit(lobby.pk, ana, "lost") for _ in range(10)),
            return_exceptions=True,
        )

    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)
    assert (await ledger.submit(lobby.pk, ana, "kept")).seq == 1


async def test_too_much_is_refused_at_once(ledger, ana, lobby):
    ledger.LIMIT = 0

    with pytest.raises(Busy):
        await ledger.submit(lobby.pk, ana, "hola")


async def test_stopping_stores_what_waits(ledger, ana, lobby):
    waiting = [
        asyncio.ensure_future(ledger.submit(lobby.pk, ana, "hola")) for _ in range(50)
    ]
    await asyncio.sleep(0)

    await asyncio.to_thread(ledger.stop)

    assert await Message.objects.acount() == 50
    assert ledger.thread is None
    await asyncio.gather(*waiting)


async def test_a_stopped_ledger_starts_again(ledger, ana, lobby):
    await ledger.submit(lobby.pk, ana, "hola")
    ledger.stop()
    ledger.stop()

    assert (await ledger.submit(lobby.pk, ana, "again")).seq == 2


async def test_a_sender_who_is_gone_hurts_nobody(ledger, ana, lobby):
    gone = asyncio.ensure_future(ledger.submit(lobby.pk, ana, "gone"))
    await asyncio.sleep(0)
    gone.cancel()

    await ledger.submit(lobby.pk, ana, "here")

    assert await Message.objects.acount() == 2


def test_one_ledger_serves_several_event_loops(ledger, ana):
    lobby = Room.objects.get(slug="lobby")

    for number in (1, 2, 3):
        assert asyncio.run(ledger.submit(lobby.pk, ana, "hola")).seq == number


def refuse(batch):
    raise OperationalError("the disk is full")
