"""Tickets and letters in the buyer's language: nothing is missing, and Arabic is written as Arabic is."""

import io
import secrets
import unicodedata
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from string import Formatter

import pypdfium2
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from PIL import Image, ImageChops
from pypdf import PdfReader

import reservations
from reservations.domain import Reservation
from reservations.languages import TRANSLATIONS, chosen, tongue
from reservations.resale.letters import sold_letter
from reservations.tickets.codes import TicketCodes, read_seeds
from reservations.tickets.domain import Fixture, Sheet, Ticket, TicketState
from reservations.tickets.letters import given_back_letter, refund_letter, tickets_letter
from reservations.tickets.pdf import MARGIN_MM, Paper, print_tickets
from reservations.tickets.words import STAGES
from shared.http import Account, Caller
from shared.mail import Mail, render
from shared.masterlist import STAGES as NAMED
from shared.masterlist import THIRD_PLACE
from shop.inventory.domain import Pool
from tests.tickets import page_texts, scan_pages

LANGUAGES = ("ar", "es", "fr")
CODES = TicketCodes(read_seeds(secrets.token_urlsafe(32)), "matchday")
KICK_OFF = datetime(2022, 11, 26, 22, tzinfo=UTC)
FIXTURE = Fixture(24, "C", "C", "Argentina", "Mexico", "Lusail Stadium", "Lusail", "Asia/Qatar", KICK_OFF)
TEAMS = {
    "en": "Argentina – Mexico", "ar": "الأرجنتين – المكسيك", "es": "Argentina – México", "fr": "Argentine – Mexique",
}  # fmt: skip
PLACE = {
    "en": "Lusail Stadium, Lusail", "ar": "استاد لوسيل، لوسيل", "es": "Lusail Stadium, Lusail",
    "fr": "Lusail Stadium, Lusail",
}  # fmt: skip
WIDTH_MM = 210
DPI = 100
SMOOTHING = 32  # the edges of letters are drawn a little otherwise at other places


def sheet(language: str, number: int = 1) -> Sheet:
    ticket = Ticket(str(uuid.uuid4()), str(uuid.uuid4()), number, 24, 2, TicketState.VALID, KICK_OFF)
    return Sheet(ticket, 2, CODES.sign(ticket), FIXTURE, Decimal("125.00"), "USD", language)


def reservation(language: str, quantity: int = 2, listing_id: str | None = None) -> Reservation:
    return Reservation(
        str(uuid.uuid4()), "sale", "ada@example.org", "ada@example.org", Pool(24, 2), quantity, Decimal("125.00"),
        12_500 * quantity, "USD", KICK_OFF, None, listing_id=listing_id, language=language,
    )  # fmt: skip


def two_sheets(language: str) -> list[Sheet]:
    return [sheet(language, 1), sheet(language, 2)]


CREDIT = {"price": 8000, "fee": 400, "withheld": 0, "amount": 7600, "currency": "USD"}
LETTERS: dict[str, Callable[[str], Mail]] = {
    "ticket": lambda language: tickets_letter(reservation(language, 1), [sheet(language)], "matchday"),
    "tickets": lambda language: tickets_letter(
        reservation(language), [sheet(language, 1), sheet(language, 2)], "matchday"
    ),
    "refund": lambda language: refund_letter(reservation(language)),
    "resale refund": lambda language: refund_letter(reservation(language, 1, listing_id=str(uuid.uuid4()))),
    "given back": lambda language: given_back_letter(reservation(language)),
    "sold": lambda language: sold_letter(reservation(language, 1), FIXTURE, str(uuid.uuid4()), CREDIT),
}


# -- catalogues ------------------------------------------------------------------------------------------------------


@cache
def marked() -> set[str]:
    """All texts that the service marks to be translated."""
    found = extract_from_dir(Path(reservations.__path__[0]), [("**.py", "python")], {}, {"N_": None})
    return {str(text) for _file, _line, text, _comments, _context in found}


