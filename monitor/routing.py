"""The face of the monitor: a router that tells what it chose."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.urls import URLPattern
from django.urls.exceptions import Resolver404

from .middleware import note_refusal


class MonitorRouter(URLRouter):
    """A `URLRouter` that tells the monitor which route and consumer it chose.

    A plain `URLRouter` hands on a copy of the scope, so nothing around it can see
    its choice. An unknown path is refused with HTTP 403, where a `URLRouter` raises.
    Routers may be nested in one another, plain ones included. The name under which
    a route is shown is its `name=`, or else its pattern; of routers in one another,
    the innermost.

    Somebody whom staff have blocked does not reach the consumer.

    Six attributes of a consumer class are heard: `monitor_frames = False` records
    its connections but not their messages; `monitor_control_frames` names the values
    of `type` by which JSON frames are only counted; `monitor_automatic_frames` names
    those that clients send by themselves, so that no person shows by them;
    `monitor_heartbeat` is the text of a frame that the server sends to everybody now
    and then, which is not even counted; `monitor_farewell(code, reason, scope)`, a
    static method, returns the text of a last frame to send before the monitor closes
    the connection of a scope (without it, a client gets code and reason only); and
    `monitor_notice(text)`, another one, returns the text of the frame that brings a
    notice of staff (without it, none can be sent).
    """

    def __init__(self, routes: list[Any]) -> None:
        super().__init__(routes)
        # A plain router within this one would keep its choice to itself.
        self.inner = {
            id(route): type(self)(route.callback.routes)
            for route in routes
            if type(route.callback) is URLRouter
        }

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = _remaining_path(scope)
        for route in self.routes:
            match = None if path is None else route.pattern.match(path)
            if not match:
                continue
            inner = _inner_scope(scope, route, match)
            app = self.inner.get(id(route), route.callback)
            if recorder := scope.get("monitor"):
                recorder.routed(route, inner)
                if not _is_router(app) and (block := recorder.block()):
                    await receive()
                    return await recorder.turn_away(block)
            try:
                return await app(inner, receive, send)
            except Resolver404:
                # A nested router has no such path; the next route may have it.
                if not _is_router(route.callback):
                    raise

        await self._no_route(scope, send)

    async def _no_route(self, scope: dict[str, Any], send: Any) -> None:
        if "path_remaining" in scope:
            raise Resolver404(f"No route found for path {scope['path_remaining']!r}.")
        if scope["type"] != "websocket":
            raise ValueError(f"No route found for path {scope['path']!r}.")

        note_refusal(scope, "unknown path")
        await send({"type": "websocket.close"})


def _is_router(app: Any) -> bool:
    return getattr(app, "_path_routing", False)


def _remaining_path(scope: dict[str, Any]) -> str | None:
    """What is left to be matched; None if the path is outside of `root_path`."""
    if "path_remaining" in scope:
        return scope["path_remaining"].lstrip("/")
    root_path = scope.get("root_path", "")
    if not scope["path"].startswith(root_path):
        return None
    return scope["path"].removeprefix(root_path).lstrip("/")


def _inner_scope(
    scope: dict[str, Any], route: URLPattern, match: Any
) -> dict[str, Any]:
    remaining, args, kwargs = match
    outer = scope.get("url_route", {})
    return dict(
        scope,
        path_remaining=remaining,
        url_route={
            "args": outer.get("args", ()) + args,
            "kwargs": {**outer.get("kwargs", {}), **kwargs, **route.default_args},
        },
    )
