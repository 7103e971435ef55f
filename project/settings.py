"""Settings of the site. Everything that the environment may say is read here."""

import math
import warnings
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from .secret import kept_secret

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def switch(name, default):
    """What the environment says of something that is on or off."""
    said = env.str(name, default="").lower()
    if said not in (*ON, *OFF, ""):
        raise ImproperlyConfigured(f"{name} is {said!r}; say true or false.")
    return said in ON if said else default


ON, OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

# Where this installation lives -----------------------------------------------------

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.str("PORT", default="8000")
if not (PORT.isdecimal() and int(PORT) <= 65535):
    raise ImproperlyConfigured(f"PORT is {PORT!r}; say a number from 0 to 65535.")
PORT = int(PORT)
SERVER = env.str("SERVER", default="daphne")
if SERVER not in ("daphne", "uvicorn"):
    raise ImproperlyConfigured(f"SERVER is {SERVER!r}; say daphne or uvicorn.")

DEBUG = switch("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret(DATA_DIR / "secret-key")
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or LOOPBACK
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")
DEMO = switch("DEMO", default=False)

# Applications ----------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # first: its runserver speaks websocket
    "project",
    "chat",
    "monitor",
    "channels",
    "django_htmx",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "project.middleware.Language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "lobby"
LOGOUT_REDIRECT_URL = "login"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Database --------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": env.db_url(
        "DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'channelscope.sqlite3'}"
    )
}
if "ENGINE" not in DATABASES["default"]:
    raise ImproperlyConfigured(
        "DATABASE_URL is no address of a database; say one such as "
        "postgres://user:password@host/name, or nothing for SQLite."
    )
EMBEDDED_DATABASE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if EMBEDDED_DATABASE:
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        # A transaction that will write says so at its start; one that reads first
        # could not wait for the lock later (SQLITE_BUSY_SNAPSHOT).
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds
        # FULL: a chat message that was acknowledged survives a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    # Tests run threads of their own; an in-memory database cannot serve them.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # the pool keeps connections
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": 10, "timeout": 10},
        # A frozen server must not hold a thread for ever.
        "connect_timeout": 5,
        "options": "-c statement_timeout=20000",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20000,
    }

# Channel layer ---------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured(
        "REDIS_URL is no address of a Redis server; say one such as "
        "redis://host:6379/0, or nothing for a single process."
    )
EMBEDDED_LAYER = not REDIS_URL
if EMBEDDED_LAYER:
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            # Not the core layer: with redis-py 8 it closes idle sockets
            # (channels_redis #422).
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        },
    }

# Static files ----------------------------------------------------------------------

STATIC_URL = "static/"
# Straight from the packages: nothing to collect, nothing to forget after an update.
WHITENOISE_USE_FINDERS = True
# WhiteNoise answers with files, which Django reads whole under ASGI, and says so for
# each. They are small and it costs nothing; the warning would drown real ones.
warnings.filterwarnings(
    "ignore", message="StreamingHttpResponse must consume synchronous iterators"
)

# Language and time -----------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "project" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# Behind a proxy --------------------------------------------------------------------

CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if switch("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# Addresses and networks of proxies that add the client's to X-Forwarded-For; of what
# the header says, only what they wrote is believed.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])

# Chat ------------------------------------------------------------------------------


def number(name, default, wanted):
    """The number that the environment says, of the default's type."""
    said = env.str(name, default="")
    try:
        value = type(default)(said or default)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ImproperlyConfigured(f"{name} is {said!r}; say {wanted}.")
    return value


CHAT_RATE = number("CHAT_RATE", 5.0, "how many messages a second one user may send")
# In one process; daphne and uvicorn are one.
CHAT_MAX_CONNECTIONS = number(
    "CHAT_MAX_CONNECTIONS", 50, "how many sockets one user may have open"
)
CHAT_MAX_CONNECTIONS_OF_ADDRESS = number(
    "CHAT_MAX_CONNECTIONS_OF_ADDRESS", 1000, "how many sockets an address may have open"
)

# Monitor ---------------------------------------------------------------------------

MONITOR_ENABLED = switch("MONITOR_ENABLED", default=True)
MONITOR_JOURNAL_DIR = env.str(
    "MONITOR_JOURNAL_DIR", default=str(DATA_DIR / "monitor-journal")
)
MONITOR_PROCESS_NAME = env.str("MONITOR_PROCESS_NAME", default="")
MONITOR_LIMITS = "chat.limits.limits"
MONITOR_SESSION_KEYS = env.list("MONITOR_SESSION_KEYS", default=[])

# Logging ---------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,  # True would hide daphne's errors
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}
    },
    "filters": {"brief": {"()": "project.logs.BriefRefusals"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["brief"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "channelscope": {"level": "INFO"},
    },
}
