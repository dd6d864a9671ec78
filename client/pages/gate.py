"""The scanner: a code from the camera or typed, and a large answer. For who works at the gate alone."""

import re
from dataclasses import dataclass

from flask import Response, request

from client import api, market
from client.calls import Calls, Json, Refused, new_key
from client.kernel.forms import Form
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import N_, _
from shared.http.callers import roles

pages = Pages()

STAFF = roles("gate", "admin")
SCANNER = re.compile(r"[A-Za-z0-9 ._:@-]{1,64}")
CODE_LONGEST = 1000
# What a scan comes to, beside that somebody goes in: title and advice.
REFUSALS = {
    "already_admitted": (N_("Already in"), N_("Somebody has gone in with this ticket before.")),
    "wrong_match": (N_("Another match"), N_("The ticket is good, but not for this match. It is not used up.")),
    "ticket_void": (N_("Not valid any more"), N_("The ticket was sold on, given back or refunded.")),
    "invalid_ticket": (N_("Not a ticket"), N_("This site has not issued this code.")),
}
NO_ANSWER = (N_("No answer"), N_("Nobody knows yet whether this ticket counts. Ask again: it is the same scan."))


@dataclass(frozen=True)
class Result:
    """What the scanner shows of one scan; the words are translated."""

    kind: str  # admitted, refused, or unknown
    title: str
    advice: str
    ticket: Json | None = None  # who goes in with what
    problem: Json | None = None  # of a refusal: its members


@pages.get("/gate", access=STAFF)
def show_scanner(visit: Visit) -> Response:
    """Waits for a code; gate and match stay as they were given."""
    visit.form = Form({name: request.args.get(name, "") for name in ("scanner", "matchNumber")})
    return _draw(visit, None)


@pages.post("/gate", access=STAFF, limit="gate")
def scan(visit: Visit) -> Response:
    """Asks whether to let somebody in, and shows the answer above the field for the next one."""
    form = visit.form
    if not _is_complete(form):
        return _draw(visit, None, 422)
    wish: Json = {"code": form["code"]}
    wish |= {"scanner": form["scanner"]} if form["scanner"] else {}
    wish |= {"matchNumber": form.number("matchNumber")} if form["matchNumber"] else {}
    try:
        admitted = market.verify(visit.calls, wish, form["key"] or new_key())
    except Refused as refused:
        return _refused(visit, refused)
    words = _("Category %(number)s", number=admitted["category"])
    return _draw_next(visit, Result("admitted", _("Let in"), words, ticket=admitted))


def _is_complete(form: Form) -> bool:
    form.require("code")
    if len(form["code"]) > CODE_LONGEST:
        form.errors["code"] = _("This is not a ticket's code.")
    if form["scanner"] and not SCANNER.fullmatch(form["scanner"]):
        form.errors["scanner"] = _("Letters, digits and blanks only, please.")
    if form["matchNumber"] and not form.number("matchNumber"):
        form.errors["matchNumber"] = _("This is not the number of a match.")
    return not form.errors


def _refused(visit: Visit, refused: Refused) -> Response:
    if refused.code in REFUSALS:
        title, advice = REFUSALS[refused.code]
        result = Result("refused", _(title), _(advice), problem=dict(refused.problem))
        return _draw_next(visit, result, refused.status)
    if refused.status < 500 and refused.code != "rate_limited":
        raise refused
    # Asked again with the same key, the same scan is answered the same, even if it had been counted.
    return _draw(visit, Result("unknown", _(NO_ANSWER[0]), _(NO_ANSWER[1])), refused.status)


def _draw_next(visit: Visit, result: Result, status: int = 200) -> Response:
    """With an empty field: this code is done with."""
    for name in ("code", "key"):
        visit.form.values.pop(name, None)
    return _draw(visit, result, status)


def _draw(visit: Visit, result: Result | None, status: int = 200) -> Response:
    number = visit.form.number("matchNumber")
    match = _match(visit.calls, number) if number else None
    key = visit.form["key"] or new_key()
    return visit.render("gate.html", status, result=result, match=match, key=key)


def _match(calls: Calls, number: int) -> Json | None:
    """Only for its name above the field: the gate goes on without the shop."""
    try:
        return api.match(calls, number)
    except Refused:
        return None
