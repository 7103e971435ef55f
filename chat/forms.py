import secrets

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from .models import DIRECT, SLUG_LENGTH, Room

NAME_ERRORS = {
    "required": _("Give the room a name."),
    "max_length": _("Use at most %(limit_value)d characters."),
}
SUGGESTED = 500  # user names


class RenameForm(forms.ModelForm):
    """Another name for a room; its address stays."""

    class Meta:
        model = Room
        fields = ["name"]
        error_messages = {"name": NAME_ERRORS}

    def clean(self):
        super().clean()
        if "name" in self.cleaned_data and self.instance.kind == Room.Kind.OPEN:
            refuse_double(self.cleaned_data["name"], self.instance)


class RoomForm(forms.ModelForm):
    """A new room, of which people give the name and the address follows."""

    is_private = forms.BooleanField(
        required=False, label=_("Private: only for those whom you invite")
    )

    class Meta:
        model = Room
        fields = ["name"]
        labels = {"name": _("New room")}
        error_messages = {"name": NAME_ERRORS}

    def clean(self):
        super().clean()
        name, is_private = (self.cleaned_data.get(n) for n in ("name", "is_private"))
        if is_private:
            self.instance.kind = Room.Kind.PRIVATE
        if name:
            if not is_private:
                refuse_double(name, self.instance)
            self.instance.slug = new_slug(name, is_private)


def refuse_double(name, room):
    """ValidationError if another room that is open to all is called so."""
    others = Room.objects.filter(kind=Room.Kind.OPEN, name__iexact=name)
    if others.exclude(pk=room.pk).exists():
        words = _("There is a room “%(room)s” already.")
        raise ValidationError({"name": ValidationError(words, params={"room": name})})


def new_slug(name, is_private):
    """An address for a new room, from its name.

    With something that nobody can guess at its end, if it has to be told apart; and if
    the room is private: nobody is to find out by trying that it is there.
    """
    slug = slugify(name).replace("_", "-").strip("-")
    is_usable = slug and len(slug) <= SLUG_LENGTH and not slug.startswith(DIRECT)
    if is_usable and not is_private and not Room.objects.filter(slug=slug).exists():
        return slug
    end = f"-{secrets.token_hex(4)}"
    start = slug if is_usable else f"room-{slug}"
    return start[: SLUG_LENGTH - len(end)].strip("-") + end


class UserForm(forms.Form):
    """Another user, by name."""

    user = forms.CharField(
        max_length=150,
        error_messages={"required": _("Say who, by the user name.")},
        widget=forms.TextInput(
            attrs={"list": "people", "autocomplete": "off", "autocapitalize": "none"}
        ),
    )

    def __init__(self, *args):
        super().__init__(*args, auto_id=f"id_{self.name}_%s")

    def clean_user(self):
        name = self.cleaned_data["user"]
        # As people write it; a telephone begins it with a capital.
        users = get_user_model().objects.filter(is_active=True, username__iexact=name)
        found = {user.get_username(): user for user in users}
        user = found.get(name) or (len(found) == 1 and found.popitem()[1])
        if not user:
            words = _("There is no user “%(name)s”. Look how it is spelled.")
            raise ValidationError(words, params={"name": name})
        return user

    def people(self):
        """Names to choose from."""
        users = get_user_model().objects.filter(is_active=True).order_by("username")
        return users.values_list("username", flat=True)[:SUGGESTED]


class DirectForm(UserForm):
    """Whom to talk to alone."""

    name = "direct"

    def __init__(self, viewer, *args):
        self.viewer = viewer
        super().__init__(*args)

    def clean_user(self):
        user = super().clean_user()
        if user == self.viewer:
            raise ValidationError(_("That is you; choose somebody else."))
        return user


class InviteForm(UserForm):
    """Who is to come into a private room."""

    name = "invite"
