"""The monitor in somebody else's project, added as the README says."""

import json
import os
import subprocess
import sys

import pytest
import websockets

from ..clock import until
from ..server import ROOT, Server

MODELS = """
import uuid
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

class User(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=True)
    USERNAME_FIELD = "email"
    objects = BaseUserManager()
"""

SETTINGS = """
INSTALLED_APPS += ["people", "channels", "monitor", "django_htmx"]
AUTH_USER_MODEL = "people.User"
ASGI_APPLICATION = "site1.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
MONITOR_JOURNAL_DIR = BASE_DIR / "monitor-journal"
ALLOWED_HOSTS = ["127.0.0.1"]
"""

ASGI = """
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
http = get_asgi_application()
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.urls import path
from monitor.dashboard.routing import websocket_urlpatterns as monitor_urlpatterns
from monitor.lifespan import lifespan
from monitor.middleware import MonitorMiddleware
from monitor.origin import SameOriginOnly
from monitor.routing import MonitorRouter

class Prices(JsonWebsocketConsumer):
    def receive_json(self, content):
        self.send_json({"price": content["of"] * 2})

router = MonitorRouter([path("prices/", Prices.as_asgi()), *monitor_urlpatterns])
websocket = AuthMiddlewareStack(MonitorMiddleware(SameOriginOnly(router)))
application = ProtocolTypeRouter(
    {"http": http, "websocket": websocket, "lifespan": lifespan}
)
"""

LOG_IN = """
from people.models import User
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
user = User.objects.create(email="zoe@example.com")
user.groups.add(Group.objects.get(name="Monitor viewers"))
client = Client()
client.force_login(user)
print(user.pk.hex, client.cookies["sessionid"].value)
"""


class Project(Server):
    """A project of its own, served without `manage.py up`."""

    def make(self):
        """Write the project and its database; log its one user in."""
        self.run(sys.executable, "-m", "django", "startproject", "site1", ".")
        (self.data_dir / "people").mkdir()
        (self.data_dir / "people/__init__.py").touch()
        (self.data_dir / "people/models.py").write_text(MODELS)
        with open(self.data_dir / "site1/settings.py", "a") as settings:
            settings.write(SETTINGS)
        (self.data_dir / "site1/asgi.py").write_text(ASGI)
        self.run(sys.executable, "manage.py", "makemigrations", "people")
        self.run(sys.executable, "manage.py", "migrate")
        self.run(sys.executable, "manage.py", "check", "--fail-level", "WARNING")
        logged_in = self.run(sys.executable, "manage.py", "shell", "-v0", "-c", LOG_IN)
        self.user_id, session = logged_in.split()[-2:]
        self.cookies["zoe"] = f"sessionid={session}"
        return self

    def run(self, *command):
        self.data_dir.mkdir(exist_ok=True)
        done = subprocess.run(
            command,
            cwd=self.data_dir,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def spawn(self):
        module = self.environment["SERVER"]
        port = ["-p", str(self.port)] if module == "daphne" else []
        port = port or ["--port", str(self.port)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *port, "site1.asgi:application"],
                cwd=self.data_dir,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        return self

    def get(self, path, user=None):
        return super().get("/admin/login/" if path == "/login/" else path, user)

    @property
    def database(self):
        return self.data_dir / "db.sqlite3"


@pytest.fixture(params=["daphne", "uvicorn"])
def project(request, tmp_path):
    environment = {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}
    project = Project(tmp_path / "site", SERVER=request.param, **environment)
    yield project.make()
    project.__exit__()


async def test_another_project_is_recorded_and_watched_as_the_readme_says(project):
    project.start()

    async with project.connect("/ws/monitor/", "zoe") as dashboard:
        await dashboard.send(json.dumps({"have": {}}))
        async with project.connect("/prices/", "zoe") as prices:
            await prices.send('{"of": 21}')
            assert json.loads(await prices.recv()) == {"price": 42}
        pushed = ""

        async def shown():
            nonlocal pushed
            pushed += await dashboard.recv()
            return "/prices/" in pushed and "disconnect" in pushed

        await until(shown)
    with pytest.raises(websockets.InvalidStatus):
        await project.connect("/nowhere/", "zoe").__aenter__()
    with pytest.raises(websockets.InvalidStatus):
        await project.connect("/prices/", "zoe", origin="http://evil.example")

    assert "zoe@example.com" in pushed
    page = project.get("/admin/monitor/live/", "zoe")
    assert page.status == 200
    sql = "select user_id, username, route, cause from monitor_connection where path ="
    await until(lambda: len(project.rows(f"{sql} '/prices/'")) == 2)
    assert project.rows(f"{sql} '/prices/' and cause = 'client'") == [
        (project.user_id, "zoe@example.com", "prices/", "client")
    ]
    assert project.rows(f"{sql} '/nowhere/'")[0][3] == "reject"


async def test_its_connections_are_closed_by_the_next_start(project):
    project.start()
    async with project.connect("/prices/", "zoe") as prices:
        await prices.send('{"of": 1}')
        await prices.recv()
        project.kill()
    project.start()

    async with project.connect("/prices/", "zoe"):
        causes = "select cause from monitor_connection order by opened_at"
        await until(lambda: [c for (c,) in project.rows(causes)][:1] == ["process"])

    texts = "select text from monitor_event where kind = 'receive'"
    assert project.rows(texts) == [('{"of": 1}',)]


async def test_a_stop_stores_everything_without_our_own_server(project):
    project.start()
    async with project.connect("/prices/", "zoe") as prices:
        for number in range(50):
            await prices.send(f'{{"of": {number}}}')
            await prices.recv()
        project.stop()

    counted = project.rows("select count(*) from monitor_event where kind = 'receive'")
    assert counted == [(50,)]
    assert project.rows("select cause from monitor_connection") == [("server",)]
    stopped = "select stopped_at is not null, lost from monitor_process"
    assert project.rows(stopped) == [(1, 0)]
    assert list((project.data_dir / "monitor-journal").iterdir()) == []
