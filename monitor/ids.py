"""Ids that are made without asking the database."""

import os
import time
import uuid


def time_ordered_uuid() -> uuid.UUID:
    """Return a UUID of version 7: 48 bits of milliseconds, then random ones.

    Rows that come later sort later, so an index grows at its end. RFC 9562
    section 5.7; the standard library has it from Python 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return uuid.UUID(int=value)
