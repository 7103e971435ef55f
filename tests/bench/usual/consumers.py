from channels.generic.websocket import AsyncJsonWebsocketConsumer

from .models import Event


class Echo(AsyncJsonWebsocketConsumer):
    """Channels' own consumer, sending back what it gets."""

    async def receive_json(self, content):
        await self.send_json(content)


class StoringEcho(Echo):
    """The same, storing each event with one `acreate`."""

    async def connect(self):
        await self.store("connect")
        await super().connect()

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        await self.store("receive", text_data)
        await super().receive(text_data, bytes_data, **kwargs)

    async def disconnect(self, code):
        await self.store("disconnect")

    async def store(self, kind, text=""):
        """Write one row."""
        host, port = self.scope["client"]
        await Event.objects.acreate(
            kind=kind, path=self.scope["path"], client=f"{host}:{port}", text=text
        )
