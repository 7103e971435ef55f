from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import IntegrityError
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import DetailView, ListView, RedirectView

from monitor import presence

from .forms import RoomForm
from .incoming import TEXT_LIMIT
from .lobby import LOBBY
from .models import Room

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

    def get_queryset(self):
        return Room.objects.with_last_message().liveliest_first()

    def get_context_data(self, **kwargs):
        kwargs.setdefault("form", RoomForm())
        context = super().get_context_data(**kwargs)
        present = presence.members("chat", "slug")
        context["presence_known"] = present is not None
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
        rooms = Room.objects.with_last_message().liveliest_first()
        return super().get_context_data(
            rooms=_with_current(list(rooms[:SIDEBAR_ROOMS]), self.object),
            text_limit=TEXT_LIMIT,
            rate=str(settings.CHAT_RATE),  # JavaScript reads it, in whatever language
            **kwargs,
        )


def _with_current(rooms, current):
    return rooms if current in rooms else [current, *rooms]
