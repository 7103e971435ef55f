"""What is recorded. Models hold facts, querysets hold questions.

Rows are written by `monitor.recording.store`, in one statement for a batch. Foreign
keys therefore have no constraint in the database: an event must be storable although
its user was deleted a moment ago, or its connection's row was refused.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

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

    def given_up(self) -> ProcessQuerySet:
        """Processes that have not stopped, and of which nothing was heard for so
        long that nobody waits for them any more."""
        patience = timedelta(seconds=settings.LOST_AFTER)
        return self.filter(stopped_at=None, seen_at__lt=Now() - patience)


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
    shed = models.BigIntegerField(_("texts left out of a full journal"), default=0)
    drift = models.BigIntegerField(
        _("rows mended"),
        default=0,
        help_text=_("Open rows without a connection, and connections without one."),
    )
    setup = models.JSONField(
        _("set-up"), default=dict, help_text=_("How it was started; see the doctor.")
    )
    stored_seq = models.BigIntegerField(
        _("last event stored"),
        default=0,
        help_text=_("A replayed journal goes on behind it."),
    )

    objects = ProcessQuerySet.as_manager()

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        ordering = ["-started_at"]
        permissions = [("drain_process", _("Can drain and stop a process"))]

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
        PROTOCOL = "protocol", _("protocol error")
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
    heard_at = models.DateTimeField(
        _("last sign of a person"),
        null=True,
        blank=True,
        help_text=_("The last message that the client did not send by itself."),
    )
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
            ("log_out_user", _("Can log the user of a connection out")),
            ("send_notice", _("Can send a notice to users")),
        ]
        indexes = [
            models.Index(fields=["-opened_at"], name="monitor_connection_opened"),
            models.Index(
                fields=["process", "opened_at"],
                condition=models.Q(closed_at=None),
                name="monitor_connection_open",
            ),
            models.Index(
                fields=["user", "route", "-closed_at"],
                condition=models.Q(closed_at__isnull=False, accepted_at__isnull=False),
                name="monitor_connection_last",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.username or _('anonymous')} {self.path}"

    @property
    def idle_since(self) -> datetime:
        """When a person last showed: by a message, or by opening the connection."""
        return self.heard_at or self.accepted_at or self.opened_at

    @property
    def client(self) -> str:
        """The client as `host:port`, or as much of it as is known."""
        return client_text(self.client_host, self.client_port)


def client_text(host: str, port: int | None) -> str:
    """Write an address the way URLs do: IPv6 in brackets (RFC 3986, 3.2.2)."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def pattern_regex(pattern: str) -> str:
    """The regular expression of a pattern in which * stands for any characters."""
    return ".*".join(map(re.escape, re.sub(r"\*+", "*", pattern).split("*")))


class EventQuerySet(models.QuerySet["Event"]):
    def of_trace(self, trace: Trace) -> EventQuerySet:
        """The messages kept for a trace, also those that older ones keep as well.

        A message says only which is the oldest of its traces.
        """
        during = models.Q(trace__isnull=False, at__gte=trace.started_at)
        during &= models.Q(at__lte=trace.finished_at or trace.ends_at)
        return self.filter(models.Q(trace=trace) | (during & trace.criterion()))


