"""`manage.py monitor_prune`: delete now what a server deletes by and by."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from monitor.recording.retention import prune, size


class Command(BaseCommand):
    """Deletes what is older than its days, or more than the size allows."""

    help = (
        "Delete recorded connections, events and errors that are older than "
        "MONITOR_CONNECTION_DAYS, MONITOR_EVENT_DAYS and MONITOR_ERROR_DAYS, and the "
        "oldest events beyond MONITOR_SIZE_LIMIT. Servers may go on meanwhile."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        deleted: Counter[str] = Counter()
        longest = 0.0
        try:
            for chunk in prune():
                deleted[chunk.name] += chunk.rows
                longest = max(longest, chunk.seconds)
        except DatabaseError as error:
            raise CommandError(
                f"The database refuses: {str(error).strip()}. If it has none of the "
                "monitor's tables yet, type: manage.py migrate"
            ) from error
        for name, rows in deleted.items():
            self.stdout.write(f"Deleted {rows:,} {name}.")
        if deleted:
            self.stdout.write(f"No lock was held for over {longest * 1000:.0f} ms.")
        else:
            self.stdout.write("Nothing is old enough to be deleted.")
        self.stdout.write(f"Kept: about {size() / 2**20:,.1f} MiB.")
