"""`python -m client.catalogues PART`: the texts of the pages, and what of them is not translated yet.

Texts are found in the code and the templates. Those that no catalogue of a language has yet are added to its
`PART.po`, empty, to be translated; those that nobody shows any more are taken out of all. The files have no line
numbers and are sorted, so that two people who add texts seldom meet.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from client.kernel.languages import NAMES, SOURCE, TRANSLATIONS
from client.kernel.rendering import EXTENSIONS

HERE = Path(__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {
    "**.html": {},
    "templates/**.html": {"extensions": ",".join(EXTENSIONS), "trimmed": "true", "silent": "false"},
}
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2),
            "npgettext": ((1, "c"), 2, 3)}  # fmt: skip
LANGUAGES = [code for code in NAMES if code != SOURCE]
MessageId = str | tuple[str, ...]


def shown() -> Catalog:
    """All texts that pages can show."""
    catalog = Catalog()
    for _file, _line, text, _comments, context in extract_from_dir(HERE, METHODS, OPTIONS, KEYWORDS):
        catalog.add(text, context=context)
    return catalog


def parts(language: str) -> Iterator[tuple[Path, Catalog]]:
    """The catalogues of a language with their files."""
    for path in sorted((TRANSLATIONS / language).glob("*.po")):
        yield path, read(path, language)


def read(path: Path, language: str) -> Catalog:
    """One file; an empty catalogue when it is not there."""
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def messages(catalog: Catalog) -> list[Message]:
    """A catalogue's texts, without its head."""
    return [message for message in catalog if message.id]


def write(path: Path, catalog: Catalog) -> None:
    """Writes a catalogue without what would differ each time."""
    raw = io.BytesIO()
    write_po(raw, catalog, no_location=True, omit_header=True, sort_output=True, width=120)
    head = [
        'msgid ""',
        'msgstr ""',
        '"Content-Type: text/plain; charset=utf-8\\n"',
        f'"Plural-Forms: {catalog.plural_forms}\\n"',
    ]
    path.write_text("\n".join([*head, "", raw.getvalue().decode().strip(), ""]), "utf-8")


def update(language: str, part: str) -> int:
    """Adds what is new to a part and takes out what is old; returns how many texts have no translation."""
    wanted = {(message.id, message.context): message for message in messages(shown())}
    missing, known = dict(wanted), set()
    for path, catalog in [*parts(language)]:
        for message in messages(catalog):
            key = (message.id, message.context)
            if key not in wanted or key in known:
                catalog.delete(message.id, message.context)
            known.add(key)
            missing.pop(key, None)
        write(path, catalog)
    target = TRANSLATIONS / language / f"{part}.po"
    added = read(target, language)
    for message in missing.values():
        added.add(message.id, context=message.context)
    write(target, added)
    found = [message for _, catalog in parts(language) for message in messages(catalog)]
    return sum(not (all(m.string) if isinstance(m.string, (tuple, list)) else m.string) for m in found)


def main(part: str) -> None:
    """Updates all languages."""
    for language in LANGUAGES:
        print(f"{language}: {update(language, part)} texts wait for a translation")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
