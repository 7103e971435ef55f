"""What of a set-up will go wrong is told before it does, with the remedy."""

import ast
import contextlib
import re
from datetime import timedelta
from io import StringIO

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.management import call_command
from django.db import connection as database
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.utils import timezone
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from monitor import doctor
from monitor.middleware import MonitorMiddleware
from monitor.models import Process
from monitor.origin import SameOriginOnly
from monitor.processes import setup
from project.sessions import LoginMiddleware

from .test_admin import LIVE

pytestmark = pytest.mark.django_db
ENGINE = settings.DATABASES["default"]["ENGINE"]
router = URLRouter([])


def around(websocket):
    return ProtocolTypeRouter({"websocket": websocket})


right = around(AuthMiddlewareStack(MonitorMiddleware(SameOriginOnly(router))))
validated = around(MonitorMiddleware(AllowedHostsOriginValidator(router)))
unrecorded = around(AuthMiddlewareStack(SameOriginOnly(router)))
open_to_all = around(AuthMiddlewareStack(MonitorMiddleware(router)))
origin_outside = around(SameOriginOnly(MonitorMiddleware(router)))
auth_inside = around(MonitorMiddleware(SameOriginOnly(AuthMiddlewareStack(router))))
login_inside = around(MonitorMiddleware(SameOriginOnly(LoginMiddleware(router))))
forgeable = ProxyHeadersMiddleware(right, trusted_hosts="*")
from_anywhere = ProxyHeadersMiddleware(right, trusted_hosts=["0.0.0.0/0"])
behind_proxy = ProxyHeadersMiddleware(right, trusted_hosts=["192.0.2.1"])


def ids(messages):
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("right", []),
        ("validated", []),
        ("behind_proxy", []),
        ("unrecorded", ["monitor.E014"]),
        ("open_to_all", ["monitor.W012"]),
        ("origin_outside", ["monitor.W013"]),
        ("auth_inside", ["monitor.W014"]),
        ("login_inside", ["monitor.W014"]),
        ("forgeable", ["monitor.W015"]),
        ("from_anywhere", ["monitor.W015"]),
        ("missing", ["monitor.E013"]),
    ],
)
def test_the_order_of_the_middlewares_is_looked_at(settings, name, found):
    settings.ASGI_APPLICATION = f"{__name__}.{name}"

    assert ids(doctor.check_surroundings(None)) == found


def test_this_site_has_nothing_to_mend():
    assert doctor.examine() == []


