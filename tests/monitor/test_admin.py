import uuid

import pytest
from django.test import Client
from django.utils import timezone

from monitor.limits import Limit
from monitor.models import Action, Connection, Event

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = "/admin/monitor/live/"
PAGES = ["connection", "event", "action", "gap", "trace", "capturepolicy"]


def ask_for(client, *connections, reason="too loud", **more):
    """POST the dashboard's form."""
    keys = [str(connection.pk) for connection in connections]
    fields = {"connection": keys, "reason": reason, **more}
    return client.post(f"{LIVE}disconnect/", fields, follow=True)


def test_an_operator_reads_everything(client_of, connection):
    olga = client_of("Monitor operators")

    pages = [LIVE, f"{LIVE}{connection.pk}/", "/admin/monitor/event/"]
    for page in pages:
        response = olga.get(page)
        assert response.status_code == 200
        assert "between you and me" in response.text


def test_a_viewer_sees_sizes_in_place_of_texts(client_of, connection):
    vera = client_of("Monitor viewers")
    event = Event.objects.get()

    pages = [
        LIVE,
        f"{LIVE}{connection.pk}/",
        "/admin/monitor/event/",
        f"/admin/monitor/event/{event.pk}/change/",
    ]
    for page in pages:
        response = vera.get(page)
        assert response.status_code == 200
        assert "between" not in response.text
        assert "••• 18 B" in response.text


def test_what_the_application_limits_stands_on_the_dashboard(client_of, settings):
    settings.MONITOR_LIMITS = f"{__name__}.limits_of_a_shop"
    vera = client_of("Monitor viewers")

    page = vera.get(LIVE).text

    assert "carts of a customer" in page
    address = "/admin/monitor/connection/?close_code=4429"
    assert f'href="{address}"' in page
    assert vera.get(address).status_code == 200


def test_limits_that_cannot_be_told_cost_nobody_the_dashboard(
    client_of, settings, caplog
):
    settings.MONITOR_LIMITS = f"{__name__}.limits_that_fail"

    page = client_of("Monitor viewers").get(LIVE)

    assert page.status_code == 200
    assert "MONITOR_LIMITS" in caplog.text


def limits_of_a_shop():
    return [Limit("carts of a customer", "3", "refused", 4429)]


def limits_that_fail():
    raise LookupError("the limits are away")


@pytest.mark.parametrize(
    "query", ["q=between", "text__startswith=between", "text__contains=between"]
)
def test_a_viewer_cannot_find_out_texts_by_searching(client_of, connection, query):
    vera = client_of("Monitor viewers")

    found = vera.get(f"/admin/monitor/event/?{query}", follow=True)

    assert found.status_code == 400 or 'class="field-who"' not in found.text
    everything = vera.get("/admin/monitor/event/?q=ana").text
    assert 'class="field-who"' in everything


def test_who_has_no_right_gets_403_and_no_place_in_the_sidebar(client_of, connection):
    for client in (client_of(), client_of(staff=False)):
        assert client.get(LIVE).status_code == 403
        assert client.get(f"{LIVE}{connection.pk}/").status_code == 403
        assert ask_for(client, connection).status_code == 403
    sam = client_of()
    assert "/admin/monitor/" not in sam.get("/admin/").text
    for page in PAGES:
        assert sam.get(f"/admin/monitor/{page}/").status_code == 403


def test_a_visitor_is_asked_to_log_in():
    response = Client().get(LIVE)

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


def test_sections_need_their_own_rights(client_of, connection):
    client = client_of(None, "view_connection")

    dashboard = client.get(LIVE).text
    page = client.get(f"{LIVE}{connection.pk}/").text

    assert 'id="connections-rows"' in dashboard
    for section in ("gaps", "feed", "traces", "actions", "processes"):
        assert f'id="{section}-rows"' not in dashboard
    assert "receive" not in page