class Event(models.Model):
    """Something that passed between a client and the application."""

    class Omission(models.TextChoices):
        """Why a text is not kept, or not whole."""

        NONE = "", _("nothing")
        CUT = "cut", _("cut at the limit")
        BINARY = "binary", _("binary")
        POLICY = "policy", _("left out by the capture policy")
        FULL = "full", _("left out because the journal was nearly full")
        REDACTION = "redaction", _("left out because masking it failed")

    class Kind(models.TextChoices):
        CONNECT = "connect", _("connect")
        ACCEPT = "accept", _("accept")
        RECEIVE = "receive", _("receive")
        SEND = "send", _("send")
        DISCONNECT = "disconnect", _("disconnect")
        REJECT = "reject", _("reject")
        ERROR = "error", _("error")

    seq = models.BigIntegerField(
        _("number"),
        help_text=_("Counts the events of a process; one that is missing was lost."),
    )
    connection = models.ForeignKey(
        Connection,
        models.CASCADE,
        related_name="events",
        verbose_name=_("connection"),
        db_constraint=False,
        db_index=False,  # the unique constraint has one
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    at = models.DateTimeField(_("time"), db_index=True)
    # Not touched when the user is deleted: an event is a fact, and there may be
    # millions of them. The name beside it tells who it was.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
        db_constraint=False,
        db_index=False,
    )
    username = models.CharField(_("user name"), max_length=255, blank=True)
    path = models.CharField(_("path"), max_length=2000)
    client = models.CharField(_("client"), max_length=300, blank=True)
    text = models.TextField(_("text"), blank=True)
    size = models.BigIntegerField(
        _("size"), default=0, help_text=_("Bytes of the whole message or traceback.")
    )
    omission = models.CharField(
        _("not kept"),
        max_length=20,
        choices=Omission.choices,
        blank=True,
        db_default="",  # spares messages a column
    )
    handler_us = models.BigIntegerField(
        _("handler time"),
        null=True,
        blank=True,
        help_text=_(
            "Microseconds from handing the message to the application until it asked "
            "for the next."
        ),
    )
    about_seq = models.BigIntegerField(
        _("caused by"),
        null=True,
        blank=True,
        help_text=_("The number of the message that was being handled."),
    )
    trace = models.ForeignKey(
        "Trace",
        models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("trace"),
        db_constraint=False,
        db_index=False,  # a smaller one is below
    )
    code = models.PositiveIntegerField(_("close code"), null=True, blank=True)
    detail = models.CharField(_("detail"), max_length=500, blank=True, db_default="")

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-at", "-seq"]
        permissions = [("view_payload", _("Can read the text of messages"))]
        constraints = [
            # A journal that is replayed cannot write an event twice.
            models.UniqueConstraint(
                fields=["connection", "seq"], name="monitor_event_connection_seq"
            )
        ]
        indexes = [
            models.Index(
                fields=["trace", "at"],
                condition=models.Q(trace__isnull=False),
                name="monitor_event_trace",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


class Gap(models.Model):
    """What a process could not keep: how much of what, and when."""

    class Kind(models.TextChoices):
        PAYLOAD = "payload", _("texts left out, journal nearly full")
        DROPPED = "dropped", _("events not recorded, journal full or disk refusing")

    process = models.ForeignKey(
        Process,
        models.CASCADE,
        related_name="gaps",
        verbose_name=_("process"),
        db_constraint=False,
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    began_at = models.DateTimeField(_("began"))
    ended_at = models.DateTimeField(_("ended"))
    count = models.BigIntegerField(_("events"))

    class Meta:
        verbose_name = _("gap")
        verbose_name_plural = _("gaps")
        ordering = ["-began_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.count}"


class CapturePolicy(models.Model):
    """How much is kept of the messages of some paths, as staff want it."""

    class Level(models.TextChoices):
        OFF = "off", _("off: only that the connection was there")
        COUNTS = "counts", _("counts: how many messages and bytes")
        META = "meta", _("meta: each message, without its text")
        PREVIEW = "preview", _("preview: each message, with the start of its text")
        FULL = "full", _("full: each message, with its whole text")

    pattern = models.CharField(
        _("path"),
        max_length=255,
        unique=True,
        help_text=_(
            "Such as /ws/chat/*; * stands for any characters. The longest pattern "
            "that fits a path decides."
        ),
    )
    level = models.CharField(_("level"), max_length=20, choices=Level.choices)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("capture policy")
        verbose_name_plural = _("capture policies")
        ordering = ["pattern"]

    def __str__(self) -> str:
        return f"{self.pattern}: {self.level}"


class TraceQuerySet(models.QuerySet["Trace"]):
    def running(self) -> TraceQuerySet:
        """Traces that are neither over nor full, by the database's clock."""
        return self.filter(
            finished_at=None, ends_at__gt=Now(), bytes_kept__lt=models.F("bytes_limit")
        )


class Trace(models.Model):
    """Every message of some connections, both ways, for a while."""

    LONGEST = timedelta(hours=24)
    LARGEST = 50 * 10**6  # bytes

    class Kind(models.TextChoices):
        USER = "user", _("user")
        CLIENT = "client", _("client address")
        PATH = "path", _("path")
        CONNECTION = "connection", _("connection")

    class Result(models.TextChoices):
        RUNNING = "", _("running")
        EXPIRED = "expired", _("its time was over")
        FULL = "full", _("its size was reached")
        STOPPED = "stopped", _("stopped by staff")

    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    value = models.CharField(
        _("which"),
        max_length=2000,
        help_text=_(
            "A user's name, an IP address, a path (* stands for any characters) or a "
            "connection's id."
        ),
    )
    asked_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
    )
    asked_by_name = models.CharField(_("asked by"), max_length=255)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    ends_at = models.DateTimeField(_("ends"))
    bytes_limit = models.BigIntegerField(_("size limit"), default=LARGEST)
    bytes_kept = models.BigIntegerField(_("size"), default=0)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    result = models.CharField(
        _("result"), max_length=20, choices=Result.choices, blank=True
    )

    objects = TraceQuerySet.as_manager()

    def criterion(self) -> models.Q:
        """What tells its events, if they were traced at all and in its time."""
        match self.kind:
            case Trace.Kind.USER:
                return models.Q(username=self.value)
            case Trace.Kind.CLIENT:
                with_any_port = client_text(self.value, 0).removesuffix("0")
                of_host = models.Q(client__startswith=with_any_port)
                return of_host | models.Q(client=self.value)
            case Trace.Kind.PATH:
                return models.Q(path__regex=f"^{pattern_regex(self.value)}$")
        return models.Q(connection_id=self.value)

    class Meta:
        verbose_name = _("trace")
        verbose_name_plural = _("traces")
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"


class BlockQuerySet(models.QuerySet["Block"]):
    def in_force(self) -> BlockQuerySet:
        """Blocks that were neither lifted nor are over, by the database's clock."""
        endless, not_over = models.Q(ends_at=None), models.Q(ends_at__gt=Now())
        return self.filter(endless | not_over, lifted_at=None)


class Block(models.Model):
    """Somebody, or a network, that may not open a websocket for a while."""

    class Kind(models.TextChoices):
        USER = "user", _("user")
        NETWORK = "network", _("address or network")

    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    value = models.CharField(
        _("who"),
        max_length=255,
        help_text=_(
            "A user's name, an IP address such as 192.0.2.7, or a network such as "
            "192.0.2.0/24."
        ),
    )
    reason = models.CharField(
        _("reason"), max_length=120, help_text=_("Whoever is blocked will read it.")
    )
    asked_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
    )
    asked_by_name = models.CharField(_("asked by"), max_length=255)
    began_at = models.DateTimeField(_("began"), auto_now_add=True)
    ends_at = models.DateTimeField(_("ends"), null=True, blank=True)
    lifted_at = models.DateTimeField(_("lifted"), null=True, blank=True)
    lifted_by_name = models.CharField(_("lifted by"), max_length=255, blank=True)

    objects = BlockQuerySet.as_manager()

    class Meta:
        verbose_name = _("block")
        verbose_name_plural = _("blocks")
        ordering = ["-began_at"]
        indexes = [
            models.Index(
                fields=["ends_at"],
                condition=models.Q(lifted_at=None),
                name="monitor_block_not_lifted",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"


class ActionQuerySet(models.QuerySet["Action"]):
    def unanswered(self) -> ActionQuerySet:
        """What nobody has carried out, given up ones included."""
        return self.filter(result__in=[Action.Result.PENDING, Action.Result.NO_ANSWER])

    def asked_of(self, process_id: uuid.UUID) -> ActionQuerySet:
        """What a process is still to do: what staff asked of the connections that it
        holds, or of itself. Not after an hour: nobody waits for it any more."""
        recent = Now() - Action.FORGOTTEN_AFTER
        return self.unanswered().filter(process_id=process_id, asked_at__gt=recent)

    def overdue(self) -> ActionQuerySet:
        """What should have been answered by now, by the database's clock."""
        unheard = models.Q(answer_by=None, asked_at__lt=Now() - Action.ANSWER_WITHIN)
        late = models.Q(answer_by__lt=Now())
        return self.filter(unheard | late, result=Action.Result.PENDING)


class Action(models.Model):
    """What staff asked of one connection or process, and what came of it.

    Command queue and audit log at once. What was asked together has the same `order`.
    """

    ANSWER_WITHIN = timedelta(seconds=5)
    FORGOTTEN_AFTER = timedelta(hours=1)

    class Kind(models.TextChoices):
        DISCONNECT = "disconnect", _("disconnect")
        LOG_OUT = "log_out", _("log out")
        NOTICE = "notice", _("notice")
        DRAIN = "drain", _("drain")

    class Result(models.TextChoices):
        PENDING = "pending", _("pending")
        DONE = "done", _("done")
        GONE = "gone", _("already gone")
        FAILED = "failed", _("failed")
        NO_ANSWER = "no_answer", _("no answer")

    id = models.UUIDField(primary_key=True, default=time_ordered_uuid, editable=False)
    order = models.UUIDField(_("order"), default=time_ordered_uuid, db_index=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    process = models.ForeignKey(
        Process,
        models.SET_NULL,
        null=True,
        related_name="actions",
        verbose_name=_("process"),
        db_constraint=False,
        db_index=False,  # a smaller one is below
    )
    connection = models.ForeignKey(
        Connection,
        models.SET_NULL,
        null=True,
        related_name="actions",
        verbose_name=_("connection"),
        db_constraint=False,
    )
    target = models.CharField(
        _("target"),
        max_length=500,
        help_text=_("The connection or the process, in words."),
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
    answer_by = models.DateTimeField(
        _("answer by"),
        null=True,
        blank=True,
        help_text=_("Until when the process that has heard of it will be done."),
    )
    reason = models.CharField(_("reason"), max_length=500)
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
                fields=["process"],
                condition=models.Q(result__in=["pending", "no_answer"]),
                name="monitor_action_unanswered",
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
