"""What both servers are told alike."""

PING_INTERVAL = 15  # seconds
PING_TIMEOUT = 12  # seconds; shorter than the interval, or live clients are dropped
LARGEST_FRAME = 256 * 2**10  # bytes
LAST_WORD_WITHIN = 1.0  # seconds that a close frame to a failing client may take
ACCEPT_WITHIN = 30  # seconds; clients of ours give up earlier, and try again
