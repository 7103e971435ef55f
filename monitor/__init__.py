"""Records every websocket connection of a Channels project and shows them live.

For a project's `asgi.py`: `monitor.middleware.MonitorMiddleware` and
`monitor.routing.MonitorRouter`. For its applications: `monitor.presence` (who is
connected where) and `monitor.scope` (what the server knows of a connection).
"""
