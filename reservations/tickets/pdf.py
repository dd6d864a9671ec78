"""Tickets as they are printed: A4, one page a ticket, black on white; and the QR code alone as a picture.

A page is in its buyer's language, and stands the other way round where that is written from right to left. Letters are
joined and ordered as their script wants it by fpdf2 with HarfBuzz.
"""

import io
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import segno
from fpdf import FPDF

from reservations.languages import N_, Tongue, tongue
from reservations.tickets import words
from reservations.tickets.domain import Fixture, Sheet

FONT = "DejaVu"
# Letters of most of the world's scripts, as matplotlib carries them; nothing else of it is loaded.
FONTS = Path(str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf")))
# Joined letters of Latin script would be one letter for who searches in the file or copies from it.
FEATURES = {"liga": False}
MARGIN_MM = 20
WIDTH_MM = 210 - 2 * MARGIN_MM
NAMES_MM = 38
QR_MM = 82
QR_PIXELS_A_MODULE = 10
# M survives a fold or a stain over 15 % of the code.
QR_CORRECTION = "m"
GREY = 110
TITLE_POINTS = 30
TITLE_POINTS_MIN = 14
FOOT_MM = 130

TITLE = N_("{teams}, match {number}")
NUMBERED = N_("Ticket {number} of {of}")
STADIUM, KICK_OFF, CATEGORY, PRICE, TICKET = (
    N_("Stadium"), N_("Kick-off"), N_("Category"), N_("Price"), N_("Ticket"),
)  # fmt: skip
CODE_OF = N_("QR code of ticket {ticket}")
FOOT = N_(
    "Show this code at the gate, on paper or on a screen. It admits one person, once; whoever shows it first goes in."
    " Do not fold the paper through the code, and do not publish a picture of it."
)


def qr_png(code: str, pixels_a_module: int = QR_PIXELS_A_MODULE) -> bytes:
    """The QR code as a PNG with the quiet zone that scanners want."""
    picture = io.BytesIO()
    segno.make_qr(code, error=QR_CORRECTION).save(picture, kind="png", scale=pixels_a_module)
    return picture.getvalue()


def print_tickets(sheets: Sequence[Sheet], site: str) -> bytes:
    """The tickets of one reservation as one PDF; `site` is whose they are."""
    paper, fixture = Paper(tongue(sheets[0].language)), sheets[0].fixture
    paper.set_title(paper.say(TITLE, teams=words.teams(paper.tongue, fixture), number=fixture.match_number))
    paper.set_author(site)
    paper.set_creation_date(sheets[0].ticket.issued_at)
    for sheet in sheets:
        _page(paper, sheet, site)
    return bytes(paper.output())


class Paper(FPDF):
    """A4 in one language: places are counted from where its lines begin, in millimetres."""

    def __init__(self, language: Tongue) -> None:
        super().__init__(format="A4")
        self.tongue = language
        self.begin, self.end = ("R", "L") if language.direction == "rtl" else ("L", "R")
        self.add_font(FONT, "", FONTS / "DejaVuSans.ttf")
        self.add_font(FONT, "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_lang(language.code)
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(False)

    def say(self, text: str, **values: object) -> str:
        """One of our own texts, in the paper's language."""
        return self.tongue.say(text, **values)

    def write_line(self, text: str, height: float, start: float = 0, *, at_end: bool = False, own: bool = True) -> None:
        """Text in the current font from `start` to the other margin, on as many lines as it needs.

        `own`: it is in the paper's language; else it is a name, in whatever direction its letters go.
        """
        self.set_text_shaping(True, FEATURES, self.tongue.direction if own else None)
        width = WIDTH_MM - start
        self.set_x(MARGIN_MM + (start if self.begin == "L" else 0))
        align = self.end if at_end else self.begin
        self.multi_cell(width, height, text, align=align, new_x="LMARGIN", new_y="NEXT")


def _page(paper: Paper, sheet: Sheet, site: str) -> None:
    paper.add_page()
    _head(paper, sheet, site)
    _title(paper, sheet.fixture)
    _facts(paper, sheet)
    _code(paper, sheet)
    _foot(paper)


def _head(paper: Paper, sheet: Sheet, site: str) -> None:
    paper.set_font(FONT, "", 11)
    top = paper.get_y()
    paper.write_line(f"{paper.say(NUMBERED, number=sheet.ticket.number, of=sheet.of)} · {site}", 6)
    paper.set_y(top)
    paper.write_line(paper.say(words.MATCH, number=sheet.fixture.match_number), 6, at_end=True)
    paper.set_line_width(0.8)
    paper.line(MARGIN_MM, paper.get_y() + 2, MARGIN_MM + WIDTH_MM, paper.get_y() + 2)
    paper.ln(9)


def _title(paper: Paper, fixture: Fixture) -> None:
    teams = words.teams(paper.tongue, fixture)
    paper.set_font(FONT, "B", _fitting(paper, teams))
    paper.write_line(teams, paper.font_size * 1.25)
    paper.set_font(FONT, "", 13)
    paper.set_text_color(GREY)
    paper.write_line(words.stage(paper.tongue, fixture), 8)
    paper.set_text_color(0)
    paper.ln(5)


def _fitting(paper: Paper, text: str) -> int:
    """The largest size, in points, at which the text stands on one line; long names take two at the smallest."""
    paper.set_text_shaping(True, FEATURES)
    for points in range(TITLE_POINTS, TITLE_POINTS_MIN, -2):
        paper.set_font(FONT, "B", points)
        if paper.get_string_width(text) <= WIDTH_MM - 2:
            return points
    return TITLE_POINTS_MIN


def _facts(paper: Paper, sheet: Sheet) -> None:
    fixture, ticket = sheet.fixture, sheet.ticket
    _fact(paper, STADIUM, words.place(paper.tongue, fixture))
    _fact(paper, KICK_OFF, *words.kick_off(paper.tongue, fixture.date_utc, fixture.zone), own=True)
    _fact(paper, CATEGORY, paper.tongue.number(ticket.category))
    _fact(paper, PRICE, paper.tongue.amount(sheet.price, sheet.currency))
    _fact(paper, TICKET, ticket.id)
    paper.ln(6)


def _fact(paper: Paper, name: str, *lines: str, own: bool = False) -> None:
    top = paper.get_y()
    paper.set_font(FONT, "", 11)
    paper.set_text_color(GREY)
    paper.write_line(paper.say(name), 8)
    paper.set_y(top)
    paper.set_text_color(0)
    paper.set_font(FONT, "B", 12)
    for line in lines:
        paper.write_line(line, 8, NAMES_MM, own=own)


def _code(paper: Paper, sheet: Sheet) -> None:
    left = MARGIN_MM + (WIDTH_MM - QR_MM) / 2
    top = paper.get_y()
    alternative = paper.say(CODE_OF, ticket=sheet.ticket.id)
    paper.image(io.BytesIO(qr_png(sheet.code)), left, top, QR_MM, QR_MM, alt_text=alternative)
    paper.set_y(top + QR_MM)


def _foot(paper: Paper) -> None:
    paper.set_font(FONT, "", 10)
    paper.set_text_shaping(True, FEATURES, paper.tongue.direction)
    paper.set_x(MARGIN_MM + (WIDTH_MM - FOOT_MM) / 2)
    paper.multi_cell(FOOT_MM, 5.5, paper.say(FOOT), align="C", new_x="LMARGIN", new_y="NEXT")
