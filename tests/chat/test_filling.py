"""A new installation is filled with what was said in the days before."""

import pytest
from django.contrib.auth import get_user_model

from chat.models import Membership, Room
from project.simulation.history import fill
from project.simulation.people import FILLING, people
from project.simulation.repertoire import places

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = {slug for slug, place in places().items() if place.kind == Room.Kind.OPEN}


@pytest.fixture
def users():
    """The simulated people."""
    return people(FILLING)


def test_without_demo_accounts_the_open_rooms_are_filled(users):
    assert fill(users).keys() == OPEN
    assert not Room.objects.exclude(kind=Room.Kind.OPEN).exists()


def test_it_is_filled_once_whatever_the_demo_accounts_do(users, make_user):
    for name in ("admin", "ana"):
        make_user(name)
    assert fill(users).keys() > OPEN

    get_user_model().objects.get(username="ana").save()  # a log-in moves its row

    assert fill(users) == {}
    [talk] = Room.objects.filter(kind=Room.Kind.DIRECT)
    assert Membership.objects.filter(room=talk, user__username="ana").exists()
