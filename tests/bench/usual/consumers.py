import json

from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
)

from .models import Event


class Echo(AsyncJsonWebsocketConsumer):
    """Channels' own consumer, sending back what it gets."""

    async def receive_json(self, content):
        await self.send_json(content)


class Tutorial(AsyncWebsocketConsumer):
    """A chat that does what the one in Channels' tutorial does: it stores nothing."""

    async def connect(self):
        self.room = f"room.{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        said = json.loads(text_data)["message"]
        message = {"type": "room.message", "message": said}
        await self.channel_layer.group_send(self.room, message)

    async def room_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


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
