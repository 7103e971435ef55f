"""`manage.py monitor_check`: what of the set-up will go wrong, and how to mend it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.checks import ERROR
from django.core.management.base import BaseCommand

from monitor.doctor import examine


class Command(BaseCommand):
    """Prints a problem and its remedy, one after the other; the worst first.

    Exits with 1 if there is an error among them, not for warnings.
    """

    help = "Look at the set-up, the database and all processes for what will go wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine()
        for message in found:
            style = self.style.ERROR if message.level >= ERROR else self.style.WARNING
            self.stdout.write(style(f"{message.id}: {message.msg}"))
            self.stdout.write(f"    {message.hint}")
        if not found:
            self.stdout.write(self.style.SUCCESS("Nothing to mend was found."))
        if any(message.level >= ERROR for message in found):
            sys.exit(1)
