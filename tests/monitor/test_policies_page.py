import pytest
from asgiref.sync import sync_to_async

from monitor.dashboard.consumers import DashboardConsumer
from monitor.models import CapturePolicy, Connection, Event
from monitor.processes.local import local_process

from ..clock import until
from .conftest import stored

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/monitor/capturepolicy/"
ADD = f"{LIST}add/"
DASHBOARD = f"{DashboardConsumer.__module__}.{DashboardConsumer.__qualname__}"


def page_of(client, connection):
    """The page of a connection."""
    return client.get(f"/admin/monitor/live/{connection.pk}/").text


async def heard(socket, text):
    """Send a message; return the event that was kept of it, or None."""
    await socket.send_to(text_data=text)
    await socket.receive_from()
    await stored()
    return await Event.objects.filter(kind="receive").order_by("seq").alast()


async def test_a_policy_acts_at_once_on_what_is_open_and_ends_with_it(
    open_socket, client_of
):
    olga = await sync_to_async(client_of)("Monitor operators")
    post = sync_to_async(olga.post)
    socket = await open_socket()
    assert (await heard(socket, "before")).text == "before"
    rules = local_process().rules

    await post(ADD, {"pattern": "/echo/*", "level": "meta"})
    await until(lambda: local_process().rules is not rules)
    during = await heard(socket, "during")
    rules = local_process().rules
    policy = await CapturePolicy.objects.aget()
    await post(f"{LIST}{policy.pk}/delete/", {"post": "yes"})
    await until(lambda: local_process().rules is not rules)
    afterwards = await heard(socket, "afterwards")

    assert (during.text, during.omission, during.size) == ("", "policy", 6)
    assert afterwards.text == "afterwards"


async def test_policies_deleted_together_end_at_once(open_socket, client_of):
    await CapturePolicy.objects.acreate(pattern="/echo/*", level="off")
    socket = await open_socket()
    rules = await until(
        lambda: local_process().rules.policies and local_process().rules
    )
    assert await heard(socket, "before") is None
    olga = await sync_to_async(client_of)("Monitor operators")
    keys = [key async for key in CapturePolicy.objects.values_list("pk", flat=True)]
    chosen = {"action": "delete_selected", "_selected_action": keys, "post": "yes"}

    await sync_to_async(olga.post)(LIST, chosen)
    await until(lambda: local_process().rules is not rules)

    assert (await heard(socket, "afterwards")).text == "afterwards"


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("ws/chat/", "A path begins with /"),
        ("", "This field is required."),
        ("/" * 256, "at most 255 characters"),
        ("/taken/", "already exists"),
    ],
)
def test_a_pattern_that_cannot_fit_is_refused(olga, pattern, complaint):
    CapturePolicy.objects.create(pattern="/taken/", level="off")

    page = olga.post(ADD, {"pattern": pattern, "level": "meta"}).text

    assert complaint in page
    assert CapturePolicy.objects.count() == 1


def test_the_pages_say_what_is_in_force_otherwise(olga, settings):
    for page in (LIST, ADD):
        assert "this is kept – preview" in olga.get(page).text

    settings.MONITOR_CAPTURE = {"/ws/<b>": "counts"}

    for page in (LIST, ADD):
        text = olga.get(page).text
        assert "MONITOR_CAPTURE decides (/ws/&lt;b&gt;: counts)" in text


def test_a_connections_page_says_what_is_kept_and_why(olga, connection, settings):
    assert "preview: each message" in page_of(olga, connection)
    assert "default" in page_of(olga, connection)

    settings.MONITOR_CAPTURE = {"/ws/*": "no level"}
    assert "default" in page_of(olga, connection)

    settings.MONITOR_CAPTURE = {"*": "counts", "/ws/*": "full", "/other/": "off"}
    assert "full: each message" in page_of(olga, connection)
    assert "setting MONITOR_CAPTURE for /ws/*" in page_of(olga, connection)

    CapturePolicy.objects.create(pattern="*", level="off")
    policy = CapturePolicy.objects.create(pattern="/ws*", level="meta")
    page = page_of(olga, connection)
    assert "meta: each message, without its text" in page
    assert f'href="{LIST}{policy.pk}/change/">policy of staff for /ws*<' in page


def test_the_application_may_have_said_never(olga, connection):
    CapturePolicy.objects.create(pattern="*", level="full")
    Connection.objects.update(consumer=DASHBOARD)

    page = page_of(olga, connection)

    assert "the application says so (monitor_frames)" in page
    assert "policy of staff" not in page


@pytest.mark.parametrize("consumer", ["", "nowhere.to.be.Found", "json.Missing"])
def test_a_consumer_that_is_not_there_any_more_says_nothing(olga, connection, consumer):
    Connection.objects.update(consumer=consumer)

    assert "preview: each message" in page_of(olga, connection)


def test_a_viewer_reads_policies_and_changes_none(vera):
    policy = CapturePolicy.objects.create(pattern="/ws/*", level="meta")
    change = f"{LIST}{policy.pk}/change/"

    assert vera.get(LIST).status_code == 200
    assert vera.get(change).status_code == 200
    assert vera.post(ADD, {"pattern": "*", "level": "off"}).status_code == 403
    assert vera.post(change, {"pattern": "*", "level": "off"}).status_code == 403
    assert vera.post(f"{LIST}{policy.pk}/delete/", {"post": "yes"}).status_code == 403
    assert CapturePolicy.objects.get().level == "meta"
