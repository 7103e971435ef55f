from django.contrib.auth.views import LogoutView
from django.urls import path, re_path

from . import views

urlpatterns = [
    path("", views.LobbyView.as_view(), name="lobby"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("direct/", views.DirectView.as_view(), name="direct"),
    path("rooms/", views.RoomsView.as_view(), name="rooms"),
    re_path(
        r"^rooms/(?P<slug>[a-z0-9-]{1,50})/$", views.RoomView.as_view(), name="room"
    ),
    re_path(
        r"^rooms/(?P<slug>[a-z0-9-]{1,50})/settings/$",
        views.RoomSettingsView.as_view(),
        name="room-settings",
    ),
]
