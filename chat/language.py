"""In which language somebody is spoken to: as their browser says."""

from django.conf import settings
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header


def language_of(scope):
    """The language that a handshake asks for, of those that the site has.

    As `LocaleMiddleware` finds it for pages.
    """
    for name, value in scope.get("headers", ()):
        if name == b"accept-language":
            for code, _ in parse_accept_lang_header(value.decode("latin-1")):
                try:
                    return translation.get_supported_language_variant(code)
                except LookupError:
                    continue
    return settings.LANGUAGE_CODE


def in_language(language, text):
    """A sentence of ours in a language; what somebody else wrote stays as it is."""
    with translation.override(language):
        return translation.gettext(text) if text else text
