"""The websocket of the dashboard."""

from django.urls import path

from .consumers import DashboardConsumer

websocket_urlpatterns = [
    path("ws/monitor/", DashboardConsumer.as_asgi(), name="monitor"),
]
