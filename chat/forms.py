from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from .models import SLUG_LENGTH, Room

NAME_ERRORS = {
    "required": "Give the room a name.",
    "max_length": f"Use at most {SLUG_LENGTH} characters.",
}


class RenameForm(forms.ModelForm):
    """Another name for a room; its address stays."""

    class Meta:
        model = Room
        fields = ["name"]
        error_messages = {"name": NAME_ERRORS}


class RoomForm(forms.ModelForm):
    """A new room, of which people give the name and the address follows."""

    class Meta:
        model = Room
        fields = ["name"]
        labels = {"name": "New room"}
        error_messages = {"name": NAME_ERRORS}

    def clean_name(self):
        name = self.cleaned_data["name"]
        slug = slugify(name).replace("_", "-")
        if not slug.strip("-"):
            raise ValidationError("Use some letters a-z or digits in the name.")
        if len(slug) > SLUG_LENGTH:  # a ligature becomes two letters
            raise ValidationError("This name is too long; use a shorter one.")
        if Room.objects.filter(slug=slug).exists():
            raise ValidationError(f"There is a room “{slug}” already.")
        self.instance.slug = slug
        return name
