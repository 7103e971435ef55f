import pytest

from chat.caps import Caps

FAR = "203.0.113.7"  # of a documentation's network, RFC 5737


@pytest.fixture(autouse=True)
def small_caps(settings):
    settings.CHAT_MAX_CONNECTIONS = 2
    settings.CHAT_MAX_CONNECTIONS_OF_ADDRESS = 3


def taken(caps, *pairs):
    """Which of the sockets of these users and hosts are taken."""
    return [caps.take(user, host) is None for user, host in pairs]


def test_a_user_may_have_so_many_and_no_more():
    caps = Caps()

    assert taken(caps, ("ana", FAR), ("ana", FAR), ("ana", FAR), ("bruno", FAR)) == [
        *(True, True, False, True)
    ]


def test_an_address_may_have_so_many_and_no_more():
    caps = Caps()

    assert taken(caps, *((name, FAR) for name in "abcd")) == [True, True, True, False]
    assert taken(caps, ("e", "203.0.113.8")) == [True]


def test_what_is_given_back_may_be_taken_again():
    caps = Caps()
    taken(caps, ("ana", FAR), ("ana", FAR))

    caps.give_back("ana", FAR)

    assert taken(caps, ("ana", FAR), ("ana", FAR)) == [True, False]


def test_nothing_is_kept_of_who_has_left():
    caps = Caps()
    taken(caps, ("ana", FAR), ("ana", FAR), ("ana", FAR))

    caps.give_back("ana", FAR)
    caps.give_back("ana", FAR)

    assert not caps.of_user
    assert not caps.of_address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None, ""])
def test_a_proxy_on_this_machine_is_not_one_client(host):
    caps = Caps()

    assert all(taken(caps, *((number, host) for number in range(10))))
    assert not caps.of_address


def test_a_network_of_ipv6_is_one_subscriber():
    caps = Caps()
    hosts = [f"2001:db8:1:2::{number}" for number in range(1, 5)]

    assert taken(caps, *enumerate(hosts)) == [True, True, True, False]
    assert taken(caps, (9, "2001:db8:1:3::1")) == [True]


def test_a_mapped_address_is_the_address():
    caps = Caps()

    hosts = [FAR, f"::ffff:{FAR}", FAR, f"::ffff:{FAR}"]
    assert taken(caps, *enumerate(hosts)) == [True, True, True, False]


def test_a_host_that_is_no_address_is_counted_all_the_same():
    caps = Caps()

    assert taken(caps, *((name, "a proxy's word") for name in "abcd"))[-1] is False
