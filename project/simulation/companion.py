"""The demo beside a server: a process that begins and ends with it."""

import subprocess
import sys

from django.conf import settings

END_WITHIN = 3.0  # seconds; a server has six for all its farewells


class Companion:
    """`manage.py demo` for a server that listens on `url`."""

    def __init__(self, url):
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo"]
        self.process = subprocess.Popen(
            [*command, "--url", url, "--tethered", "--verbosity", "0"],
            stdin=subprocess.PIPE,  # closed with this process, however that ends
            start_new_session=True,  # Ctrl-C is for the server, which passes it on
        )

    def end(self):
        """Have it end, and wait until it has."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
