"""The pages' catalogues: every text that is shown is translated, and every translation fits its text."""

import re
from typing import Any

import pytest
from babel.messages.catalog import Message

from client.catalogues import LANGUAGES, messages, parts, shown
from client.kernel.languages import NAMES, Languages

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
# Words that scripts put numbers in place of.
MARKS = ("NUMBER", "COUNT")
SHOWN = {(message.id, message.context) for message in messages(shown())}


def translated(language: str) -> dict[tuple[Any, str | None], Message]:
    return {(message.id, message.context): message for _, part in parts(language) for message in messages(part)}


def strings(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, (tuple, list)) else [message.string or ""]


def test_there_are_texts() -> None:
    assert len(SHOWN) > 200
    assert {"ar", "es", "fr"} <= set(LANGUAGES) <= set(NAMES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_and_none_is_left_over(language: str) -> None:
    known = translated(language)
    assert sorted(str(key) for key in SHOWN - known.keys()) == [], "python -m client.catalogues PART"
    assert sorted(str(key) for key in known.keys() - SHOWN) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_no_translation_is_a_guess(language: str) -> None:
    for message in translated(language).values():
        assert all(strings(message)), message.id
        assert not message.fuzzy, message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_agree(language: str) -> None:
    for message in translated(language).values():
        forms = [message.id] if isinstance(message.id, str) else list(message.id)
        wanted = {name for form in forms for name in PLACEHOLDER.findall(form)}
        for number, text in enumerate(strings(message)):
            found = set(PLACEHOLDER.findall(text))
            # Languages that have a form for one or two may say the number in words.
            assert found == wanted or (len(forms) > 1 and number < 3 and found < wanted), message.id
            assert "%" not in PLACEHOLDER.sub("", text), message.id
            assert [mark for mark in MARKS if mark in forms[0]] == [mark for mark in MARKS if mark in text], message.id


@pytest.mark.parametrize(("language", "forms"), [("ar", 6), ("es", 2), ("fr", 2)])
def test_numbers_have_the_forms_of_their_language(language: str, forms: int) -> None:
    plurals = [message for message in translated(language).values() if isinstance(message.id, tuple)]
    assert plurals
    # Babel counts a form for large numbers in some languages; what stands in a file is what its head says.
    assert all(len(strings(message)) >= forms for message in plurals)


def test_money_and_moments_are_written_as_the_language_does() -> None:
    spoken = Languages()
    kick_off = "2022-11-20T16:00:00Z"
    assert spoken["en"].money(75, "USD") == "$75"
    assert spoken["en"].money(82.5, "USD") == "$82.50"
    assert spoken["es"].money(1234.5, "EUR") == "1.234,50\xa0€"
    assert spoken["ar"].money(75, "USD") == "\u206675\xa0US$\u2069"
    assert spoken["fr"].day(kick_off) == "dimanche 20 novembre 2022"
    assert spoken["fr"].time(kick_off, "Asia/Qatar") == "19:00"
    assert spoken["fr"].time(kick_off, "No/Such/Zone") == "16:00"
    assert spoken["ar"].direction == "rtl"
    assert len(spoken["ar"].territories()) > 240
