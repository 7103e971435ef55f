"""When people have said what a new installation is filled with."""

from datetime import timedelta

from .repertoire import SAYS, Cast

DAYS = 5  # with talk, today included
SHARE = 0.75  # of a room's dialogues; the others are news
PAUSE = timedelta(minutes=6)  # between two dialogues of a room, at least
RECENT = timedelta(minutes=20)  # before now; none begins later
A_MOMENT = timedelta(minutes=1)  # before now, when the last word was said


def told(place):
    """The dialogues of a place that lie in the past."""
    return place.dialogues[: round(SHARE * len(place.dialogues))]


def schedule(place, users, now, random):
    """Return `(time, line, cast)` of all that was said in a place, in order."""
    dialogues = random.sample(told(place), len(told(place)))
    starts = beginnings(place.hours, len(dialogues), now, random)
    at, rows = starts[0] - PAUSE, []
    for start, dialogue in zip(starts, dialogues, strict=True):
        at = max(start, at + PAUSE)
        cast, speaker = Cast(dialogue, users, random), None
        for line in dialogue.lines:
            at += pause_before(line, speaker, random)
            speaker = line.role
            rows.append((at, line, cast))
    too_late = max(timedelta(0), at + A_MOMENT - now)
    return [(at - too_late, line, cast) for at, line, cast in rows]


def beginnings(hours, count, now, random):
    """So many times on the last days, within hours of the day, in order."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    spans = []
    for days in reversed(range(DAYS)):
        day = midnight - timedelta(days=days)
        begin, end = (day + timedelta(hours=hour) for hour in hours)
        end = min(end, now - RECENT)
        if begin < end:
            spans.append((begin, end - begin))
    whole = sum((length for _, length in spans), timedelta(0))
    passed = sorted(random.random() * whole for _ in range(count))
    return [moment(spans, time) for time in passed]


def moment(spans, passed):
    """The time at which so much of all spans together has passed."""
    for _, length in spans[:-1]:
        if passed <= length:
            break
        spans, passed = spans[1:], passed - length
    return spans[0][0] + passed


def pause_before(line, speaker, random):
    """How long it took to think, and to type."""
    goes_on = line.role == speaker and line.kind == SAYS
    thought = random.uniform(2, 15) if goes_on else random.uniform(8, 90)
    return timedelta(seconds=thought + len(line.text) / 8)
