"""The site's settings, with what the benchmark adds."""

from project.settings import *  # noqa: F403

INSTALLED_APPS += ["tests.bench.usual"]  # noqa: F405

# The drain journals a burst while the database is away; none of it may be dropped.
MONITOR_JOURNAL_LIMIT = 2**30  # bytes
