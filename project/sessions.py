"""Sessions of websockets."""

from channels.sessions import InstanceSessionWrapper, SessionMiddleware


class SocketSessionMiddleware(SessionMiddleware):
    """Channels' sessions, without its `send`.

    For every frame that one asks the session whether it changed, and then saves it with
    HTTP responses only.
    """

    async def __call__(self, scope, receive, send):
        sessions = InstanceSessionWrapper(scope, send)
        await sessions.resolve_session()
        return await self.inner(sessions.scope, receive, send)
