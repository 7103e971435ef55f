"""HTTP middleware of the site."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

# Everything comes from this site: no inline script or style, no CDN, no frames.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class ContentSecurityPolicy(MiddlewareMixin):
    """Add the Content-Security-Policy header (CSP level 3) to each response."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Language(LocaleMiddleware):
    """Let the browser say in which language the pages are.

    Not those of the admin: the monitor speaks English, and half of a page in another
    language would be worse than none.
    """

    def process_request(self, request: HttpRequest) -> None:
        if not request.path_info.startswith(reverse("admin:index")):
            super().process_request(request)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path_info.startswith(reverse("admin:index")):
            return response
        return super().process_response(request, response)
