"""The settings of the site, with what fault tests set apart."""

from project.settings import *  # noqa: F403
from project.settings import env

MONITOR_SEGMENT_SIZE = env.int("MONITOR_SEGMENT_SIZE", default=4 * 2**20)
MONITOR_HEARTBEAT_INTERVAL = env.float("MONITOR_HEARTBEAT_INTERVAL", default=5.0)
MONITOR_LEASE = env.float("MONITOR_LEASE", default=15.0)
MONITOR_LOST_AFTER = env.float("MONITOR_LOST_AFTER", default=600.0)
PING_INTERVAL = env.float("PING_INTERVAL", default=15)  # seconds
PING_TIMEOUT = env.float("PING_TIMEOUT", default=12)
