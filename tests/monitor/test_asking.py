"""The page on which staff act on connections, and what they are told of it."""

import uuid

import pytest
from django.db.models.signals import post_init
from django.urls import reverse
from django.utils import timezone

from monitor.dashboard import asking
from monitor.models import Action, Block, Connection

from .test_admin import LIVE

ASK = f"{LIVE}ask/"
ASKED = {"asked": "yes"}
ANA = {**ASKED, "user": "ana"}


@pytest.fixture
def three(connection):
    """Two connections of ana's, from two addresses, and one of bruno's."""
    for name, host in (("ana", "192.0.2.8"), ("bruno", "198.51.100.1")):
        connection.pk = None
        Connection.objects.create(
            process=connection.process,
            username=name,
            path="/ws/chat/design/",
            client_host=host,
            opened_at=timezone.now(),
            active_at=timezone.now(),
            session_hash="one" if name == "ana" else "two",
        )
    return list(Connection.objects.order_by("opened_at"))


@pytest.fixture
def loaded():
    """The connections that Django makes objects of."""
    found = []

    def note(instance, **sent):
        found.append(instance)

    post_init.connect(note, Connection)
    yield found
    post_init.disconnect(note, Connection)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("user=ana", 2),
        ("path=/ws/chat/*", 3),
        ("path=/ws/chat/design/", 2),
        ("client=192.0.2.0/24", 2),
        ("client=198.51.100.1", 1),
        ("user=nobody", 0),
    ],
)
def test_the_targets_and_their_number_are_named(olga, three, query, count):
    page = olga.get(f"{ASK}?{query}").text

    assert page.count('href="/admin/monitor/live/0') == count
    if count:
        assert f"{count} open connection" in page
    else:
        assert "None of them is open now." in page


@pytest.mark.parametrize("query", ["user=ana", "path=*", "client=192.0.2.0/24"])
def test_of_many_only_the_newest_are_loaded_and_all_are_meant(
    olga, connection, loaded, query
):
    facts = {"process": connection.process, "path": "/ws/chat/", "username": "ana"}
    facts |= {"opened_at": timezone.now(), "active_at": timezone.now()}
    Connection.objects.bulk_create(
        Connection(pk=uuid.uuid4(), client_host="192.0.2.8", **facts)
        for _ in range(asking.SHOWN + 10)
    )
    loaded.clear()

    page = olga.get(f"{ASK}?{query}").text

    assert "all 61 are meant" in page
    assert len(loaded) == asking.SHOWN


def test_each_target_gets_an_action_with_the_reason_and_one_order(olga, three):
    response = olga.post(
        ASK, {**ANA, "kind": "disconnect", "reason": " too  loud "}, follow=True
    )

    actions = Action.objects.all()
    assert actions.count() == 2
    assert len({action.order for action in actions}) == 1
    assert {(a.kind, a.reason, a.result) for a in actions} == {
        ("disconnect", "too loud", "pending")
    }
    assert {a.process_id for a in actions} == {three[0].process_id}
    assert "2 pending" in response.text
    actions.update(result="done")
    told = olga.get(response.request["PATH_INFO"], headers={"HX-Request": "true"})
    assert "2 done" in told.text
    assert "hx-get" not in told.text
    assert "still does it" not in told.text
    actions.update(result="no_answer")
    assert "still does it" in olga.get(response.request["PATH_INFO"]).text


def test_a_logout_takes_all_connections_of_the_session(olga, three):
    Connection.objects.filter(username="ana").update(session_hash="one")
    fields = {
        "asked": "yes",
        "connection": three[0].pk,
        "kind": "log_out",
        "reason": "bye",
    }

    olga.post(ASK, fields)

    assert Action.objects.filter(kind="log_out").count() == 2


def test_who_is_blocked_is_disconnected_and_told_for_how_long(olga, three):
    fields = {
        "asked": "yes",
        "client": "192.0.2.0/24",
        "kind": "block",
        "seconds": "3600",
    }

    olga.post(ASK, {**fields, "reason": "too loud"})

    block = Block.objects.in_force().get()
    assert (block.kind, block.value) == ("network", "192.0.2.0/24")
    assert block.asked_by == olga.user
    assert Action.objects.count() == 2
    assert Action.objects.first().reason == "Blocked for another 60 min: too loud"


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"kind": "disconnect", "reason": "  "}, "Say why; the users will read it."),
        ({"kind": "disconnect", "reason": "x" * 121}, "At most 120 characters"),
        ({"reason": "x"}, "Choose what is to be done."),
        ({"kind": "drain", "reason": "x"}, "Select a valid choice."),
        ({"kind": "block", "reason": "x"}, "Say for how long."),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_done(olga, three, fields, answer):
    page = olga.post(ASK, {**ANA, **fields}).text

    assert answer in page
    assert not Action.objects.exists()


