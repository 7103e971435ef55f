"""The monitor's place in the Django admin."""

from . import live, records  # noqa: F401  (they register themselves)
