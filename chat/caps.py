"""How many sockets one user, or one address, may have open in this process."""

from collections import Counter
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.utils.translation import gettext as _

IPV6_PREFIX = 64  # bits; one subscriber has all addresses behind them


class Caps:
    """Counts open sockets by user and by address."""

    def __init__(self):
        self.of_user = Counter()
        self.of_address = Counter()

    def take(self, user, host):
        """Count one socket more; return why not, if that would be too many.

        `host` is that of the scope's client; None, or one of this machine, is not
        counted: behind a proxy all come from there. What was taken has to be given
        back.
        """
        address = subscriber(host)
        if self.of_user[user] >= settings.CHAT_MAX_CONNECTIONS:
            count = f"{self.of_user[user]:,}"
            words = _("Too many of your connections are open (%s); close one first.")
            return words % count
        if self.of_address[address] >= settings.CHAT_MAX_CONNECTIONS_OF_ADDRESS:
            return _("Too many connections come from your address.")
        self.of_user[user] += 1
        if address is not None:
            self.of_address[address] += 1
        return None

    def give_back(self, user, host):
        """Count one socket less."""
        _decrease(self.of_user, user)
        if (address := subscriber(host)) is not None:
            _decrease(self.of_address, address)


def subscriber(host):
    """Whose address it is: an IPv4 address, the network of an IPv6 address, or None."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or None  # some proxy's word for it
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return int(address) >> (128 - IPV6_PREFIX)
    return address


def _decrease(counter, key):
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
