"""The chat's sockets. A room's presence is found by the name of these routes."""

from django.urls import path, re_path

from .consumers import ChatConsumer, RoomsConsumer
from .lobby import LOBBY

websocket_urlpatterns = [
    path("ws/chat/", ChatConsumer.as_asgi(), {"slug": LOBBY}, name="chat"),
    re_path(
        r"^ws/chat/(?P<slug>[a-z0-9-]{1,50})/$", ChatConsumer.as_asgi(), name="chat"
    ),
    path("ws/rooms/", RoomsConsumer.as_asgi(), name="rooms"),
]
