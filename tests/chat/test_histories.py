"""Whatever happens to connections and processes: clients show what the database has."""

import asyncio
import json
import os
import time
import uuid
from collections import deque

import hypothesis
import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from chat import consumers, models, socket
from chat.consumers import ChatConsumer
from chat.hub import Hub
from chat.ledger import Submission, ledger, store
from chat.member import Member
from chat.models import Message, Room

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES, STEPS = (400, 80) if os.environ.get("SOAK") == "1" else (25, 30)
PATIENCE = 10  # seconds; only a failing test waits that long
CLIENTS = 3  # the first two are of one user
which = st.integers(0, CLIENTS - 1)


class Wire:
    """One websocket: what the server sent waits here until the client takes it."""

    def __init__(self, user, slug):
        self.inbox = asyncio.Queue()
        self.frames = deque()
        self.is_closed = False  # by the server
        self.flows = asyncio.Event()  # cleared: nothing is taken from the server
        self.flows.set()
        scope = {
            "type": "websocket",
            "path": f"/ws/chat/{slug}/",
            "url_route": {"args": (), "kwargs": {"slug": slug}},
            "user": user,
            "client": ("127.0.0.1", 50000),
        }
        consumer = ChatConsumer.as_asgi()(scope, self.inbox.get, self._send)
        asyncio.get_running_loop().create_task(consumer)
        self.inbox.put_nowait({"type": "websocket.connect"})

    def say(self, content):
        message = {"type": "websocket.receive", "text": json.dumps(content)}
        self.inbox.put_nowait(message)

    def notice(self):
        """The server hears that the client is gone."""
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def _send(self, message):
        if message["type"] == "websocket.send":
            await self.flows.wait()
            self.frames.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.is_closed = True
            self.notice()


class Client:
    """Keeps to docs/protocol.md, as the page does, and asserts what it promises."""

    def __init__(self, user):
        self.user = user
        self.shown = {}  # text by seq
        self.first = None  # seq of the first message that it ought to show
        self.rev = None  # all changes up to here are shown
        self.outbox = {}  # text by client_id, what is not acknowledged
        self.written = {}  # the same, all
        self.acked = {}  # seq by client_id
        self.wire = None

    def connect(self, slug):
        self.wire = Wire(self.user, slug)
        self.joined = self.resuming = False
        self.live = None  # rev of the last change that came live

    def write(self, text):
        client_id = str(uuid.uuid4())
        self.outbox[client_id] = self.written[client_id] = text
        self.send(client_id)

    def send(self, client_id):
        if self.wire and self.joined:
            message = {"message": self.written[client_id], "client_id": client_id}
            self.wire.say(message)

    def take(self, count):
        """Look at so many of the frames that came."""
        while self.wire and self.wire.frames and count:
            frame = self.wire.frames.popleft()
            getattr(self, frame["type"])(frame)
            count -= 1
        if self.wire and self.wire.is_closed and not self.wire.frames:
            self.wire = None

    def show(self, seq, text):
        assert self.shown.setdefault(seq, text) == text

    # Frames --------------------------------------------------------------------------

    def history(self, frame):
        self.joined = True
        self.live = frame["rev"]
        if self.rev is None:
            for message in frame["messages"]:
                self.show(message["seq"], message["text"])
            self.first = min(self.shown, default=1)
            self.rev = frame["rev"]
        elif frame["rev"] > self.rev:
            self.resume()
        for client_id in self.outbox:
            self.send(client_id)

    def resume(self):
        self.resuming = True
        self.wire.say({"type": "resume", "after": self.rev})

    def resumed(self, frame):
        for message in frame["messages"]:
            self.show(message["seq"], message["text"])
        revs = [message["rev"] for message in frame["messages"]]
        assert revs == list(range(self.rev + 1, self.rev + 1 + len(revs)))
        self.rev = frame["rev"]
        if frame["more"]:
            self.resume()
        else:
            self.resuming = False
            self.rev = max(self.rev, self.live)

    def message(self, frame):
        assert frame["rev"] == self.live + 1
        self.live = frame["rev"]
        self.show(frame["seq"], frame["message"])
        if not self.resuming:
            self.rev = max(self.rev, self.live)
            self.wire.say({"type": "seen", "rev": self.rev})

    def ack(self, frame):
        assert self.acked.setdefault(frame["client_id"], frame["seq"]) == frame["seq"]
        self.outbox.pop(frame["client_id"], None)

    def members(self, frame):
        """Who is there is not asked here."""

    def error(self, frame):
        raise AssertionError(frame)

    def heartbeat(self, frame):
        """It lives."""


