from functools import partial

from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.generic import DetailView, ListView, RedirectView

from monitor import presence

from .forms import RenameForm, RoomForm
from .hub import GROUP, TICK
from .incoming import TEXT_LIMIT
from .lobby import LOBBY
from .models import Room
from .ticks import tick

SIDEBAR_ROOMS = 30


class LoginView(auth.LoginView):
    """The login page; whoever is logged in goes on to the lobby."""

    redirect_authenticated_user = True


class LobbyView(LoginRequiredMixin, RedirectView):
    """The front door."""

    def get_redirect_url(self):
        return reverse("room", args=[LOBBY])


class RoomsView(LoginRequiredMixin, ListView):
    """All rooms, who is in them, and a form for another one."""

    template_name = "chat/rooms.html"
    context_object_name = "rooms"
    paginate_by = 50

    @property
    def is_archive(self):
        return "archived" in self.request.GET

    def get_queryset(self):
        rooms = Room.objects.filter(archived_at__isnull=not self.is_archive)
        return rooms.with_last_message().liveliest_first()

    def get_context_data(self, **kwargs):
        kwargs.setdefault("form", RoomForm())
        context = super().get_context_data(**kwargs)
        present = presence.members("chat", "slug")
        context["presence_known"] = present is not None
        context["is_archive"] = self.is_archive
        for room in context["rooms"]:
            room.present = (present or {}).get(room.slug, [])
        return context

    def post(self, request):
        form = RoomForm(request.POST)
        form.instance.created_by = request.user
        if form.is_valid():
            try:
                return redirect(form.save())
            except IntegrityError:
                # Someone was quicker between the check and the insert.
                form.add_error("name", "There is such a room already.")
        self.object_list = self.get_queryset()
        return self.render_to_response(self.get_context_data(form=form))


class RoomView(LoginRequiredMixin, DetailView):
    """A room to talk in. Messages and members come over the websocket."""

    model = Room
    template_name = "chat/room.html"

    def get_context_data(self, **kwargs):
        rooms = Room.objects.filter(archived_at=None).with_last_message()
        rooms = rooms.liveliest_first()
        kwargs.setdefault("rename_form", RenameForm(instance=self.object))
        return super().get_context_data(
            is_run_by_viewer=self.object.is_run_by(self.request.user),
            rooms=_with_current(list(rooms[:SIDEBAR_ROOMS]), self.object),
            text_limit=TEXT_LIMIT,
            rate=str(settings.CHAT_RATE),  # JavaScript reads it, in whatever language
            **kwargs,
        )


class RoomSettingsView(RoomView):
    """What whoever runs a room does with it: `do` is rename, archive or restore."""

    http_method_names = ["post"]

    def post(self, request, slug):
        self.object = room = self.get_object()
        name = room.name
        if not room.is_run_by(request.user):
            raise PermissionDenied
        match request.POST.get("do"):
            case "rename":
                form = RenameForm(request.POST, instance=room)
                if not form.is_valid():
                    room.name = name
                    context = self.get_context_data(rename_form=form)
                    return self.render_to_response(context)
            case "archive":
                room.archived_at = room.archived_at or timezone.now()
            case "restore":
                room.archived_at = None
            case _:
                return HttpResponseBadRequest("do is rename, archive or restore.")
        # All fields would include the numbers of messages as they were a moment ago.
        room.save(update_fields=["name", "archived_at"])
        transaction.on_commit(partial(tick, GROUP, TICK, [room.pk]))
        return redirect(room)


def _with_current(rooms, current):
    return rooms if current in rooms else [current, *rooms]
