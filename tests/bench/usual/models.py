from django.db import models


class Event(models.Model):
    """What a project's own log of its websockets usually has."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    kind = models.CharField(max_length=20)
    path = models.CharField(max_length=2000)
    client = models.CharField(max_length=300)
    text = models.TextField(blank=True)

    def __str__(self):
        return f"{self.kind} {self.path}"
