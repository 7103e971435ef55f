"""What of a set-up will go wrong is told before it does, with the remedy."""

from io import StringIO

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.management import call_command
from django.utils import timezone
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from monitor import doctor
from monitor.middleware import MonitorMiddleware
from monitor.models import Process
from monitor.origin import SameOriginOnly
from monitor.processes import setup

from .test_admin import LIVE

pytestmark = pytest.mark.django_db
router = URLRouter([])


def around(websocket):
    return ProtocolTypeRouter({"websocket": websocket})


right = around(AuthMiddlewareStack(MonitorMiddleware(SameOriginOnly(router))))
validated = around(MonitorMiddleware(AllowedHostsOriginValidator(router)))
unrecorded = around(AuthMiddlewareStack(SameOriginOnly(router)))
open_to_all = around(AuthMiddlewareStack(MonitorMiddleware(router)))
origin_outside = around(SameOriginOnly(MonitorMiddleware(router)))
auth_inside = around(MonitorMiddleware(SameOriginOnly(AuthMiddlewareStack(router))))
forgeable = ProxyHeadersMiddleware(right, trusted_hosts="*")
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
        ("forgeable", ["monitor.W015"]),
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
    assert "--ping-timeout 15" in found[0].hint


def test_uvicorns_command_line_is_known_too(monkeypatch):
    argv = [
        "uvicorn",
        "shop.asgi:app",
        "--ws-ping-interval=5",
        "--ws-ping-timeout",
        "9",
    ]
    monkeypatch.setattr("sys.argv", argv)

    facts = setup.facts()

    assert (facts["ping_interval"], facts["ping_timeout"]) == (5, 9)
    assert facts["forgeable"] == ""


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
