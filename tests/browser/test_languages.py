"""Whoever has a Spanish browser chats in Spanish, beside one who has an English one."""

import pytest
from playwright.sync_api import expect

from .pages import message, say


@pytest.fixture
def ana(page_of):
    page = page_of("ana", locale="es-ES")
    page.goto("/rooms/lobby/")
    expect(page.get_by_role("status").first).to_have_text("conectado")
    return page


def test_two_languages_in_one_room(ana, page_of):
    bruno = page_of("bruno", locale="en-GB")
    bruno.goto("/rooms/lobby/")
    expect(bruno.get_by_role("status").first).to_have_text("connected")

    field = ana.get_by_role("textbox", name="Mensaje para # lobby")
    field.press_sequentially("¿qué tal?")
    expect(bruno.get_by_text("ana is typing…")).to_be_visible()
    ana.keyboard.press("Enter")
    expect(message(bruno, "¿qué tal?").last).to_be_visible()
    say(bruno, "fine")
    expect(message(ana, "fine").last).to_be_visible()

    message(ana, "¿qué tal?").last.hover()
    ana.get_by_role("button", name="Borrar el mensaje de ana").last.click()
    ana.get_by_role("dialog").get_by_role("button", name="Borrar").click()
    expect(message(ana, "Este mensaje se ha borrado.").last).to_be_visible()
    expect(message(bruno, "This message was deleted.").last).to_be_visible()


def test_the_last_word_of_a_server_is_in_the_language_of_each(
    page_of, own_server, tolerate
):
    tolerate.append("ERR_CONNECTION_REFUSED")
    page = page_of("ana", at=own_server, locale="es-ES")
    page.goto("/rooms/lobby/")
    expect(page.get_by_role("status")).to_have_text("conectado")

    own_server.stop()

    expect(page.locator("#notice")).to_contain_text("El servidor se reinicia. ")


def test_a_login_is_refused_in_the_language_of_each(page_of):
    page = page_of(None, locale="es-ES")
    page.goto("/login/")

    page.get_by_label("Nombre de usuario").fill("ana")
    page.get_by_label("Contraseña").fill("no es esta")
    page.get_by_role("button", name="Entrar").click()

    expect(page.get_by_role("alert")).to_contain_text("clave correctos")
