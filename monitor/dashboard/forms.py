"""What staff may ask of the recording, checked before anything is kept."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitor.models import Block, CapturePolicy, Connection, Trace
from monitor.scope import clean

PATTERN_STARTS = ("/", "*")
MINUTE = timedelta(minutes=1)
MEBIBYTE = 2**20  # bytes
LONGEST = Trace.LONGEST // MINUTE
REASON_LIMIT = 120  # characters; a close frame takes 123 bytes (RFC 6455, 5.5)
LARGEST = Trace.LARGEST // MEBIBYTE


BLOCK_SECONDS = [
    (300, _("5 minutes")),
    (3600, _("1 hour")),
    (86_400, _("1 day")),
    (0, _("for ever")),
]


class TraceForm(forms.ModelForm):
    """Asks for a trace: of what, for how long, and how much of it at most."""

    minutes = forms.IntegerField(
        label=_("For how long, in minutes"),
        initial=10,
        min_value=1,
        max_value=LONGEST,
        error_messages={
            "min_value": _("A trace takes at least a minute."),
            "max_value": _("A trace takes at most 24 hours (1440 minutes)."),
            "required": _("Say how long the trace is to take."),
        },
        help_text=_("At most 1440, which are 24 hours."),
    )
    mebibytes = forms.IntegerField(
        label=_("Size, in MiB"),
        initial=10,
        min_value=1,
        max_value=LARGEST,
        error_messages={
            "min_value": _("A trace keeps at least 1 MiB."),
            "max_value": _("A trace keeps at most %(limit_value)s MiB."),
            "required": _("Say how much the trace may keep."),
        },
        help_text=_(
            "Of texts, and 250 bytes for each message; the trace ends when it has kept "
            "as much. At most %d."
        )
        % LARGEST,
    )

    class Meta:
        model = Trace
        fields = ["kind", "value"]
        labels = {"kind": _("What is to be traced"), "value": _("Which one")}
        error_messages = {
            "kind": {
                "required": _("Choose what is to be traced."),
                "invalid_choice": _(
                    "A user, a client, a path or a connection can be traced."
                ),
            },
            "value": {"required": _("Say which one is to be traced.")},
        }

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        kind, value = self.cleaned_data.get("kind"), self.cleaned_data.get("value")
        if kind and value:
            try:
                self.cleaned_data["value"] = _CLEANERS[kind](value)
            except ValidationError as error:
                self.add_error("value", error)
        return cleaned

    def save(self, commit: bool = True) -> Trace:
        self.instance.ends_at = timezone.now() + self.cleaned_data["minutes"] * MINUTE
        self.instance.bytes_limit = self.cleaned_data["mebibytes"] * MEBIBYTE
        return super().save(commit)


class CapturePolicyForm(forms.ModelForm):
    """Says how much is kept of the messages of some paths."""

    class Meta:
        model = CapturePolicy
        fields = ["pattern", "level"]

    def clean_pattern(self) -> str:
        return _pattern(self.cleaned_data["pattern"])


class BlockForm(forms.ModelForm):
    """Keeps somebody out for a while."""

    seconds = forms.TypedChoiceField(
        label=_("For how long"), coerce=int, choices=BLOCK_SECONDS, initial=300
    )

    class Meta:
        model = Block
        fields = ["kind", "value", "reason"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        kind, value = self.cleaned_data.get("kind"), self.cleaned_data.get("value")
        if kind and value:
            check = _network if kind == Block.Kind.NETWORK else _username
            try:
                self.cleaned_data["value"] = check(value)
            except ValidationError as error:
                self.add_error("value", error)
        return cleaned

    def save(self, commit: bool = True) -> Block:
        if seconds := self.cleaned_data["seconds"]:
            self.instance.ends_at = timezone.now() + timedelta(seconds=seconds)
        return super().save(commit)


class AskForm(forms.Form):
    """Asks what is to be done with connections, and why."""

    kind = forms.ChoiceField(
        widget=forms.RadioSelect,
        label=_("What is to be done?"),
        error_messages={"required": _("Choose what is to be done.")},
    )
    seconds = forms.TypedChoiceField(
        label=_("Block for"),
        coerce=int,
        choices=BLOCK_SECONDS,
        initial=300,
        required=False,
        empty_value=None,
    )
    reason = forms.CharField(
        max_length=REASON_LIMIT,
        label=_("Reason, or the text of the notice; the users will read it"),
        error_messages={
            "required": _("Say why; the users will read it."),
            "max_length": _("At most %(limit_value)d characters fit into a close."),
        },
    )

    KINDS = {
        "disconnect": _("disconnect: they may come back at once"),
        "log_out": _("log out: end their sessions, and disconnect"),
        "notice": _("send a notice: they stay"),
        "block": _("block: disconnect, and keep out for a while"),
        "drain": _("drain: close all connections gently, and stop the process"),
    }

    def __init__(self, *args: Any, kinds: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["kind"]
        field.choices = [(kind, self.KINDS[kind]) for kind in kinds]
        if len(kinds) == 1:
            field.initial = kinds[0]
        if "block" not in kinds:
            del self.fields["seconds"]
        if kinds == ["drain"]:
            self.fields["reason"].label = _("Reason, for the log of actions")
            said = self.fields["reason"].error_messages
            said["required"] = _("Say why, for the log of actions.")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        asked = self.cleaned_data
        if asked.get("kind") == "block" and asked.get("seconds") is None:
            self.add_error("seconds", _("Say for how long."))
        return cleaned

    def clean_reason(self) -> str:
        reason = " ".join(clean(self.cleaned_data["reason"]).split())
        if not reason:
            raise ValidationError(self.fields["reason"].error_messages["required"])
        return reason


def uuids(texts: Iterable[str]) -> list[uuid.UUID]:
    """The keys that a page sent back. Http404 if one is none."""
    try:
        return [uuid.UUID(text) for text in texts]
    except ValueError as error:
        raise Http404("No such connection or process") from error


def _pattern(value: str) -> str:
    if not value.startswith(PATTERN_STARTS):
        raise ValidationError(_("A path begins with / (or with *, for any)."))
    return value


def _username(value: str) -> str:
    users: Any = get_user_model()
    known = users._default_manager.filter(**{users.USERNAME_FIELD: value}).exists()
    if not known and not Connection.objects.open().filter(username=value).exists():
        raise ValidationError(_("There is no user of this name."))
    return value


def _address(value: str) -> str:
    """The address as servers write it in a scope."""
    try:
        address = ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        message = _("This is no IP address (without a port), such as 192.0.2.7.")
        raise ValidationError(message) from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)


def _network(value: str) -> str:
    """An address or a network, as it is compared with those of clients."""
    try:
        return str(ip_network(value.strip(), strict=False)).removesuffix(
            "/32" if ":" not in value else "/128"
        )
    except ValueError:
        message = _(
            "This is neither an IP address, such as 192.0.2.7, nor a network, such as "
            "192.0.2.0/24."
        )
        raise ValidationError(message) from None


def _open_connection(value: str) -> str:
    try:
        key = uuid.UUID(value)
    except ValueError:
        message = _("This is no id of a connection; its page has it in the address.")
        raise ValidationError(message) from None
    if not Connection.objects.open().filter(pk=key).exists():
        raise ValidationError(_("There is no open connection with this id."))
    return str(key)


_CLEANERS = {
    Trace.Kind.USER: _username,
    Trace.Kind.CLIENT: _address,
    Trace.Kind.PATH: _pattern,
    Trace.Kind.CONNECTION: _open_connection,
}
