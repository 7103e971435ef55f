from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.generic import RedirectView
from django.views.i18n import JavaScriptCatalog

admin.site.site_header = admin.site.site_title = "Channelscope"

# What the scripts of the chat say, in the language of the page.
words = JavaScriptCatalog.as_view(packages=["chat"])

urlpatterns = [
    path("words.js", cache_control(max_age=3600, private=True)(words), name="words"),
    path("admin/", admin.site.urls),
    # The admin's pages name no icon, so browsers ask for this one.
    path("favicon.ico", RedirectView.as_view(url=static("chat/favicon.svg"))),
    path("", include("chat.urls")),
]
