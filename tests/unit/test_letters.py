"""Mails in the languages of their readers: nothing is missing, and nothing is lost on the way."""

from string import Formatter

import pytest

from users.letters import TEXTS, TRANSLATIONS

LANGUAGES = sorted(TRANSLATIONS.languages - {"en"})


def fields(text: str) -> list[str]:
    """What is filled into a text."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_the_languages_are_those_of_the_pages() -> None:
    assert LANGUAGES == ["ar", "es", "fr"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", TEXTS)
def test_every_letter_has_its_translation_with_the_same_fields(kind: str, language: str) -> None:
    for text in TEXTS[kind]:
        translated = TRANSLATIONS.in_language(language, text)
        assert translated != text
        assert fields(translated) == fields(text)
        assert translated.endswith("\n") == text.endswith("\n")


@pytest.mark.parametrize(
    ("tag", "subject"),
    [
        ("fr-CA", "Votre compte a été supprimé"),
        ("ES", "Su cuenta se ha eliminado"),
        (None, "Your account was deleted"),
        ("de", "Your account was deleted"),
        ("../fr", "Your account was deleted"),
    ],
)
def test_a_tag_gets_the_nearest_language_or_english(tag: str | None, subject: str) -> None:
    assert TRANSLATIONS.in_language(tag, TEXTS["deleted"][0]) == subject
