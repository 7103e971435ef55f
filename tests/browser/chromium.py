"""Headless Chromium, and contexts in it that are logged in."""

import shutil

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]


def launch(playwright):
    """Start the system's Chromium: nothing is downloaded."""
    path = shutil.which("chromium")
    assert path, "there is no chromium; on Debian: apt-get install chromium"
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def context_of(browser, server, user=None, **options):
    """A browser of its own for one user, as it is after the login."""
    context = browser.new_context(base_url=server.url, **options)
    if user:
        name, _, value = server.cookie(user).partition("=")
        context.add_cookies([{"name": name, "value": value, "url": server.url}])
    return context