@pytest.mark.parametrize("whom", [{"user": "nobody"}, {"client": "nonsense"}])
def test_nobody_in_particular_cannot_be_blocked(olga, whom):
    fields = {**ASKED, **whom, "kind": "block", "seconds": "300", "reason": "x"}

    page = olga.post(ASK, fields).text

    assert "Select a valid choice." in page
    assert not Block.objects.exists()


def test_a_process_can_be_drained_by_those_who_may(olga, client_of, connection):
    address = f"{ASK}?process={connection.process_id}"
    page = olga.get(address).text
    assert "drain: close all" in page
    assert "1 open connection" in page
    assert "Reason, for the log of actions" in page
    assert "drain…" in olga.get(LIVE).text

    fields = {
        "asked": "yes",
        "process": connection.process_id,
        "kind": "drain",
        "reason": "update",
    }
    assert "Say why, for the log" in olga.post(ASK, {**fields, "reason": " "}).text
    olga.post(ASK, {**fields, "reason": "update"})

    action = Action.objects.get()
    assert (action.kind, action.process_id) == ("drain", connection.process_id)
    some = client_of(None, "view_connection", "view_process", "disconnect_connection")
    assert "drain…" not in some.get(LIVE).text
    assert "You may only look." in some.get(address).text


def test_viewers_may_ask_for_nothing(vera, three):
    page = vera.post(ASK, {**ANA, "kind": "disconnect", "reason": "x"}).text

    assert "You may only look." in page
    assert "Do it" not in page
    assert not Action.objects.exists()


@pytest.mark.parametrize("kind", ["disconnect", "log_out", "notice"])
def test_where_nobody_is_connected_it_is_said_that_nothing_was_done(
    olga, connection, kind
):
    fields = {**ASKED, "user": "nobody", "kind": kind, "reason": "x"}

    page = olga.post(ASK, fields, follow=True).text

    assert "Nobody was connected; nothing was done." in page
    assert not Action.objects.exists()


def test_who_is_not_connected_can_be_blocked_and_that_is_said(olga):
    fields = {**ASKED, "client": "192.0.2.0/24", "kind": "block", "seconds": "0"}

    page = olga.post(ASK, {**fields, "reason": "x"}, follow=True).text

    assert "Blocked 192.0.2.0/24, until it is over or lifted" in page
    assert Block.objects.in_force().count() == 1


@pytest.mark.parametrize("query", ["user=%00", "path=/%00*", "client=%00", "user=%ff"])
def test_an_address_that_nobody_can_have_names_nobody(olga, three, query):
    assert "None of them is open now." in olga.get(f"{ASK}?{query}").text


def test_an_order_that_nobody_gave_is_not_found(olga):
    assert olga.get(f"{LIVE}orders/{uuid.uuid4()}/").status_code == 404


def test_nothing_chosen_leads_back(olga):
    assert "Choose connections first." in olga.get(ASK, follow=True).text


def test_a_block_can_be_made_and_lifted_in_its_list(olga):
    add = "/admin/monitor/block/add/"
    wrong = olga.post(add, {"kind": "network", "value": "nonsense", "reason": "x"})
    assert "neither an IP address" in wrong.text

    fields = {"kind": "network", "value": "192.0.2.9/24", "reason": "spam"}
    olga.post(add, {**fields, "seconds": "0"})
    block = Block.objects.get()
    assert (block.value, block.ends_at) == ("192.0.2.0/24", None)
    assert block.asked_by_name == olga.user.username

    listed = olga.get("/admin/monitor/block/")
    assert "● in force, for ever" in listed.text
    chosen = {"action": "lift_chosen", "_selected_action": block.pk}
    assert (
        "Lifted 1 block."
        in olga.post("/admin/monitor/block/", chosen, follow=True).text
    )
    assert not Block.objects.in_force().exists()


def test_who_is_blocked_in_the_list_is_disconnected_at_once_with_a_result(olga, three):
    fields = {"kind": "user", "value": "ana", "reason": "spam", "seconds": "3600"}

    page = olga.post("/admin/monitor/block/add/", fields, follow=True).text

    actions = Action.objects.all()
    assert {action.connection.username for action in actions} == {"ana"}
    assert {a.reason for a in actions} == {"Blocked for another 60 min: spam"}
    assert actions.count() == 2
    results = reverse("admin:monitor_live_order", args=[actions[0].order])
    assert f'<a href="{results}">See the results</a>' in page


def test_a_connections_page_leads_to_others_like_it(olga, three):
    page = olga.get(f"{LIVE}{three[0].pk}/").text

    assert f'href="{ASK}?user=ana">all of ana</a> (2)' in page
    assert f'href="{ASK}?client=192.0.2.7">all from 192.0.2.7</a> (1)' in page
