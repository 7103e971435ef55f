"""The accounts of simulated people, which nobody can log in to, and their sessions."""

import unicodedata
from datetime import timedelta

from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import Group
from django.http import HttpRequest

from chat.identity import session_store

GROUP = "Demo people"
SESSION_LASTS = timedelta(days=1)  # should nobody end it
FEWEST = 4  # the roles of a dialogue
FILLING = 12  # people whose messages a new installation has

# Who speaks Spanish has a star.
ROSTER = """
Lucía* Tom Priya Mateo* Emma Jonas Carmen* Yuki Diego* Amina Oscar Inés*
Nina Liam Hugo* Clara Felix Noa Pablo* Ravi Sofía* Elena* Leo Marta*
Kofi Astrid Javier* Mei Omar Rosa* Viktor Hannah Álvaro* Zoe Samir Greta
Nuria* Ivan Chloe Raúl* Anders Fatima Paula* Daniel Lena Gonzalo* Aisha Ruben
"""
NAMES = ROSTER.split()
SPANISH = {name.rstrip("*") for name in NAMES if name.endswith("*")}
MOST = len(NAMES)


def people(count):
    """The users that the first so many people are; made, if they are missing."""
    users = get_user_model().objects
    group, _ = Group.objects.get_or_create(name=GROUP)
    known = {user.get_username(): user for user in group.user_set.all()}
    found = []
    for name in (name.rstrip("*") for name in NAMES[:count]):
        username = username_of(name)
        if username not in known and users.filter(username=username).exists():
            username += "-demo"  # somebody is really called so
        if username not in known:
            # Without a password: a password that nothing matches.
            known[username] = users.create_user(username, first_name=name)
            known[username].groups.add(group)
        found.append(known[username])
    return found


def username_of(name):
    """A first name in a-z."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore")
    return letters.decode().lower()


def speakers(users, language):
    """Those who speak a language; all, if they are too few for a dialogue."""
    if language != "es":
        return users
    spanish = [user for user in users if user.first_name in SPANISH]
    return spanish if len(spanish) >= FEWEST else users


def log_in(user):
    """Begin a session of a user; return its key."""
    request = HttpRequest()
    request.session = session_store()()
    login(request, user)
    request.session.set_expiry(SESSION_LASTS)
    request.session.save()
    return request.session.session_key


def log_out(key):
    """End a session."""
    session_store()(key).delete()
