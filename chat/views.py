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
from django.utils.translation import gettext as _
from django.views.generic import DetailView, ListView, RedirectView

from monitor import presence

from . import frames
from .forms import DirectForm, InviteForm, RenameForm, RoomForm
from .incoming import TEXT_LIMIT
from .listing import NEVER, entries, here, lists, marks_of
from .lobby import LOBBY
from .models import Membership, Room
from .ticks import Tick, tick


class LoginView(auth.LoginView):
    """The login page; whoever is logged in goes on to the lobby."""

    redirect_authenticated_user = True


class LobbyView(LoginRequiredMixin, RedirectView):
    """The front door."""

    def get_redirect_url(self):
        return reverse("room", args=[LOBBY])


class RoomsView(LoginRequiredMixin, ListView):
    """All rooms that one may enter, who is in them, and forms for more."""

    template_name = "chat/rooms.html"
    context_object_name = "rooms"
    paginate_by = 50

    @property
    def is_archive(self):
        return "archived" in self.request.GET

    def get_queryset(self):
        rooms = Room.objects.filter(archived_at__isnull=not self.is_archive)
        rooms = rooms.visible_to(self.request.user)
        return rooms.with_last_message().liveliest_first().values_list("pk", flat=True)

    def get_context_data(self, **kwargs):
        kwargs.setdefault("form", RoomForm())
        kwargs.setdefault("direct_form", DirectForm(self.request.user))
        context = super().get_context_data(**kwargs)
        ids, user = list(context["rooms"]), self.request.user
        found = entries(Room.objects.filter(pk__in=ids))
        marks = marks_of(ids, [user.pk])
        rooms = [
            (found[pk], marks.get((pk, user.pk), NEVER)) for pk in ids if pk in found
        ]
        present = presence.members("chat", "slug")
        context["rooms"] = listed(rooms, present, user)
        context["presence_known"] = present is not None
        context["is_archive"] = self.is_archive
        return context

    def post(self, request):
        """Make a room."""
        form = RoomForm(request.POST)
        form.instance.created_by = request.user
        if form.is_valid():
            try:
                return redirect(self.make(form))
            except IntegrityError:
                # Someone was quicker between the check and the insert.
                form.add_error("name", _("There is such a room already."))
        self.object_list = self.get_queryset()
        return self.render_to_response(self.get_context_data(form=form))

    def make(self, form):
        with transaction.atomic():
            room = form.save()
            if room.kind == Room.Kind.PRIVATE:
                Membership.objects.create(room=room, user=self.request.user)
        tick(Tick.ROOM, [room.pk])
        return room


class DirectView(RoomsView):
    """Open the conversation with another user, and make it if there is none."""

    def get(self, request):
        """Lead those who logged in on the way back to the form."""
        return redirect("rooms")

    def post(self, request):
        form = DirectForm(request.user, request.POST)
        if form.is_valid():
            other = form.cleaned_data["user"]
            room, is_new = Room.objects.direct(request.user, other)
            if is_new:
                tick(Tick.MEMBERS, [(room.pk, other.pk), (room.pk, request.user.pk)])
            # Or the browser goes on to look for the form that it came from.
            return redirect(f"{room.get_absolute_url()}#message")
        self.object_list = self.get_queryset()
        return self.render_to_response(self.get_context_data(direct_form=form))


class RoomView(LoginRequiredMixin, DetailView):
    """A room to talk in. Messages and members come over the websocket."""

    template_name = "chat/room.html"

    def get_queryset(self):
        return Room.objects.visible_to(self.request.user)

    def get_context_data(self, **kwargs):
        room, user = self.object, self.request.user
        kwargs.setdefault("rename_form", RenameForm(instance=room))
        kwargs.setdefault("invite_form", InviteForm())
        return super().get_context_data(
            is_run_by_viewer=room.is_run_by(user),
            name=room.name_for(user),
            rooms=self.side(),
            members=room.members() if room.kind == Room.Kind.PRIVATE else (),
            text_limit=TEXT_LIMIT,
            rate=str(settings.CHAT_RATE),  # JavaScript reads it, in whatever language
            **kwargs,
        )

    def side(self):
        """The list beside the room, in which it is itself in any case."""
        room, user = self.object, self.request.user
        rooms = lists([user.pk])[user.pk]
        if room.pk not in {entry.pk for entry, _ in rooms}:
            (entry,) = entries(Room.objects.filter(pk=room.pk)).values()
            marks = marks_of([room.pk], [user.pk])
            rooms = [(entry, marks.get((room.pk, user.pk), NEVER)), *rooms]
        return listed(rooms, presence.members("chat", "slug"), user)


class RoomSettingsView(RoomView):
    """What people do with a room, as `do` says. Most of it is for those who run it."""

    FOR_ALL = ("leave",)

    def get(self, request, slug):
        """Lead those who logged in on the way back to the room."""
        return redirect(self.get_object())

    def post(self, request, slug):
        self.object = room = self.get_object()
        actions = {
            "rename": self.rename,
            "archive": self.archive,
            "restore": self.restore,
        }
        if room.kind == Room.Kind.PRIVATE:
            of_members = {"invite": self.invite, "remove": self.remove}
            actions |= of_members | {"leave": self.leave}
        do = request.POST.get("do")
        if do not in actions:
            return HttpResponseBadRequest(f"do is one of: {', '.join(actions)}.")
        if do not in self.FOR_ALL and not room.is_run_by(request.user):
            raise PermissionDenied
        return actions[do]()

    def rename(self):
        name = self.object.name
        form = RenameForm(self.request.POST, instance=self.object)
        if form.is_valid():
            return self.changed()
        self.object.name = name
        return self.render_to_response(self.get_context_data(rename_form=form))

    def archive(self):
        self.object.archived_at = self.object.archived_at or timezone.now()
        return self.changed()

    def restore(self):
        self.object.archived_at = None
        return self.changed()

    def changed(self):
        # All fields would include the numbers of messages as they were a moment ago.
        self.object.save(update_fields=["name", "archived_at"])
        transaction.on_commit(partial(tick, Tick.ROOM, [self.object.pk]))
        return redirect(self.object)

    def invite(self):
        form = InviteForm(self.request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(invite_form=form))
        user = form.cleaned_data["user"]
        Membership.objects.get_or_create(room=self.object, user=user)
        self.tell_members(user.pk)
        return self.back_to_members()

    def remove(self):
        name = self.request.POST.get("member", "")
        if name == self.request.user.get_username():
            return self.leave()
        # Who is no member any more needs no telling that they are not.
        for user in self.object.members().filter(username=name):
            self.let_go(user.pk)
        return self.back_to_members()

    def leave(self):
        self.let_go(self.request.user.pk)
        return redirect("rooms")

    def let_go(self, user_id):
        Membership.objects.let_go(self.object, user_id)
        self.tell_members(user_id)

    def tell_members(self, user_id):
        tell = partial(tick, Tick.MEMBERS, [(self.object.pk, user_id)])
        transaction.on_commit(tell)

    def back_to_members(self):
        return redirect(f"{self.object.get_absolute_url()}?members")


def listed(rooms, present, user):
    """Rooms as templates and pages show them, from (Entry, Mark) pairs."""
    everybody = {name for names in (present or {}).values() for name in names}
    return [
        frames.entry(entry, here(entry, present, everybody))
        | frames.mark(*mark)
        | {"title": entry.name_for(user)}
        for entry, mark in rooms
    ]
