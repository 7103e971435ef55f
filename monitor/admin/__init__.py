"""The monitor's place in the Django admin."""

from . import live, orders, records  # noqa: F401  (they register themselves)
