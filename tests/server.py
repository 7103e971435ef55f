"""The real server as a subprocess, with an empty environment and data of its own."""

import contextlib
import http.client
import http.cookies
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import websockets

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a-password-for-tests"


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`manage.py up`, started, asked, stopped and killed by a test."""

    def __init__(self, data_dir, **environment):
        self.data_dir = Path(data_dir)
        self.port = int(environment.get("PORT") or free_port())
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(self.data_dir),
            "DEMO_PASSWORD": PASSWORD,
            "PORT": str(self.port),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        self.arguments = ["up"]
        self.process = None
        self.cookies = {}

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *exc_info):
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def log(self):
        """Everything that the server has printed."""
        return self.log_path.read_text()

    @property
    def log_path(self):
        return self.data_dir / "server.log"

    def spawn(self):
        """Start the process without waiting for it to answer."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *self.arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def start(self, within=30):
        """Start, and wait until the login page answers."""
        return self.spawn().ready(within)

    def ready(self, within=30):
        """Wait until the login page answers."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                assert self.get("/login/").status == 200
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready within {within} s: {self.log}")

    def stop(self, number=signal.SIGTERM, within=12):
        """Ask the server to stop; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)

    def kill(self):
        """End the server as a crash would."""
        self.process.kill()
        self.process.wait()

    # HTTP ----------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None):
        """Make one request and read the response whole, into `response.text`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.text = response.read().decode()
            return response

    def get(self, path, user=None):
        """GET a page, as a logged-in user if one is named."""
        headers = {"Cookie": self.cookie(user)} if user else {}
        return self.request("GET", path, headers=headers)

    def post(self, path, user, page=None, /, **fields):
        """POST a form that was found on `page`."""
        form = self.get(page or path, user)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        jar = http.cookies.SimpleCookie(form.headers["Set-Cookie"])
        cookie = f"{self.cookie(user)}; csrftoken={jar['csrftoken'].value}"
        body = urlencode({"csrfmiddlewaretoken": token, **fields}, doseq=True)
        headers = {
            "Cookie": cookie,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.request("POST", path, body, headers)

    def cookie(self, user):
        """The session cookie of a demo account, which logs in on the first call."""
        if user not in self.cookies:
            self.cookies[user] = self._log_in(user)
        return self.cookies[user]

    def _log_in(self, user):
        form = self.get("/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        jar = http.cookies.SimpleCookie(form.headers["Set-Cookie"])
        fields = {
            "csrfmiddlewaretoken": token,
            "username": user,
            "password": PASSWORD,
        }
        headers = {
            "Cookie": f"csrftoken={jar['csrftoken'].value}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        response = self.request("POST", "/login/", urlencode(fields), headers)
        assert response.status == 302, response.text
        for header in response.headers.get_all("Set-Cookie"):
            if "sessionid" in (jar := http.cookies.SimpleCookie(header)):
                return f"sessionid={jar['sessionid'].value}"
        raise AssertionError("the login set no session cookie")

    # Websocket and database ----------------------------------------------------------

    def connect(self, path, user=None, *, port=None, **options):
        """Open a websocket as a page of this site would (an async context); through
        the proxy on `port`, if there is one."""
        host = f"127.0.0.1:{port or self.port}"
        options.setdefault("origin", f"http://{host}")
        headers = {"Cookie": self.cookie(user)} if user else {}
        return websockets.connect(
            f"ws://{host}{path}", additional_headers=headers, **options
        )

    @property
    def database(self):
        return self.data_dir / "channelscope.sqlite3"

    def rows(self, sql, *parameters):
        """Ask the database, from outside of the server."""
        if url := self.environment.get("DATABASE_URL"):
            with psycopg.connect(url) as database:
                sql = sql.replace("?", "%s")
                return database.execute(sql, parameters or None).fetchall()
        database = sqlite3.connect(self.database, timeout=20)
        try:
            return database.execute(sql, parameters).fetchall()
        finally:
            database.close()
