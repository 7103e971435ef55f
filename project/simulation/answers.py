"""What simulated people say to somebody who really writes."""

import re

SPANISH = re.compile(r"[¿¡ñáéíóú]|\b(hola|gracias|buenos|buenas|que|qué)\b", re.I)
GREETING = re.compile(r"\b(hi|hello|hey|morning|hola|buenas|buenos)\b", re.I)
THANKS = re.compile(r"\b(thanks|thank you|thx|gracias)\b", re.I)

WORDS = {
    ("en", "greeting"): [
        "hey @{name}!",
        "hi @{name} 👋",
        "hello @{name}, how are you?",
    ],
    ("en", "thanks"): ["any time", "you are welcome 🙂", "sure, no problem"],
    ("en", "question"): [
        "good question, let me look",
        "I think so, but ask me again after lunch",
        "@{name} not sure. who would know?",
        "yes, since last week",
        "I had the same question on Monday and never got an answer 😅",
    ],
    ("en", "word"): [
        "makes sense",
        "👍",
        "@{name} I see it the same way",
        "noted, thanks!",
        "ha, same here",
        "ok, I have a look in a minute",
    ],
    ("es", "greeting"): ["¡hola, @{name}!", "buenas, @{name} 👋", "¡hola! ¿qué tal?"],
    ("es", "thanks"): ["de nada", "¡a ti!", "para eso estamos 🙂"],
    ("es", "question"): [
        "buena pregunta, lo miro",
        "creo que sí, pero pregúntame después de comer",
        "@{name} pues no lo sé. ¿quién lo sabrá?",
        "sí, desde la semana pasada",
    ],
    ("es", "word"): [
        "tiene sentido",
        "👍",
        "@{name} lo veo igual",
        "anotado, ¡gracias!",
        "vale, le echo un ojo en un minuto",
    ],
}


def answer(text, name, random):
    """An answer to what somebody of a name has written."""
    language = "es" if SPANISH.search(text) else "en"
    return random.choice(WORDS[language, kind_of(text)]).format(name=name)


def kind_of(text):
    if "?" in text:
        return "question"
    if GREETING.search(text):
        return "greeting"
    return "thanks" if THANKS.search(text) else "word"
