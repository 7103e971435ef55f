"""A room of 100,000 messages: opening it, paging, searching, and scrolling through.

    python -m tests.bench.histories --rounds 1

Each question is asked of it and of a room of 50, in turns. These processes are not
pinned: a browser needs more than one core.
"""

import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import psycopg
from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

from ..browser import chromium
from ..browser.seeds import Seeds
from ..server import Server
from ..services import postgres
from .variants import options

ROUNDS = 5
MANY, FEW = 100_000, 50
DATABASES = ("sqlite", "postgres")
ASKED = 10  # times in each round, each question
SCROLLED = 20_000  # messages, back from the newest
WHEEL = 1_500  # px in each frame: faster than anybody scrolls to read
FRAMES = """by => new Promise((resolve) => {
  const log = document.getElementById("log"), times = [];
  let last = performance.now();
  const step = (now) => {
    times.push(now - last);
    last = now;
    log.scrollBy(0, by);
    if (times.length < 120) requestAnimationFrame(step);
    else resolve(times.slice(1));
  };
  requestAnimationFrame(step);
})"""
OLDEST = "Number(document.querySelector('#messages .text').textContent.split(' ')[1])"


class Room:
    """What a client asks of one room; each method returns milliseconds."""

    def __init__(self, server, slug, count):
        self.server, self.slug, self.count = server, slug, count
        self.cookie = server.cookie("ana")
        self.socket, self.open = None, contextlib.ExitStack()

    def page(self):
        began_at = time.perf_counter()
        response = self.server.get(f"/rooms/{self.slug}/", "ana")
        assert response.status == 200
        return 1000 * (time.perf_counter() - began_at)

    def join(self):
        """From the TCP connection to the history."""
        self.open.close()
        began_at = time.perf_counter()
        connecting = connect(
            f"ws://{self.server.host}/ws/chat/{self.slug}/",
            origin=self.server.url,
            additional_headers={"Cookie": self.cookie},
            compression=None,
        )
        self.socket = self.open.enter_context(connecting)
        self.hear("history")
        return 1000 * (time.perf_counter() - began_at)

    def ask(self, answer, **question):
        began_at = time.perf_counter()
        self.socket.send(json.dumps(question))
        self.hear(answer)
        return 1000 * (time.perf_counter() - began_at)

    def deep(self):
        return self.ask("history", type="history", before=self.count // 2)

    def common(self):
        return self.search("message")

    def rare(self):
        return self.search(f"message {self.count // 3}")

    def missing(self):
        return self.search("nobody has said that")

    def search(self, text):
        time.sleep(0.5)  # as often as one may
        return self.ask("found", type="search", text=text)

    def hear(self, kind):
        while (frame := json.loads(self.socket.recv(timeout=20)))["type"] != kind:
            assert frame["type"] != "error", frame


QUESTIONS = {
    "page": Room.page,
    "join": Room.join,
    "history": Room.deep,
    "search, every message": Room.common,
    "search, one message": Room.rare,
    "search, none": Room.missing,
}


@contextlib.contextmanager
def server_on(database):
    """A server with both rooms."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        more = {"CHAT_RATE": "1000"}
        if database == "postgres":
            more["DATABASE_URL"] = stack.enter_context(postgres())
        server = stack.enter_context(Server(directory / "data", **more))
        for slug, count in (("few", FEW), ("many", MANY)):
            if database == "sqlite":
                with Seeds(server) as seeds:
                    seeds.room_with(slug, count, "bruno")
            else:
                fill(more["DATABASE_URL"], slug, count)
        yield server


def fill(url, slug, count):
    """As `Seeds.room_with`, on PostgreSQL."""
    with psycopg.connect(url) as database:
        database.execute(
            "INSERT INTO chat_room (slug, name, created_at, last_seq, last_rev) "
            "VALUES (%s, %s, now(), %s, %s)",
            [slug, slug, count, count],
        )
        database.execute(
            "INSERT INTO chat_message "
            "(room_id, seq, rev, author_id, author_name, text, sent_at) "
            "SELECT r.id, n, n, u.id, 'bruno', 'message ' || n, "
            "now() - (%s - n) * interval '1 minute' "
            "FROM chat_room r, auth_user u, generate_series(1, %s) n "
            "WHERE r.slug = %s AND u.username = 'bruno'",
            [count, count, slug],
        )
        database.commit()
        database.autocommit = True
        database.execute("VACUUM ANALYZE")


def questions(rounds):
    """Milliseconds, `{(database, question): [(many, few)]}`, medians of each round."""
    results = {}
    for database in DATABASES:
        with server_on(database) as server, contextlib.ExitStack() as stack:
            many, few = Room(server, "many", MANY), Room(server, "few", FEW)
            stack.callback(many.open.close)
            stack.callback(few.open.close)
            for number in range(rounds):
                for name, question in QUESTIONS.items():
                    pairs = [(question(many), question(few)) for _ in range(ASKED)]
                    medians = tuple(map(statistics.median, zip(*pairs, strict=True)))
                    results.setdefault((database, name), []).append(medians)
                    print(
                        f"round {number + 1}  {database:<9}{name:<22}"
                        f"{medians[0]:>7.1f} ms, of 50: {medians[1]:.1f}",
                        flush=True,
                    )
    return results


def scrolling():
    """Scroll back through a room: milliseconds of all frames, and how memory grew."""
    with server_on("sqlite") as server, sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        page = chromium.context_of(browser, server, "ana").new_page()
        page.goto("/rooms/many/")
        page.get_by_text(f"message {MANY}", exact=True).first.wait_for()
        frames = page.evaluate(FRAMES, -WHEEL)  # until the window is full
        before, frames = heap(page), []
        while page.evaluate(OLDEST) > MANY - SCROLLED:
            frames += page.evaluate(FRAMES, -WHEEL)
        after = heap(page)
        rows = page.locator("#messages .message").count()
        browser.close()
    return frames, before, after, rows


def heap(page):
    """Bytes of the page's heap and its nodes, once what is not needed is gone."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    client.send("HeapProfiler.collectGarbage")
    metrics = client.send("Performance.getMetrics")["metrics"]
    client.detach()
    found = {one["name"]: one["value"] for one in metrics}
    return found["JSHeapUsedSize"], found["Nodes"]


def run(rounds=ROUNDS):
    """Measure everything; what was asked, and what scrolling came to."""
    asked = questions(rounds)
    frames, before, after, rows = scrolling()
    slow = sum(frame > 50 for frame in frames)
    print(
        f"scrolling {SCROLLED:,} back: {len(frames)} frames, median "
        f"{statistics.median(frames):.1f} ms, longest {max(frames):.0f}, "
        f"over 50 ms: {slow}; heap {before[0] / 1e6:.1f} to "
        f"{after[0] / 1e6:.1f} MB, nodes {before[1]:.0f} to {after[1]:.0f}, rows {rows}"
    )
    return asked, (frames, before, after, rows)


def main():
    """Measure what the command line says."""
    run(options(__doc__, rounds=ROUNDS).rounds)


if __name__ == "__main__":
    main()
