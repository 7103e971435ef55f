import asyncio

import pytest

from chat.member import Member


@pytest.fixture
def sent():
    return []


@pytest.fixture
def member(sent):
    async def send(message):
        sent.append(message.get("text", message.get("code")))

    return Member(room=None, username="ana", send=send)


@pytest.fixture
def stuck(sent):
    """A member whose client takes nothing; `sent` gets the code of its close."""

    async def send(message):
        if message["type"] == "websocket.close":
            sent.append(message["code"])
        else:
            await asyncio.Event().wait()

    return Member(room=None, username="ana", send=send)


async def test_frames_are_sent_in_the_order_in_which_they_were_pushed(member, sent):
    for number in range(100):
        member.push(str(number))

    await asyncio.sleep(0)

    assert sent == [str(number) for number in range(100)]


async def test_what_was_seen_is_not_pushed_again(member, sent):
    member.catch_up([(1, "one"), (2, "two")])
    member.catch_up([(2, "two"), (3, "three")])

    await asyncio.sleep(0)

    assert sent == ["one", "two", "three"]


async def test_a_client_that_takes_nothing_is_let_go(stuck, sent):
    for number in range(Member.LIMIT + 2):
        stuck.push(str(number))
        await asyncio.sleep(0)
    stuck.push("too late")

    await asyncio.sleep(0)

    assert sent == [4008]


async def test_a_client_that_takes_nothing_holds_no_more_than_its_share(stuck, sent):
    large = "ñ" * (Member.SIZE_LIMIT // 8)  # a quarter of what may wait, in bytes
    for _ in range(5):
        stuck.push(large)
        await asyncio.sleep(0)
    assert stuck.size == 4 * len(large.encode())

    stuck.push(".")
    await asyncio.sleep(0)

    assert sent == [4008]
    assert stuck.size == 0


async def test_a_client_that_takes_nothing_between_two_beats_is_let_go(stuck, sent):
    stuck.push("stuck")
    for _ in range(3):
        await asyncio.sleep(0)
        stuck.beat()
    await asyncio.sleep(0)

    assert sent == [4008]


async def test_a_client_that_takes_what_comes_lives_on(member, sent):
    for _ in range(10):
        member.beat()
        await asyncio.sleep(0)

    assert sent == ['{"type":"heartbeat"}'] * 10


async def test_who_acknowledges_is_held_to_it(member, sent):
    member.acknowledge(0)
    for rev in range(1, 1001):
        member.catch_up([(rev, "x")])
        if rev % 100 == 0:
            member.acknowledge(rev)
        await asyncio.sleep(0)
    assert len(sent) == 1000

    for rev in range(1001, 1001 + 2 * Member.LIMIT):
        member.catch_up([(rev, "x")])
        await asyncio.sleep(0)

    assert sent[-1] == 4008
    assert len(sent) == 1000 + Member.LIMIT + 2


async def test_who_never_acknowledges_is_not_held_to_it(member, sent):
    for rev in range(1, 1001):
        member.catch_up([(rev, "x")])
        await asyncio.sleep(0)

    assert len(sent) == 1000


async def test_what_is_taken_makes_room_for_more(member, sent):
    for _ in range(20):
        member.push("x" * (Member.SIZE_LIMIT // 2))
        await asyncio.sleep(0)

    assert len(sent) == 20
    assert member.size == 0


async def test_a_dismissed_member_hears_why_and_nothing_more(member, sent):
    member.push("before")
    member.dismiss(4404, "This room was deleted.")
    member.push("after")

    await asyncio.sleep(0)

    bye = '{"type":"bye","code":4404,"reason":"This room was deleted."}'
    assert sent == ["before", bye, 4404]


async def test_a_peer_that_is_gone_ends_the_sending():
    async def send(message):
        raise OSError("gone")

    member = Member(room=None, username="ana", send=send)
    member.push("hola")

    await asyncio.sleep(0)

    assert member.leaving
    assert not member.waiting
