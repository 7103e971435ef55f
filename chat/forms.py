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

    def clean_name(self):
        name = self.cleaned_data["name"]
        slug = slugify(name).replace("_", "-")
        if not slug.strip("-"):
            raise ValidationError(_("Use some letters a-z or digits in the name."))
        if len(slug) > SLUG_LENGTH:  # a ligature becomes two letters
            raise ValidationError(_("This name is too long; use a shorter one."))
        if slug.startswith(DIRECT):
            words = _("Names that begin with “dm” are for direct messages.")
            raise ValidationError(words)
        if Room.objects.filter(slug=slug).exists():
            words = _("There is a room “%(room)s” already.")
            raise ValidationError(words, params={"room": slug})
        self.instance.slug = slug
        return name

    def save(self):
        if self.cleaned_data["is_private"]:
            self.instance.kind = Room.Kind.PRIVATE
        return super().save()


class UserForm(forms.Form):
    """Another user, by name."""

    user = forms.CharField(
        max_length=150,
        error_messages={"required": _("Say who, by the user name.")},
        widget=forms.TextInput(attrs={"list": "people", "autocomplete": "off"}),
    )

    def __init__(self, *args):
        super().__init__(*args, auto_id=f"id_{self.name}_%s")

    def clean_user(self):
        name = self.cleaned_data["user"]
        user = get_user_model().objects.filter(is_active=True, username=name).first()
        if user is None:
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