def test_records_can_neither_be_added_nor_changed_nor_deleted(client_of, connection):
    olga = client_of("Monitor operators")
    event = Event.objects.get()

    paths = ("connection/add/", "event/add/", "gap/add/", f"event/{event.pk}/delete/")
    for path in paths:
        assert olga.get(f"/admin/monitor/{path}").status_code == 403
    olga.post(f"/admin/monitor/event/{event.pk}/change/", {"text": "other"})

    assert Event.objects.get().text == "between you and me"


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("connection", "q=192.0.2.7"),
        ("connection", "cause__exact=client"),
        ("connection", "closed_at__isempty=1"),
        ("event", "q=ana"),
        ("connection", "cause__exact=protocol"),
        ("event", "kind__exact=receive"),
        ("event", "omission__exact=policy"),
        ("gap", "kind__exact=dropped"),
        ("trace", "q=ana"),
        ("trace", "state=running"),
        ("capturepolicy", "q=chat"),
        ("action", "q=olga"),
        ("action", "result__exact=pending"),
        ("action", f"order={uuid.uuid4()}"),
        ("block", "kind__exact=user"),
    ],
)
def test_the_lists_are_searched_and_filtered(client_of, connection, page, query):
    olga = client_of("Monitor operators")

    response = olga.get(f"/admin/monitor/{page}/?{query}")

    assert response.status_code == 200


def test_a_connection_in_the_list_leads_to_its_page(client_of, connection):
    olga = client_of("Monitor operators")

    response = olga.get(f"/admin/monitor/connection/{connection.pk}/change/")

    assert response["Location"] == f"{LIVE}{connection.pk}/"


@pytest.mark.parametrize("key", [uuid.uuid4(), "nonsense"])
def test_an_unknown_connection_is_not_found(client_of, key):
    olga = client_of("Monitor operators")

    for path in (f"{LIVE}{key}/", f"/admin/monitor/connection/{key}/change/"):
        assert olga.get(path, follow=True).status_code == 404


def test_what_the_client_wrote_is_escaped(client_of, connection):
    page = client_of("Monitor operators").get(f"{LIVE}{connection.pk}/").text

    assert "&lt;b&gt;Mozilla&lt;/b&gt;" in page
    assert "<b>Mozilla" not in page


def test_a_request_to_disconnect_is_kept_with_who_and_why(client_of, connection):
    olga = client_of("Monitor operators")

    page = ask_for(olga, connection).text

    action = Action.objects.get()
    assert (action.connection, action.reason) == (connection, "too loud")
    assert action.asked_by_name == action.asked_by.username
    assert action.result == Action.Result.PENDING
    assert "Asked for 1 connection to be closed." in page


def test_what_has_closed_already_is_answered_at_once(client_of, connection):
    Connection.objects.update(closed_at=timezone.now())

    ask_for(client_of("Monitor operators"), connection)

    assert Action.objects.get().result == Action.Result.GONE


@pytest.mark.parametrize("reason", ["", "   ", "x" * 121])
def test_a_reason_is_needed_and_has_its_limit(client_of, connection, reason):
    page = ask_for(client_of("Monitor operators"), connection, reason=reason).text

    assert "Give a reason of at most 120 characters" in page
    assert not Action.objects.exists()


def test_nothing_chosen_is_said(client_of):
    page = ask_for(client_of("Monitor operators")).text

    assert "Choose the connections to disconnect first." in page


def test_a_viewer_may_not_disconnect(client_of, connection):
    vera = client_of("Monitor viewers")

    assert ask_for(vera, connection).status_code == 403
    assert "disconnect-reason" not in vera.get(LIVE).text
    assert not Action.objects.exists()


def test_the_dashboard_asks_the_same_number_of_queries_for_many(
    client_of, connection, django_assert_max_num_queries
):
    olga = client_of("Monitor operators")
    olga.get(LIVE)
    for _ in range(50):
        connection.pk = uuid.uuid4()
        connection.save(force_insert=True)

    with django_assert_max_num_queries(13):
        assert olga.get(LIVE).text.count('<tr id="connection-') == 51


def test_more_connections_than_are_shown_is_said(client_of, connection, settings):
    settings.MONITOR_LIVE_ROWS = 3
    for _ in range(5):
        connection.pk = uuid.uuid4()
        connection.save(force_insert=True)

    page = client_of("Monitor operators").get(LIVE).text

    assert page.count('<tr id="connection-') == 3
    assert "The newest 3 of 6 are shown here." in page
