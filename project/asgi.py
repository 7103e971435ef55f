"""The map: what is routed, authenticated and recorded on its way in."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()  # before anything that imports a model

from channels.routing import ProtocolTypeRouter
from channels.sessions import CookieMiddleware
from django.conf import settings

import chat.routing
import monitor.dashboard.routing
from monitor.lifespan import lifespan
from monitor.middleware import MonitorMiddleware
from monitor.origin import SameOriginOnly
from monitor.routing import MonitorRouter

from .sessions import LoginMiddleware

router = MonitorRouter(
    [
        *chat.routing.websocket_urlpatterns,
        *monitor.dashboard.routing.websocket_urlpatterns,
    ]
)
# The origin check stands inside the monitor, so that a refused handshake is recorded
# with its cause; authentication stands outside, so that it is recorded with its user.
recorded = MonitorMiddleware(SameOriginOnly(router))
login = LoginMiddleware(recorded)

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": CookieMiddleware(login),
        "lifespan": lifespan,
    }
)
# Outermost: whoever is recorded, limited or blocked is the client, not the proxy. Of
# X-Forwarded-For, the right-most address that is no proxy's; the client wrote the rest.
if settings.TRUSTED_PROXIES:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    application = ProxyHeadersMiddleware(
        application, trusted_hosts=settings.TRUSTED_PROXIES
    )