class Histories(RuleBasedStateMachine):
    """Clients of one room, in a process that may die."""

    def __init__(self):
        super().__init__()
        self.room = Room.objects.create(slug=f"room-{uuid.uuid4()}", name="Room")
        users = [
            get_user_model().objects.get_or_create(username=name)[0]
            for name in ("ana", "ana", "bruno")
        ]
        self.clients = [Client(user) for user in users]
        self.elsewhere = {}  # text by client_id
        self.loop = asyncio.new_event_loop()

    @rule(which=which, text=st.text("abcñ😀", min_size=1, max_size=5))
    def write(self, which, text):
        self.clients[which].write(text)

    @rule(which=which, data=st.data())
    def resend(self, which, data):
        client = self.clients[which]
        if client.written:
            client.send(data.draw(st.sampled_from(list(client.written))))

    @rule(count=st.integers(1, 3))
    def write_elsewhere(self, count):
        """Another process stores messages, and its tick is lost."""
        author = self.clients[-1].user
        submissions = [
            Submission(self.room.pk, author.pk, "bruno", "afar", uuid.uuid4(), None)
            for _ in range(count)
        ]
        store(submissions)
        for submission in submissions:
            self.elsewhere[str(submission.client_id)] = submission.text

    @rule(which=which, flows=st.booleans())
    def stall(self, which, flows):
        """A client stops to take what comes, or goes on."""
        if wire := self.clients[which].wire:
            self.run(self.call(wire.flows.set if flows else wire.flows.clear))

    @rule(which=which)
    def connect(self, which):
        client = self.clients[which]
        if not client.wire:
            self.run(self.call(client.connect, self.room.slug))

    @rule(which=which, count=st.integers(1, 10))
    def take(self, which, count):
        self.clients[which].take(count)

    @rule(turns=st.integers(0, 20))
    def turn(self, turns):
        """The process gets on a little."""
        self.run(self.turns(turns))

    @rule()
    def wait(self):
        """The process gets on, its threads too."""
        self.run(asyncio.sleep(0.005))

    @rule(which=which, noticed=st.booleans())
    def cut(self, which, noticed):
        """What was sent and not taken is lost, and the server may learn of it late."""
        client = self.clients[which]
        if client.wire and noticed:
            client.wire.notice()
        client.wire = None

    @rule(is_lost=st.booleans())
    def kill(self, is_lost):
        """The process dies: what was to be stored is, or is lost; nobody is told."""
        if is_lost:
            with ledger.changed:
                ledger.waiting.clear()
        self.end_process()
        self.loop = asyncio.new_event_loop()
        for client in self.clients:
            client.wire = None

    @rule()
    def settle(self):
        """Everybody comes back, and says again what was not acknowledged."""
        deadline = time.monotonic() + PATIENCE
        while not self.is_settled():
            assert time.monotonic() < deadline, "somebody still waits for something"
            for client in self.clients:
                if not client.wire:
                    self.run(self.call(client.connect, self.room.slug))
                self.run(self.call(client.wire.flows.set))
            self.run(asyncio.sleep(0.005))
            for client in self.clients:
                client.take(100)
        self.check()

    def is_settled(self):
        head = Room.objects.get(pk=self.room.pk).last_rev
        return all(
            client.rev == head and not client.outbox and not client.resuming
            for client in self.clients
        )

    def check(self):
        stored = list(Message.objects.filter(room=self.room).order_by("seq"))
        assert [message.seq for message in stored] == list(range(1, len(stored) + 1))
        assert [message.rev for message in stored] == list(range(1, len(stored) + 1))
        texts = {str(message.client_id): message.text for message in stored}
        written = {k: v for client in self.clients for k, v in client.written.items()}
        assert texts == written | self.elsewhere
        seqs = {str(message.client_id): message.seq for message in stored}
        acked = {k: v for client in self.clients for k, v in client.acked.items()}
        assert acked == {k: v for k, v in seqs.items() if k not in self.elsewhere}
        for client in self.clients:
            ought = {m.seq: m.text for m in stored if m.seq >= client.first}
            assert client.shown == ought

    def teardown(self):
        self.settle()
        self.end_process()

    # The process ---------------------------------------------------------------------

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    async def turns(self, count):
        for _ in range(count):
            await asyncio.sleep(0)

    async def call(self, function, *args):
        return function(*args)

    def end_process(self):
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.run(asyncio.sleep(0))
        if tasks:
            self.run(asyncio.wait(tasks, timeout=PATIENCE))
        self.loop.close()


def test_after_any_history_of_cuts_clients_show_what_the_database_has(
    monkeypatch, settings
):
    # Small, so that a few messages are many pages and passes; a message that is stored
    # when its process is dead is found by the poll of the next.
    monkeypatch.setattr(models, "PAGE", 3)
    monkeypatch.setattr(consumers, "PAGE", 2)
    monkeypatch.setattr(Hub, "PASS", 2)
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(Member, "LIMIT", 8)
    monkeypatch.setattr(socket, "QUESTION_RATE", 100_000.0)
    settings.CHAT_MAX_CONNECTIONS = 10_000  # those of cuts that nobody noticed

    run_state_machine_as_test(
        Histories,
        settings=hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Whoever has a failing history to shorten adds Phase.shrink: for minutes.
            phases=[Phase.generate],
        ),
    )
