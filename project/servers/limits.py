"""What both servers are told alike."""

PING_INTERVAL = 20  # seconds
PING_TIMEOUT = 15  # seconds; shorter than the interval, or live clients are dropped
LARGEST_FRAME = 256 * 2**10  # bytes
