from datetime import timedelta

import pytest
from django.utils import timezone

from monitor.models import Gap, Process

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = "/admin/monitor/live/"


@pytest.fixture
def gap(connection):
    """What a process lost an hour ago, for a minute."""

    def gap(hours=1, kind=Gap.Kind.DROPPED):
        ended = timezone.now() - timedelta(hours=hours)
        began = ended - timedelta(minutes=1)
        process = connection.process
        times = {"began_at": began, "ended_at": ended}
        return Gap.objects.create(process=process, kind=kind, count=12345, **times)

    return gap


def test_gaps_of_the_last_day_are_on_the_dashboard_and_in_its_totals(vera, gap):
    new, payload, old = gap(), gap(2, Gap.Kind.PAYLOAD), gap(hours=25)

    page = vera.get(LIVE).text

    assert page.index(f"gap-{new.pk}-what") < page.index(f"gap-{payload.pk}-what")
    assert f"gap-{old.pk}" not in page
    assert "events not recorded, journal full or disk refusing" in page
    assert "texts left out, journal nearly full" in page
    assert 'title="12,345"' in page
    assert '<a href="#gaps-title">▲ 2 gaps in 24 h</a>' in page


def test_without_gaps_nothing_is_said_of_them(vera, connection):
    page = vera.get(LIVE).text

    assert '<tbody id="gaps-rows"></tbody>' in page
    assert "in 24 h" not in page


def test_gaps_need_their_own_right(client_of, gap):
    gap()
    client = client_of(None, "view_connection")

    page = client.get(LIVE).text

    assert "gaps-rows" not in page
    assert "in 24 h" not in page
    assert client.get("/admin/monitor/gap/").status_code == 403


def test_the_list_of_gaps_can_only_be_read(olga, gap):
    change = f"/admin/monitor/gap/{gap().pk}/change/"

    assert "12,345" in olga.get("/admin/monitor/gap/").text
    assert "web-1" in olga.get(change).text
    assert olga.post(change, {"count": 0}).status_code == 403
    assert Gap.objects.get().count == 12345


def test_texts_that_a_process_left_out_stand_with_what_it_lost(vera, connection):
    Process.objects.update(shed=12400, dropped=3)

    page = vera.get(LIVE).text

    assert "3, 12.4 k texts" in page
    assert "3 dropped, 0 failures, 0 set aside, 12400 texts left out" in page
