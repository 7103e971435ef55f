"""The demo beside a server: a process that begins and ends with it."""

import subprocess
import sys

from django.conf import settings

END_WITHIN = 4.0  # seconds; the server has 9.5 in all


class Companion:
    """`manage.py demo` for a server that listens on `url`."""

    is_asked = False  # to end

    def __init__(self, url):
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo"]
        self.process = subprocess.Popen(
            [*command, "--url", url, "--tethered", "--verbosity", "0"],
            stdin=subprocess.PIPE,  # closed with this process, however that ends
            start_new_session=True,  # Ctrl-C is for the server, which passes it on
        )

    def stop(self):
        """Ask it to end, once: a second time would cut its end short."""
        if not self.is_asked:
            self.is_asked = True
            self.process.terminate()

    def finish(self):
        """See to it that it has ended."""
        self.stop()
        try:
            self.process.communicate(timeout=END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
