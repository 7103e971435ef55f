"""Who talks in the chat under test, and where: users who are logged in, and rooms.

    DATA_DIR=… python -m tests.bench.people 50 10000

Prints the users' cookies as a JSON list.
"""

import json
import sys

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.test import Client  # noqa: E402

from chat.models import Room  # noqa: E402


def main():
    """Make users and rooms `room-0`, `room-1`, …, as many as the command line says."""
    users, rooms = map(int, sys.argv[1:])
    print(json.dumps([cookie(f"user-{number}") for number in range(users)]))
    slugs = [f"room-{number}" for number in range(rooms)]
    Room.objects.bulk_create(Room(slug=slug, name=slug) for slug in slugs)


def cookie(name):
    """The cookie of a new user who has logged in."""
    client = Client()
    client.force_login(get_user_model().objects.create_user(name))
    return f"sessionid={client.cookies['sessionid'].value}"


if __name__ == "__main__":
    main()
