import json

import orjson
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.ids import time_ordered_uuid
from monitor.models import Connection, Event, Process
from monitor.recording.capture import connection_row, keep
from monitor.recording.lines import MESSAGE
from monitor.recording.masking import mask, secrets
from monitor.recording.progress import Progress
from monitor.recording.store import store
from monitor.scope import MASK

CANARY = "hunter2-canary"
ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=200
)  # surrogates, too
PLAIN_TEXT = st.text(max_size=20).filter(lambda text: "canary" not in text)
SECRET_KEYS = st.sampled_from(
    [
        *("password", "newPassword", "PASSWD", "pwd", "passphrase", "user_pass"),
        *("token", "accessToken", "refresh_token", "X-CSRFToken", "csrf", "jwt"),
        *("secret", "client_secret", "session", "sessionid", "Session-Key", "sid"),
        *("cardNumber", "card", "cvc", "pin", "otp", "iban", "ssn", "apiKey"),
        *("api_key", "private-key", "Authorization", "auth", "credentials"),
        *("userPass", "loginPin", "smsOtp"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PLAIN_TEXT,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(PLAIN_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
HIDDEN = st.sampled_from(
    [CANARY, f'"{CANARY}"', f"a\\{CANARY}", f"{CANARY}, é", [1, CANARY], {"a": CANARY}]
)


@st.composite
def json_with_a_secret(draw):
    """The text of some JSON that has a secret anywhere in it."""
    content = {draw(SECRET_KEYS): draw(HIDDEN)}
    for _ in range(draw(st.integers(0, 4))):
        match draw(st.sampled_from(["list", "object", "string"])):
            case "list":
                content = [*draw(st.lists(JSON, max_size=3)), content]
            case "object":
                others = draw(st.dictionaries(PLAIN_TEXT, JSON, max_size=3))
                content = {**others, draw(PLAIN_TEXT): content}
            case "string":
                content = {draw(PLAIN_TEXT): json.dumps(content)}
    return json.dumps(
        content,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 2])),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
    )


@given(json_with_a_secret())
@example('{"p\\u0061ssword": "hunter2-canary"}')
@example('{"a": "{\\"token\\": \\"hunter2-canary\\"}"}')
@example('{"a": "\\"token\\" : \\"hunter2-canary\\""}')
def test_no_secret_survives_in_json(text):
    assert "canary" not in mask(text)


@given(json_with_a_secret(), st.integers(1, 400))
def test_no_secret_survives_in_json_that_was_cut(text, limit):
    kept, size, _ = keep({"text": text}, limit)

    assert "canary" not in kept
    assert size == len(text.encode(errors="replace"))


@given(
    SECRET_KEYS,
    st.sampled_from(
        [
            "a=1&{key}={value}&b=2",
            "{key}: {value}\nother: 1",
            "{key}: Bearer {value}",
            "{key} = '{value}'",
            "{{'user': 'ana', '{key}': '{value}'}}",  # as Python prints it
            "{{'user': b'ana', '{key}': b'{value}'}}",
            "{{{key}: \"{value}\"}}",
            "https://example.com/?{key}={value}#x",
            '{{"url": "https://example.com/?{key}={value}", "a": 1}}',
            'KeyError: {{"{key}": "{value}"',
        ]
    ),
)  # fmt: skip
def test_no_secret_survives_in_forms_headers_and_what_python_prints(key, shape):
    assert "canary" not in mask(shape.format(key=key, value=CANARY))


def test_a_secret_is_found_behind_a_key_that_comes_twice():
    text = '{"a": {"password": "hunter2-canary"}, "a": 1}'

    assert "canary" not in mask(text)


def test_json_of_any_depth_can_be_kept():
    deep = '{"a":' * 1000 + '{"password": "hunter2-canary"}' + "}" * 1000

    assert "canary" not in keep({"text": deep}, 2**20)[0]


@pytest.mark.parametrize("secret", ["token=hunter2-canary ", '"card": "canary", '])
def test_a_long_text_that_may_have_secrets_is_cut_where_the_search_for_them_ends(
    secret,
):
    text = secret * 10_000

    kept, size, omission = keep({"text": text}, 2**20)

    assert "canary" not in kept
    assert (size, omission) == (len(text), Event.Omission.CUT)


@pytest.mark.parametrize("text", ["word " * 50_000, json.dumps({"words": "a" * 2**18})])
def test_a_long_text_without_secrets_is_kept_whole(text):
    assert keep({"text": text}, 2**20) == (text, len(text), "")


def test_a_header_with_many_parts_is_masked_to_the_end_of_its_line():
    header = 'Authorization: Digest username="a", response="hunter2-canary"\nHost: b'

    assert mask(header) == f"Authorization: {MASK}\nHost: b"


@given(JSON)
def test_json_stays_json_and_without_secrets_it_stays_as_it_came(content):
    text = json.dumps(content)

    masked = mask(text)

    json.loads(masked)
    if MASK not in masked:
        assert masked == text


@pytest.mark.parametrize(
    "text",
    [
        '{"author": "ana", "key": "ArrowUp", "message": "a passenger passes"}',
        '{"message": "my password is not in a key"}',
        "just words, with a token of my esteem",
        '{"keyboard": "es", "monkey": 1}',
    ],
)
def test_what_only_sounds_secret_is_left_as_it_is(text):
    assert mask(text) == text


def test_only_the_value_is_replaced():
    text = '{ "user": "ana", "password": {"old": 1, "new": [2]}, "n": 1.50 }'

    assert mask(text) == f'{{ "user": "ana", "password": "{MASK}", "n": 1.50 }}'


def test_what_is_masked_can_be_found_again_where_it_is_quoted():
    text = '{"password": "hunter2", "card": 4111, "user": "ana"}'

    assert secrets(text) == {"hunter2", "4111"}


@given(ANY_TEXT, st.integers(0, 300))
def test_any_text_can_be_kept(text, limit):
    kept, size, omission = keep({"text": text}, limit)

    assert "\0" not in kept
    orjson.dumps(kept)
    assert size == len(text.encode(errors="replace"))
    if limit >= 4 * len(text):  # bytes, of which a character takes four at most
        assert kept == mask(text.encode(errors="replace").decode().replace("\0", "�"))


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"user-agent", b"origin", b"host", b"cookie", b"x-real-ip"]),
        st.binary(max_size=50) | st.just(b"x" * 2**20),
    ),
    max_size=4,
)
SCOPES = st.fixed_dictionaries(
    {
        "type": st.just("websocket"),
        "path": ANY_TEXT.map(lambda text: "/" + text),
        "query_string": st.binary(max_size=50),
        "headers": HEADERS,
        "client": st.none() | st.tuples(ANY_TEXT, st.integers() | ANY_TEXT),
    }
)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # fmt: skip
@given(st.lists(st.tuples(SCOPES, ANY_TEXT), min_size=1, max_size=8))
def test_whatever_a_client_sends_is_stored(transactional_db, seen):
    refused = []
    times = {"started_at": timezone.now(), "seen_at": timezone.now()}
    Process.objects.get_or_create(id=PROCESS, pid=1, defaults=times)
    before = Event.objects.count(), Connection.objects.count()

    store(
        Progress(PROCESS),
        list(_lines(seen)),
        set_aside=lambda *why: refused.append(why),
    )

    assert refused == []
    assert Connection.objects.count() - before[1] == len(seen)
    assert Event.objects.count() - before[0] == 2 * len(seen)


PROCESS = "0" * 32


def _lines(seen):
    """The journal of connections that each sent one text."""
    numbers = iter(range(1, 10**6))
    for scope, text in seen:
        key = time_ordered_uuid().hex
        row = connection_row(scope) | {"route": "", "consumer": ""}
        event = {"kind": "connect", "id": key, "at": 1, "counts": [0] * 4, "row": row}
        yield orjson.dumps(event | {"seq": next(numbers), "took": [None, None]})
        kept, size, omission = keep({"text": text}, 100)
        values = dict(zip(MESSAGE, [0] * len(MESSAGE), strict=True))
        values |= {"id": key, "kind": "receive", "text": kept, "size": size}
        values |= {"seq": next(numbers), "omission": omission, "traces": None}
        values |= {"handled_seq": None, "handler_us": None}
        yield orjson.dumps(list(values.values()))
