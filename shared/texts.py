"""Texts in other languages, by gettext, for what is written where nobody is looking: mails.

The catalogues are `.po` files, one a language, which are read when they are first needed; English needs none.
"""

import gettext
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

SOURCE = "en"


@cache
def load(folder: Path, language: str) -> gettext.NullTranslations:
    """The texts of a language as the files of a folder have them."""
    path = folder / f"{language}.po"
    if language == SOURCE or not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        catalog = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


class Texts:
    """The texts of one part of the site; `folder` has its catalogues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.languages = frozenset({SOURCE, *(path.stem for path in folder.glob("*.po"))})

    def nearest(self, tags: Iterable[str | None]) -> str:
        """The language of the first of these BCP 47 tags that has a catalogue, by its code; else English."""
        codes = (tag.replace("_", "-").partition("-")[0].lower() for tag in tags if tag)
        return next((code for code in codes if code in self.languages), SOURCE)

    def in_language(self, tag: str | None, text: str) -> str:
        """A text in the language of a BCP 47 tag; in English without one, or when there is no such catalogue."""
        return load(self.folder, self.nearest([tag])).gettext(text)
