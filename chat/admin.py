from django.contrib import admin

from .models import Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Rooms can be renamed and deleted; their address stays."""

    list_display = ["name", "slug", "kind", "created_by", "created_at", "last_seq"]
    list_filter = ["kind"]
    list_select_related = ["created_by"]
    search_fields = ["name", "slug"]
    fields = ["name", "slug", "kind", "created_by", "created_at", "last_seq"]

    def get_readonly_fields(self, request, obj=None):
        computed = ["kind", "created_by", "created_at", "last_seq"]
        return ["slug", *computed] if obj else computed

    def save_model(self, request, obj, form, change):
        if change:
            # All fields would include `last_seq` as it was when the page opened.
            obj.save(update_fields=form.changed_data)
        else:
            obj.created_by = request.user
            obj.save()

    def get_deleted_objects(self, objs, request):
        deleted, counts, permissions_needed, protected = super().get_deleted_objects(
            objs, request
        )
        # Nobody may delete a single message, but a room goes with all of its own.
        permissions_needed.discard(Message._meta.verbose_name)
        return deleted, counts, permissions_needed, protected


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """What was written, to read only: numbers without gaps allow no other way."""

    list_display = ["room", "seq", "author_name", "text", "sent_at"]
    list_select_related = ["room"]
    list_filter = ["room"]
    search_fields = ["text", "author_name"]
    ordering = ["-pk"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
