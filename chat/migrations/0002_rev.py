"""Numbers the changes of rooms: until now, each was a new message."""

from django.db import migrations, models
from django.db.models import F


def number_changes(apps, schema_editor):
    apps.get_model("chat", "Message").objects.update(rev=F("seq"))
    apps.get_model("chat", "Room").objects.update(last_rev=F("last_seq"))


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="room",
            name="last_rev",
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="message",
            name="rev",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Numbers the changes of a room."
            ),
            preserve_default=False,
        ),
        migrations.RunPython(number_changes, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("room", "rev"), name="chat_message_room_rev"
            ),
        ),
    ]
