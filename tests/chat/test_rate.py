import pytest

from chat.rate import RateLimit


@pytest.fixture
def clock():
    return Clock()


class Clock:
    now = 1000.0  # seconds

    def __call__(self):
        return self.now


def taken(limit, rate, attempts=100):
    return sum(limit.take("ana", rate) == 0 for _ in range(attempts))


@pytest.mark.parametrize(("rate", "burst"), [(5.0, 10), (0.5, 1), (0.1, 1), (20.0, 40)])
def test_twice_the_rate_may_come_at_once_and_at_least_one(clock, rate, burst):
    assert taken(RateLimit(clock), rate) == burst


def test_after_a_second_the_rate_may_come_again(clock):
    limit = RateLimit(clock)
    taken(limit, rate=5.0)

    clock.now += 1

    assert taken(limit, rate=5.0) == 5


def test_the_wait_that_is_named_is_enough_and_not_too_much(clock):
    limit = RateLimit(clock)
    taken(limit, rate=5.0)
    wait = limit.take("ana", 5.0)

    clock.now += wait - 0.01
    assert limit.take("ana", 5.0) > 0
    clock.now += 0.01

    assert limit.take("ana", 5.0) == 0


def test_one_user_does_not_slow_another(clock):
    limit = RateLimit(clock)
    taken(limit, rate=1.0)

    assert limit.take("bruno", 1.0) == 0


def test_full_buckets_are_forgotten(clock):
    limit = RateLimit(clock)
    for number in range(RateLimit.KEPT):
        limit.take(number, 5.0)

    clock.now += 60
    limit.take("ana", 5.0)

    assert list(limit.full_at) == ["ana"]