def test_the_core_redis_layer_closes_idle_sockets(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": doctor.CORE_LAYER}}

    [found] = doctor.check_surroundings(None)

    assert found.id == "monitor.E011"
    assert doctor.PUBSUB_LAYER in found.hint


def test_a_project_without_a_layer_is_warned(settings):
    settings.CHANNEL_LAYERS = {}

    assert ids(doctor.check_surroundings(None)) == ["monitor.W011"]


def test_an_unsafe_daphne_is_told_of(monkeypatch):
    versions = {"daphne": "4.2.1", "redis": "8.1"}
    monkeypatch.setattr(doctor, "installed", versions.__getitem__)

    assert ids(doctor.check_surroundings(None)) == ["monitor.E012"]


def alive(name, **setup):
    now = timezone.now()
    facts = {"pid": 1, "started_at": now, "seen_at": now, "server": "daphne"}
    return Process.objects.create(name=name, setup=setup, **facts)


def test_two_processes_need_a_layer_and_a_database_for_several():
    alive("one", layer=doctor.MEMORY_LAYER, database="sqlite")
    assert doctor.examine() == []
    alive("two", layer=doctor.MEMORY_LAYER, database="sqlite")

    found = doctor.examine()

    assert ids(found) == ["monitor.E015", "monitor.W017"]
    assert "REDIS_URL" in found[0].hint
    assert "DATABASE_URL" in found[1].hint


def test_what_a_server_was_told_on_its_command_line_is_known(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/daphne", "--proxy-headers", "shop.asgi:app"])
    alive("web-1", **setup.facts())

    found = doctor.examine()

    assert ids(found) == ["monitor.W019", "monitor.W015"]
    assert "waits 30 s" in found[0].msg
    assert found[0].hint == "Start it with --ping-interval 20 --ping-timeout 15."
    assert found[1].hint.startswith("Leave the option out")


def test_uvicorns_command_line_is_known_too(monkeypatch):
    argv = ["uvicorn", "shop.asgi:app", "--ws-ping-interval=5", "--ws-ping-timeout"]
    monkeypatch.setattr("sys.argv", [*argv, "9", "--forwarded-allow-ips=*"])
    alive("web-1", **setup.facts())
    Process.objects.update(server="uvicorn")

    pings, forgeable = doctor.examine()

    assert "waits 9 s" in pings.msg
    assert "sends one every 5 s" in pings.msg
    assert pings.hint == "Start it with --ws-ping-interval 20 --ws-ping-timeout 15."
    assert "--forwarded-allow-ips=127.0.0.1" in forgeable.hint


@pytest.mark.parametrize(
    ("argv", "trusted"),
    [
        (["daphne", "--ping-interval", "20", "--ping-timeout", "15"], None),
        (["uvicorn", "--ws-ping-interval", "20", "--ws-ping-timeout", "15"], None),
        (["uvicorn", "--forwarded-allow-ips=127.0.0.1"], None),
        (["uvicorn"], "127.0.0.1"),
    ],
)
def test_who_follows_the_remedies_is_told_of_nothing(monkeypatch, argv, trusted):
    monkeypatch.setattr("sys.argv", [argv[0], "shop.asgi:app", *argv[1:]])
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    alive("web-1", **setup.facts())

    assert doctor.examine() == []


@pytest.mark.skipif("sqlite" not in ENGINE, reason="of SQLite")
def test_sqlite_without_wal_keeps_readers_out_until_the_remedy_is_taken(
    monkeypatch, tmp_path
):
    def examined(**options):
        facts = {"NAME": str(tmp_path / "shop.sqlite3"), "OPTIONS": options}
        another = DatabaseWrapper(database.settings_dict | facts)
        with contextlib.closing(another) as opened:
            monkeypatch.setattr(doctor, "connection", opened)
            return doctor.examine()

    [found] = examined()

    assert found.id == "monitor.W016"
    assert "journal mode is delete" in found.msg
    remedy = re.search("OPTIONS = ({.+}) in DATABASES", found.hint)[1]
    assert examined(**ast.literal_eval(remedy)) == []


@pytest.mark.skipif("sqlite" in ENGINE, reason="has the clock of this machine")
@pytest.mark.parametrize(("seconds", "words"), [(5, "5.0 s ahead"), (-3, "3.0 s beh")])
def test_a_clock_that_differs_from_the_databases_is_told_of(
    monkeypatch, seconds, words
):
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(seconds=seconds))

    [found] = doctor.examine()

    assert found.id == "monitor.W018"
    assert words in found.msg
    assert "set-ntp true" in found.hint


def test_so_is_the_clock_of_another_host():
    alive("web-1", clock=0.1)
    alive("web-2", clock=-7.25)
    Process.objects.filter(name="web-2").update(host="far-away")

    [found] = doctor.examine()

    assert "The clock of far-away is 7.2 s behind the database's" in found.msg


def test_the_command_fails_for_errors_only(settings):
    settings.CHANNEL_LAYERS = {}
    said = StringIO()
    call_command("monitor_check", stdout=said)
    assert "monitor.W011" in said.getvalue()

    settings.CHANNEL_LAYERS = {"default": {"BACKEND": doctor.CORE_LAYER}}
    with pytest.raises(SystemExit):
        call_command("monitor_check", stdout=said)


def test_the_dashboard_has_a_page_for_it(olga, settings):
    assert "nothing to mend was found" in olga.get(f"{LIVE}setup/").text
    settings.CHANNEL_LAYERS = {}

    page = olga.get(f"{LIVE}setup/").text

    assert "There is no channel layer" in page
    assert "Remedy:" in page
    assert f"{LIVE}setup/" in olga.get(LIVE).text
