"""What is recorded. Models hold facts, querysets hold questions.

Rows are written by `monitor.recording.store`, in one statement for a batch. Foreign
keys therefore have no constraint in the database: an event must be storable although
its user was deleted a moment ago, or its connection's row was refused.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings as django_settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .conf import settings
from .ids import time_ordered_uuid


class ProcessQuerySet(models.QuerySet["Process"]):
    def alive(self) -> ProcessQuerySet:
        """Processes that have not stopped and whose lease, by the database's
        clock, has not lapsed."""
        lease = timedelta(seconds=settings.LEASE)
        return self.filter(stopped_at=None, seen_at__gt=Now() - lease)


class Process(models.Model):
    """One server process, its heartbeat, and what it says of its own recording."""

    id = models.UUIDField(primary_key=True, default=time_ordered_uuid, editable=False)
    name = models.CharField(_("name"), max_length=100)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("PID"))
    server = models.CharField(_("server"), max_length=50, blank=True)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last heartbeat"))
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)
    lost = models.BooleanField(
        _("lost"), default=False, help_text=_("Ended without saying so.")
    )
    traffic = models.JSONField(
        _("traffic"),
        default=dict,
        help_text=_("Messages in and out for each of the last 60 seconds."),
    )
    journal_bytes = models.BigIntegerField(_("journal"), default=0)
    dropped = models.BigIntegerField(_("events dropped"), default=0)
    failures = models.BigIntegerField(_("recording failures"), default=0)
    set_aside = models.BigIntegerField(_("rows set aside"), default=0)

    objects = ProcessQuerySet.as_manager()

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return self.name


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def open(self) -> ConnectionQuerySet:
        """Connections whose end is not known; those of a process that may be dead,
        too."""
        return self.filter(closed_at=None)

    def live(self) -> ConnectionQuerySet:
        """Connections that are not closed and whose process is alive."""
        return self.open().filter(process__in=Process.objects.alive())


class Connection(models.Model):
    """One websocket, from the handshake to the close."""

    class Cause(models.TextChoices):
        CLIENT = "client", _("closed by the client")
        LOST = "lost", _("connection lost")
        APPLICATION = "application", _("closed by the application")
        STAFF = "staff", _("disconnected by staff")
        REJECT = "reject", _("refused")
        ERROR = "error", _("error in the application")
        SERVER = "server", _("server stopped")
        PROCESS = "process", _("process lost")

    id = models.UUIDField(primary_key=True, default=time_ordered_uuid, editable=False)
    process = models.ForeignKey(
        Process,
        models.CASCADE,
        related_name="connections",
        verbose_name=_("process"),
        db_constraint=False,
    )
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
        db_constraint=False,
    )
    username = models.CharField(
        _("user name"),
        max_length=255,
        blank=True,
        help_text=_("As it was when the connection opened."),
    )
    path = models.CharField(_("path"), max_length=2000)
    route = models.CharField(_("route"), max_length=255, blank=True)
    route_args = models.JSONField(_("route arguments"), default=dict)
    consumer = models.CharField(_("consumer"), max_length=255, blank=True)
    client_host = models.CharField(_("client host"), max_length=255, blank=True)
    client_port = models.PositiveIntegerField(_("client port"), null=True, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=500, blank=True)
    origin = models.CharField(_("origin"), max_length=500, blank=True)
    subprotocol = models.CharField(_("subprotocol"), max_length=255, blank=True)
    session_hash = models.CharField(
        _("session"),
        max_length=64,
        blank=True,
        help_text=_("A keyed hash of the session key, which itself is never kept."),
    )
    session_expires_at = models.DateTimeField(
        _("session expires"), null=True, blank=True
    )
    scope = models.JSONField(_("scope"), default=dict)
    opened_at = models.DateTimeField(_("opened"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    active_at = models.DateTimeField(_("last activity"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    close_code = models.PositiveIntegerField(_("close code"), null=True, blank=True)
    cause = models.CharField(
        _("cause"), max_length=20, choices=Cause.choices, blank=True
    )
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    messages_in = models.BigIntegerField(_("messages in"), default=0)
    messages_out = models.BigIntegerField(_("messages out"), default=0)
    bytes_in = models.BigIntegerField(_("bytes in"), default=0)
    bytes_out = models.BigIntegerField(_("bytes out"), default=0)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering = ["-opened_at"]
        permissions = [
            ("disconnect_connection", _("Can disconnect a connection")),
        ]
        indexes = [
            models.Index(fields=["-opened_at"], name="monitor_connection_opened"),
            models.Index(
                fields=["process", "opened_at"],
                condition=models.Q(closed_at=None),
                name="monitor_connection_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.username or _('anonymous')} {self.path}"

    @property
    def client(self) -> str:
        """The client as `host:port`, or as much of it as is known."""
        return client_text(self.client_host, self.client_port)


def client_text(host: str, port: int | None) -> str:
    """Write an address the way URLs do: IPv6 in brackets (RFC 3986, 3.2.2)."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Event(models.Model):
    """Something that passed between a client and the application."""

    class Kind(models.TextChoices):
        CONNECT = "connect", _("connect")
        ACCEPT = "accept", _("accept")
        RECEIVE = "receive", _("receive")
        DISCONNECT = "disconnect", _("disconnect")
        REJECT = "reject", _("reject")
        ERROR = "error", _("error")

    process = models.ForeignKey(
        Process,
        models.CASCADE,
        related_name="events",
        verbose_name=_("process"),
        db_constraint=False,
        db_index=False,  # the unique constraint has one
    )
    seq = models.BigIntegerField(
        _("number"), help_text=_("Numbers the events of a process, from 1.")
    )
    connection = models.ForeignKey(
        Connection,
        models.CASCADE,
        related_name="events",
        verbose_name=_("connection"),
        db_constraint=False,
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    at = models.DateTimeField(_("time"), db_index=True)
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
        db_constraint=False,
    )
    username = models.CharField(_("user name"), max_length=255, blank=True)
    path = models.CharField(_("path"), max_length=2000)
    client = models.CharField(_("client"), max_length=300, blank=True)
    text = models.TextField(_("text"), blank=True)
    size = models.BigIntegerField(
        _("size"), default=0, help_text=_("Bytes of the whole message.")
    )
    code = models.PositiveIntegerField(_("close code"), null=True, blank=True)
    detail = models.CharField(_("detail"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-at", "-seq"]
        permissions = [("view_payload", _("Can read the text of messages"))]
        constraints = [
            # A journal that is replayed cannot write an event twice.
            models.UniqueConstraint(
                fields=["process", "seq"], name="monitor_event_process_seq"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


class ActionQuerySet(models.QuerySet["Action"]):
    def pending_at(self, process_id: uuid.UUID) -> ActionQuerySet:
        """What staff asked of the connections that a process holds."""
        return self.filter(
            result=Action.Result.PENDING, connection__process_id=process_id
        )


class Action(models.Model):
    """What staff asked for, and what came of it: command queue and audit log."""

    class Kind(models.TextChoices):
        DISCONNECT = "disconnect", _("disconnect")

    class Result(models.TextChoices):
        PENDING = "pending", _("pending")
        DONE = "done", _("done")
        GONE = "gone", _("already gone")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=time_ordered_uuid, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    connection = models.ForeignKey(
        Connection,
        models.SET_NULL,
        null=True,
        related_name="actions",
        verbose_name=_("connection"),
        db_constraint=False,
    )
    target = models.CharField(
        _("target"), max_length=500, help_text=_("The connection, in words.")
    )
    asked_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
    )
    asked_by_name = models.CharField(_("asked by"), max_length=255)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    reason = models.CharField(_("reason"), max_length=120)
    result = models.CharField(
        _("result"), max_length=20, choices=Result.choices, default=Result.PENDING
    )
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = ActionQuerySet.as_manager()

    class Meta:
        verbose_name = _("action")
        verbose_name_plural = _("actions")
        ordering = ["-asked_at"]
        indexes = [
            models.Index(
                fields=["result"],
                condition=models.Q(result="pending"),
                name="monitor_action_pending",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


class Live(Connection):
    """The dashboard's place in the admin's sidebar."""

    class Meta:
        proxy = True
        verbose_name = _("live")
        verbose_name_plural = _("Live")
        default_permissions = ()
