"""The site speaks English and Spanish, as the browser says, and nothing is missing."""

import gettext
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

ROOT = settings.BASE_DIR
CATALOGUES = [
    "chat/locale/es/LC_MESSAGES/django",
    "chat/locale/es/LC_MESSAGES/djangojs",
    "project/locale/es/LC_MESSAGES/django",
]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A copy of the sources whose catalogues were just brought up to date."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("chat", "project", "templates", "manage.py", "monitor"):
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, copy / name)
        else:
            shutil.copy(whole, copy / name)
    environment = {**os.environ, "DATA_DIR": str(copy / "var"), "PYTHONPATH": str(copy)}
    manage = [sys.executable, "manage.py"]
    extract = [*manage, "makemessages", "-l", "es", "--no-location", "--no-obsolete"]
    for command in (
        [*extract, "-d", "django", "--ignore", "monitor"],
        [*extract, "-d", "djangojs", "--ignore", "monitor"],
        [*manage, "compilemessages", "-l", "es"],
    ):
        subprocess.run(
            command, check=True, cwd=copy, env=environment, capture_output=True
        )
    return copy


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_text_is_translated_and_compiled(extracted, name):
    check = ["msgfmt", "--check", "--statistics", "-o", os.devnull, f"{name}.po"]
    said = subprocess.run(check, cwd=extracted, capture_output=True, text=True).stderr
    assert "untranslated" not in said, f"{name}.po: {said} Translate it; make words."
    assert "fuzzy" not in said, f"{name}.po: {said} Look at them; make words."

    assert texts(ROOT / f"{name}.mo") == texts(extracted / f"{name}.mo"), "make words"


def texts(path):
    with Path(path).open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "language", "words"),
    [
        ("es-MX,es;q=0.9", "es", "Nombre de usuario"),
        ("en-GB", "en", "User name"),
        ("de", "en", "User name"),
        ("", "en", "User name"),
    ],
)
def test_the_browser_says_which_language(wanted, language, words):
    headers = {"accept-language": wanted}
    page = Client().get("/login/", headers=headers).text

    assert f'<html lang="{language}">' in page
    assert words in page
    scripts = Client().get("/words.js", headers=headers).text
    assert ("escribiendo" in scripts) == (language == "es")


@pytest.mark.django_db
def test_the_admin_stays_in_english(admin_client):
    page = admin_client.get("/admin/", headers={"accept-language": "es"}).text

    assert "Site administration" in page or "Channelscope" in page
    assert "Cerrar sesión" not in page
