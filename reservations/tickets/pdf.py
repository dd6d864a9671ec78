"""Tickets as they are printed: A4, one page a ticket, black on white; and the QR code alone as a picture."""

import io
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import segno
from fpdf import FPDF

from reservations.tickets.domain import Fixture, Sheet

FONT = "DejaVu"
# Letters of most of the world's scripts, as matplotlib carries them; nothing else of it is loaded.
FONTS = Path(str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf")))
MARGIN_MM = 20
WIDTH_MM = 210 - 2 * MARGIN_MM
QR_MM = 82
QR_PIXELS_A_MODULE = 10
# M survives a fold or a stain over 15 % of the code.
QR_CORRECTION = "m"
GREY = 110
TITLE_POINTS = 30
TITLE_POINTS_MIN = 14
NAME_CHARS_MAX = 60
FOOT_MM = 130


def qr_png(code: str, pixels_a_module: int = QR_PIXELS_A_MODULE) -> bytes:
    """The QR code as a PNG with the quiet zone that scanners want."""
    picture = io.BytesIO()
    segno.make_qr(code, error=QR_CORRECTION).save(picture, kind="png", scale=pixels_a_module)
    return picture.getvalue()


def print_tickets(sheets: Sequence[Sheet], site: str) -> bytes:
    """The tickets as one PDF; `site` is whose they are."""
    first = sheets[0]
    pdf = FPDF(format="A4")
    pdf.add_font(FONT, "", FONTS / "DejaVuSans.ttf")
    pdf.add_font(FONT, "B", FONTS / "DejaVuSans-Bold.ttf")
    pdf.set_title(f"{_teams(first.fixture)}, match {first.fixture.match_number}")
    pdf.set_author(site)
    pdf.set_lang("en")
    pdf.set_creation_date(first.ticket.issued_at)
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(False)
    for sheet in sheets:
        _page(pdf, sheet, site)
    return bytes(pdf.output())


def _page(pdf: FPDF, sheet: Sheet, site: str) -> None:
    pdf.add_page()
    fixture = sheet.fixture
    _head(pdf, f"{site} · ticket {sheet.ticket.number} of {sheet.of}", f"Match {fixture.match_number}")
    _title(pdf, fixture)
    _facts(pdf, sheet)
    _code(pdf, sheet)
    _foot(pdf)


def _head(pdf: FPDF, left: str, right: str) -> None:
    pdf.set_font(FONT, "", 11)
    pdf.cell(WIDTH_MM / 2, 6, left)
    pdf.cell(WIDTH_MM / 2, 6, right, align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.set_line_width(0.8)
    pdf.line(MARGIN_MM, pdf.get_y() + 2, MARGIN_MM + WIDTH_MM, pdf.get_y() + 2)
    pdf.ln(9)


def _title(pdf: FPDF, fixture: Fixture) -> None:
    pdf.set_font(FONT, "B", _fitting(pdf, _teams(fixture)))
    pdf.multi_cell(WIDTH_MM, pdf.font_size * 1.25, _teams(fixture), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(FONT, "", 13)
    pdf.set_text_color(GREY)
    pdf.cell(WIDTH_MM, 8, fixture.stage, new_x="LMARGIN", new_y="NEXT")
    pdf.set_text_color(0)
    pdf.ln(5)


def _fitting(pdf: FPDF, text: str) -> int:
    """The largest size, in points, at which the text stands on one line; long names take two at the smallest."""
    for points in range(TITLE_POINTS, TITLE_POINTS_MIN, -2):
        pdf.set_font(FONT, "B", points)
        if pdf.get_string_width(text) <= WIDTH_MM - 2:
            return points
    return TITLE_POINTS_MIN


def _facts(pdf: FPDF, sheet: Sheet) -> None:
    fixture, ticket = sheet.fixture, sheet.ticket
    stadium = _short(fixture.stadium)
    place = f"{stadium}, {fixture.city}" if fixture.city else stadium
    for name, value in (
        ("Stadium", place),
        ("Kick-off", kick_off(fixture.date_utc, fixture.zone)),
        ("Category", str(ticket.category)),
        ("Price", f"{sheet.price:.2f} {sheet.currency}"),
        ("Ticket", ticket.id),
    ):
        pdf.set_font(FONT, "", 11)
        pdf.set_text_color(GREY)
        pdf.cell(32, 8, name)
        pdf.set_text_color(0)
        pdf.set_font(FONT, "B", 12)
        pdf.multi_cell(WIDTH_MM - 32, 8, value, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)


def kick_off(moment: datetime, zone: str | None) -> str:
    """The moment by the stadium's clocks and in UTC; in UTC alone where nobody knows the stadium's."""
    utc = f"{moment:%H:%M} UTC"
    try:
        local = moment.astimezone(ZoneInfo(zone)) if zone else None
    except ZoneInfoNotFoundError:
        local = None
    if local is None:
        return f"{_day(moment)}, {utc}"
    other_day = "" if local.date() == moment.date() else f"{_day(moment)}, "
    return f"{_day(local)}, {local:%H:%M} local time\n({other_day}{utc})"


def _day(moment: datetime) -> str:
    return f"{moment:%A}, {moment.day} {moment:%B %Y}"


def _code(pdf: FPDF, sheet: Sheet) -> None:
    left = MARGIN_MM + (WIDTH_MM - QR_MM) / 2
    top = pdf.get_y()
    alternative = f"QR code of ticket {sheet.ticket.id}"
    pdf.image(io.BytesIO(qr_png(sheet.code)), left, top, QR_MM, QR_MM, alt_text=alternative)
    pdf.set_y(top + QR_MM)


def _foot(pdf: FPDF) -> None:
    pdf.set_font(FONT, "", 10)
    text = (
        "Show this code at the gate, on paper or on a screen. It admits one person, once; whoever shows it first goes"
        " in. Do not fold the paper through the code, and do not publish a picture of it."
    )
    pdf.set_x(MARGIN_MM + (WIDTH_MM - FOOT_MM) / 2)
    pdf.multi_cell(FOOT_MM, 5.5, text, align="C", new_x="LMARGIN", new_y="NEXT")


def _teams(fixture: Fixture) -> str:
    return f"{_short(fixture.home_team)} – {_short(fixture.away_team)}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARS_MAX else f"{name[: NAME_CHARS_MAX - 1]}…"