def translated(language: str) -> dict[str, str]:
    with (TRANSLATIONS.folder / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def fields(text: str) -> list[str]:
    """What is filled into a text."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_the_languages_are_those_of_the_pages() -> None:
    assert TRANSLATIONS.languages == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_none_is_left_over_and_each_has_its_fields(language: str) -> None:
    known = translated(language)
    assert len(marked()) > 25
    assert (marked() - known.keys(), known.keys() - marked()) == (set(), set())
    for text, words in known.items():
        assert words, text
        assert fields(words) == fields(text)
        assert words.endswith("\n") == text.endswith("\n")


def test_all_stages_of_the_master_list_have_words() -> None:
    assert set(STAGES) == {*NAMED.values(), THIRD_PLACE}


# -- which language --------------------------------------------------------------------------------------------------


def account(language: str | None) -> Account:
    return Account("1", "ada@example.org", True, frozenset(), "a session", language=language)


@pytest.mark.parametrize(
    ("wanted", "of_account", "accepted", "expected"),
    [
        ("fr", "es", "ar", "fr"),
        ("es-MX", None, None, "es"),
        ("de", "es", "ar", "es"),
        (None, "fr-CA", "ar", "fr"),
        (None, None, "de;q=0.9, ar-EG;q=0.8, fr;q=0.7", "ar"),
        (None, None, "fr;q=0, es;q=0.1", "es"),
        (None, None, "*", "en"),
        (None, None, "\x00;;q=zwölf,../fr", "en"),
        (None, None, "", "en"),
        (None, None, None, "en"),
    ],
)
def test_the_first_language_that_we_have_is_taken(
    wanted: str | None, of_account: str | None, accepted: str | None, expected: str
) -> None:
    caller = Caller("192.0.2.1", account(of_account) if of_account else None)
    assert chosen(wanted, caller, accepted) == expected


def test_a_language_that_is_gone_is_english() -> None:
    assert tongue("tlh").code == "en"


# -- letters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LETTERS)
@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_each_letter_is_in_its_language_and_tells_all(language: str, kind: str) -> None:
    letter, english = LETTERS[kind](language), LETTERS[kind]("en")
    raw = render(letter, "tickets@matchday.example", KICK_OFF)
    assert f"Content-Language: {language}\r\n".encode() in raw
    assert "{" not in letter.subject + letter.text
    assert (letter.text.split()[0] == "Hello,") is (language == "en")
    assert (letter.subject == english.subject) is (language == "en")
    assert any("ARABIC" in unicodedata.name(each, "") for each in letter.text) is (language == "ar")
    if kind in ("ticket", "tickets", "sold"):
        assert TEAMS[language] in letter.subject
        assert {TEAMS[language], PLACE[language]} <= {line.strip() for line in letter.text.splitlines()}


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "250.00\xa0USD"), ("es", "250,00\xa0USD"), ("fr", "250,00\xa0USD"), ("ar", "\u2066250.00\xa0USD\u2069")],
)
def test_money_goes_back_in_figures_of_the_language(language: str, said: str) -> None:
    assert said in LETTERS["refund"](language).text
    assert said in LETTERS["given back"](language).text


def test_a_seller_is_told_price_fee_and_credit() -> None:
    text = LETTERS["sold"]("es").text
    assert "recibe 76,00\xa0USD: el precio de 80,00\xa0USD menos nuestra comisión de 4,00\xa0USD" in text


# -- paper -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["Ticket 2 of 2", "Match 24", "Group C", "Sunday, November 27, 2022, 01:00 local time", "125.00 USD"]),
        ("es", ["Entrada 2 de 2", "Partido 24", "Grupo C", "domingo, 27 de noviembre de 2022, 01:00 hora local",
                "sábado, 26 de noviembre de 2022, 22:00 UTC", "125,00 USD", "Muestre este código en la puerta"]),
        ("fr", ["Billet 2 sur 2", "Match 24", "Groupe C", "dimanche 27 novembre 2022, 01:00 heure locale",
                "samedi 26 novembre 2022, 22:00 UTC", "125,00 USD", "Présentez ce code"]),
        ("ar", ["المباراة", "المجموعة", "الملعب", "الفئة", "بالتوقيت المحلي", "بالتوقيت العالمي", "نوفمبر",
                "125.00 USD", "أظهر هذا الرمز عند البوابة، على الورق أو على الشاشة."]),
    ],
)  # fmt: skip
def test_a_page_is_in_its_language(language: str, said: list[str]) -> None:
    one = sheet(language, 2)
    pdf = print_tickets([one], "matchday")
    text = " ".join(page_texts(pdf)[0].replace("\xa0", " ").split())
    for words in [*said, TEAMS[language], PLACE[language], "matchday", one.ticket.id]:
        assert words in text
    assert str(PdfReader(io.BytesIO(pdf)).root_object["/Lang"]) == language


@pytest.mark.parametrize("dpi", [75, 120, 300])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_scanner_reads_the_code_of_each_page_in_each_language(language: str, dpi: int) -> None:
    sheets = two_sheets(language)
    assert scan_pages(print_tickets(sheets, "matchday"), dpi) == [[one.code] for one in sheets]


def picture(pdf: bytes) -> Image.Image:
    page: Image.Image = pypdfium2.PdfDocument(pdf)[0].render(scale=DPI / 72).to_pil()
    return page.convert("L")


def ink(page: Image.Image, left_mm: float, right_mm: float) -> int:
    """How many dark dots stand between two lines down the page, above the code."""
    strip = page.crop((round(left_mm * DPI / 25.4), 0, round(right_mm * DPI / 25.4), round(105 * DPI / 25.4)))
    return strip.point(lambda grey: grey < 200 and 255).histogram()[255]


def test_an_arabic_page_begins_at_the_right() -> None:
    middle = WIDTH_MM / 2
    arabic, english = (picture(print_tickets([sheet(language)], "matchday")) for language in ("ar", "en"))
    # The names of the facts: nothing else stands beside that margin from there on.
    assert ink(arabic, WIDTH_MM - MARGIN_MM - 30, WIDTH_MM) > 2 * ink(arabic, 0, MARGIN_MM + 30)
    assert ink(english, 0, MARGIN_MM + 30) > 2 * ink(english, WIDTH_MM - MARGIN_MM - 30, WIDTH_MM)
    assert ink(arabic, middle, WIDTH_MM) > ink(arabic, 0, middle)


def written(text: str, *, shaped: bool) -> Image.Image:
    """A line of text on paper, cut out; without shaping, letter by letter as they come."""
    paper = Paper(tongue("ar"))
    paper.add_page()
    paper.set_font("DejaVu", "", 40)
    if shaped:
        paper.write_line(text, 20)
    else:
        paper.cell(170, 20, text, align="R")
    page = picture(bytes(paper.output()))
    return page.crop(ImageChops.invert(page).getbbox())


def differ(one: Image.Image, other: Image.Image) -> int:
    """By how much the two differ most in a dot, of 255."""
    return int(ImageChops.difference(one, other.resize(one.size)).getextrema()[1])  # type: ignore[arg-type]


def test_arabic_letters_are_joined_and_go_from_right_to_left() -> None:
    joined = written("قطر", shaped=True)
    # As a typesetter would, from the left, by Unicode's presentation forms: reh final, tah medial, qaf initial.
    by_hand = written("\ufeae\ufec4\ufed7", shaped=False)
    apart = written("قطر", shaped=False)
    assert joined.size == by_hand.size
    assert differ(joined, by_hand) < SMOOTHING < differ(joined, apart)
