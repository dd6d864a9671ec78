"""Tickets on paper: what is printed can be read by people and by scanners."""

import io
import secrets
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from PIL import Image
from pypdf import PdfReader

from reservations.languages import tongue
from reservations.tickets.codes import TicketCodes, read_seeds
from reservations.tickets.domain import Fixture, Sheet, Ticket, TicketState
from reservations.tickets.pdf import print_tickets, qr_png
from reservations.tickets.words import kick_off
from tests.tickets import page_texts, scan_pages, scan_picture

CODES = TicketCodes(read_seeds(secrets.token_urlsafe(32)), "matchday")
KICK_OFF = datetime(2022, 11, 26, 19, tzinfo=UTC)
A4_POINTS = (595.28, 841.89)


def sheet(number: int = 1, home: str = "Argentina", away: str = "Mexico", stadium: str = "Lusail Stadium") -> Sheet:
    ticket = Ticket(str(uuid.uuid4()), str(uuid.uuid4()), number, 24, 2, TicketState.VALID, KICK_OFF)
    fixture = Fixture(24, "C", "C", home, away, stadium, "Lusail", "Asia/Qatar", KICK_OFF)
    return Sheet(ticket, 2, CODES.sign(ticket), fixture, Decimal("125.00"), "USD")


def test_each_ticket_has_a_page_of_a4_with_all_that_its_holder_needs() -> None:
    sheets = [sheet(1), sheet(2)]
    pdf = print_tickets(sheets, "matchday")
    pages = PdfReader(io.BytesIO(pdf)).pages
    assert [(float(page.mediabox.width), float(page.mediabox.height)) for page in pages] == [
        pytest.approx(A4_POINTS, abs=0.1)
    ] * 2
    for one, text in zip(sheets, page_texts(pdf), strict=True):
        for said in ("Argentina – Mexico", "Group C", "Match 24", "Lusail Stadium, Lusail", "125.00 USD"):
            assert said in text.replace("\xa0", " ")
        assert "Saturday, November 26, 2022, 22:00 local time" in text
        assert "19:00 UTC" in text
        assert one.ticket.id in text
        assert f"Ticket {one.ticket.number} of 2" in text


@pytest.mark.parametrize("dpi", [75, 120, 300])
def test_a_scanner_reads_from_each_page_the_code_of_its_ticket(dpi: int) -> None:
    sheets = [sheet(1), sheet(2)]
    assert scan_pages(print_tickets(sheets, "matchday"), dpi) == [[one.code] for one in sheets]


def test_the_picture_of_a_code_can_be_scanned_and_has_its_quiet_zone() -> None:
    code = sheet().code
    picture = Image.open(io.BytesIO(qr_png(code, 4))).convert("L")
    assert scan_picture(qr_png(code)) == [code]
    assert set(picture.crop((0, 0, picture.width, 16)).tobytes()) == {255}


@pytest.mark.parametrize(
    ("home", "away"),
    [
        ("Bosna i Hercegovina", "Česko"),
        ("Ελλάδα", "Україна"),
        ("Côte d’Ivoire", "Türkiye"),
        ("Việt Nam", "Österreich"),
    ],
)
def test_names_of_many_languages_can_be_printed(home: str, away: str) -> None:
    (text,) = page_texts(print_tickets([sheet(home=home, away=away)], "matchday"))
    assert f"{home} – {away}" in " ".join(text.split())


def test_names_as_long_as_a_master_list_may_have_leave_the_code_on_the_page() -> None:
    long = sheet(home="H" * 200, away="A " * 100, stadium="S" * 200)
    assert scan_pages(print_tickets([long], "matchday")) == [[long.code]]


@pytest.mark.parametrize(
    ("hour", "zone", "said"),
    [
        (19, "Asia/Qatar", "Saturday, November 26, 2022, 22:00 local time (19:00 UTC)"),
        (22, "Asia/Qatar", "Sunday, November 27, 2022, 01:00 local time (Saturday, November 26, 2022, 22:00 UTC)"),
        (19, "America/Mexico_City", "Saturday, November 26, 2022, 13:00 local time (19:00 UTC)"),
        (19, None, "Saturday, November 26, 2022, 19:00 UTC"),
        (19, "Nowhere/Atlantis", "Saturday, November 26, 2022, 19:00 UTC"),
    ],
)
def test_the_kick_off_is_told_by_the_stadiums_clocks_and_in_utc(hour: int, zone: str | None, said: str) -> None:
    assert " ".join(kick_off(tongue("en"), datetime(2022, 11, 26, hour, tzinfo=UTC), zone)) == said
