"""The dashboard and the connections' pages, and what staff ask for there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import path

from monitor.dashboard import asking, pages, tracing
from monitor.models import Live

from .readonly import ReadOnlyAdmin


@admin.register(Live)
class LiveAdmin(ReadOnlyAdmin):
    """The dashboard and the connections' pages, under a model's addresses."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("monitor.view_connection")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[Any]:
        view = self._guarded
        return [
            path("", view(self.live_page), name="monitor_live_changelist"),
            path(
                "disconnect/",
                view(self.disconnect_asked),
                name="monitor_live_disconnect",
            ),
            path("setup/", view(self.setup), name="monitor_live_setup"),
            path("ask/", view(self.asking), name="monitor_live_ask"),
            path("orders/<uuid:pk>/", view(self.order), name="monitor_live_order"),
            path("<uuid:pk>/", view(self.one_page), name="monitor_live_connection"),
            path(
                "<uuid:pk>/actions/",
                view(self.actions_fragment),
                name="monitor_live_actions",
            ),
            path(
                "<uuid:pk>/trace/",
                view(self.trace_asked),
                name="monitor_live_trace",
            ),
            path(
                "traces/stop/",
                view(self.stop_asked),
                name="monitor_live_stop_trace",
            ),
        ]

    def live_page(self, request: HttpRequest) -> HttpResponse:
        return pages.live(request, self._context(request))

    def one_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return pages.connection(request, pk, self._context(request))

    def actions_fragment(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return pages.actions(request, pk)

    def disconnect_asked(self, request: HttpRequest) -> HttpResponse:
        _demand("disconnect_connection", request)
        return pages.disconnect(request)

    def setup(self, request: HttpRequest) -> HttpResponse:
        _demand("view_process", request)
        return pages.setup(request, self._context(request))

    def asking(self, request: HttpRequest) -> HttpResponse:
        return asking.ask(request, self._context(request))

    def order(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _demand("view_action", request)
        return asking.order(request, pk, self._context(request))

    def trace_asked(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _demand("add_trace", request)
        return tracing.start_for_connection(request, pk)

    def stop_asked(self, request: HttpRequest) -> HttpResponse:
        _demand("change_trace", request)
        return tracing.stop_one(request)

    def _guarded(self, page: Callable[..., HttpResponse]) -> Callable[..., Any]:
        """Ask visitors to log in, and refuse those who have and may not look."""

        def allowed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return page(request, *args, **kwargs)

        in_admin = self.admin_site.admin_view(allowed)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # The admin would offer its login to somebody who is logged in already.
            if request.user.is_authenticated and not self.admin_site.has_permission(
                request
            ):
                raise PermissionDenied
            return in_admin(request, *args, **kwargs)

        return guarded

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}


def _demand(permission: str, request: HttpRequest) -> None:
    if not request.user.has_perm(f"monitor.{permission}"):
        raise PermissionDenied
