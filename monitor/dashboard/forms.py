"""What staff may ask of the recording, checked before anything is kept."""

from __future__ import annotations

import uuid
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitor.models import CapturePolicy, Connection, Trace

PATTERN_STARTS = ("/", "*")
MINUTE = timedelta(minutes=1)
MEBIBYTE = 2**20  # bytes
LONGEST = Trace.LONGEST // MINUTE
LARGEST = Trace.LARGEST // MEBIBYTE


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
