import pytest

from monitor.origin import is_own_origin


def scope(origin, host="chat.example:8000", **more):
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return {"type": "websocket", "headers": headers, **more}


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["chat.example", ".sub.example"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://chat.example:8000", "chat.example:8000"),
        ("http://CHAT.example:8000", "chat.example:8000"),
        ("http://a.sub.example", "a.sub.example"),
    ],
)
def test_a_page_of_this_site_may_connect(origin, host):
    assert is_own_origin(scope(origin, host))


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://evil.example",
        "http://chat.example",
        "http://chat.example:8001",
        "https://chat.example:8000",
        "http://chat.example:8000.evil.example",
        "http://chat.example:8000@evil.example",
        "file://",
    ],
)
def test_every_other_page_may_not(origin):
    assert not is_own_origin(scope(origin))


def test_while_developing_this_machine_is_allowed_without_being_named(settings):
    settings.ALLOWED_HOSTS = []
    here = scope("http://127.0.0.1:8000", "127.0.0.1:8000")
    assert not is_own_origin(here)

    settings.DEBUG = True

    assert is_own_origin(here)


def test_a_host_that_is_not_ours_makes_no_origin_ours():
    assert not is_own_origin(scope("http://evil.example", "evil.example"))


@pytest.mark.parametrize("place", [0, 2])
def test_two_origins_are_none(place):
    both = scope("http://chat.example:8000")
    both["headers"].insert(place, (b"origin", b"http://evil.example"))

    assert not is_own_origin(both)


def test_over_tls_the_scheme_counts(settings):
    assert is_own_origin(scope("https://chat.example:8000", scheme="wss"))
    assert not is_own_origin(scope("http://chat.example:8000", scheme="wss"))


def test_a_proxy_is_believed_only_where_the_settings_say_so(settings):
    forwarded = scope("https://chat.example:8000")
    forwarded["headers"].append((b"x-forwarded-proto", b"https"))
    assert not is_own_origin(forwarded)

    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    assert is_own_origin(forwarded)


@pytest.mark.parametrize("origin", ["https://ours.example", "https://a.wild.example"])
def test_trusted_origins_may_connect(settings, origin):
    settings.CSRF_TRUSTED_ORIGINS = ["https://ours.example", "https://*.wild.example"]

    assert is_own_origin(scope(origin))
    assert not is_own_origin(scope(origin.replace("https", "http")))
    assert not is_own_origin(scope("https://wild.example.evil.example"))
