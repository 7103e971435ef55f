from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The site itself; an app so that `manage.py up` is found."""

    name = "project"
    default_auto_field = "django.db.models.BigAutoField"
