"""When a client comes back, by the code with which its connection was closed."""

JITTER = 2.0  # seconds over which those who all come at once are spread
LONGEST = 10.0  # seconds of a backoff
TOO_FAST = 4429


def pause(code, retry_after, failures, random):
    """Seconds until then; None if it does not come back by itself.

    `code` is None if there was no connection at all, `failures` the number of attempts
    since there was one.
    """
    if code == TOO_FAST:
        return (retry_after or LONGEST) + random.uniform(0, JITTER)
    if code and code // 100 == 44:
        return None
    if code and code // 100 == 40:
        return random.uniform(0, JITTER)
    return random.uniform(0.5, 1) * min(LONGEST, 2.0**failures)
