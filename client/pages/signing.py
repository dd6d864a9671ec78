"""Signing up, in and out, and what the links in our mails lead to."""

from flask import Response, request

from client import api
from client.calls import Json, Refused, new_key
from client.kernel.cookies import REFRESH_COOKIE
from client.kernel.forms import Form
from client.kernel.pages import Pages
from client.kernel.problems import Trouble
from client.kernel.sessions import begin_session, forget_session
from client.kernel.visits import Visit, own_path
from client.kernel.words import _
from shared.http.callers import ACCESS_COOKIE

pages = Pages()

AFTER = "/matches"


def _told(refused: Refused) -> str:
    trouble = Trouble.of(refused)
    return f"{_(trouble.title)}. {_(trouble.advice)}"


@pages.get("/sign-in")
def ask_to_sign_in(visit: Visit) -> Response:
    """The form; with `next`, where to go on."""
    return visit.render("sign_in.html", next=own_path(request.args.get("next"), AFTER))


@pages.post("/sign-in")
def sign_in(visit: Visit) -> Response:
    """Signs in."""
    form, after = visit.form, own_path(visit.form["next"], AFTER)
    if not form.require("email", "password"):
        return visit.render("sign_in.html", 422, next=after)
    try:
        tokens = api.sign_in(visit.calls, form["email"], form.values["password"])
    except Refused as refused:
        if refused.code not in ("wrong_credentials", "validation_failed", "rate_limited"):
            raise
        form.refuse(refused, _told(refused))
        return visit.render("sign_in.html", refused.status, next=after)
    begin_session(visit.jar, tokens)
    return visit.redirect(after, notice="signed_in")


@pages.get("/sign-up")
def ask_to_sign_up(visit: Visit) -> Response:
    """The form."""
    return visit.render("sign_up.html", key=new_key(), next=own_path(request.args.get("next"), AFTER))


@pages.post("/sign-up")
def sign_up(visit: Visit) -> Response:
    """Makes an account and signs in."""
    form, after = visit.form, own_path(visit.form["next"], AFTER)
    who: Json = {"email": form["email"], "password": form.values.get("password", ""), "language": visit.language.code}
    who |= {"country": form["country"]} if form["country"] else {}
    try:
        if not form.require("email", "password"):
            return visit.render("sign_up.html", 422, key=form["key"], next=after)
        tokens = api.sign_up(visit.calls, who, form["key"] or new_key())
    except Refused as refused:
        if refused.code not in ("validation_failed", "rate_limited"):
            raise
        form.refuse(refused, _told(refused))
        return visit.render("sign_up.html", refused.status, key=new_key(), next=after)
    begin_session(visit.jar, tokens)
    return visit.redirect(after, notice="signed_up")


@pages.post("/sign-out")
def sign_out(visit: Visit) -> Response:
    """Ends the session. The browser is signed out even when nobody can be told."""
    refresh_token = visit.jar.get(REFRESH_COOKIE)
    forget_session(visit.jar)
    try:
        api.sign_out(visit.calls, refresh_token)
    except Refused as refused:
        if refused.status >= 500:
            raise
    return visit.redirect("/matches", notice="signed_out")


@pages.get("/verify-email")
def ask_to_verify(visit: Visit) -> Response:
    """What the link in a mail leads to. A button, since programs follow links in mails, too."""
    visit.form = Form({"token": request.args.get("token", "")})
    return visit.render("verify_email.html")


@pages.post("/verify-email")
def verify(visit: Visit) -> Response:
    """Verifies the address: signed in, or with the password."""
    form = visit.form
    try:
        if not form.require("token"):
            return visit.render("verify_email.html", 422)
        api.verify_email(visit.calls, form["token"], form.values.get("password") or None)
    except Refused as refused:
        if refused.code not in ("invalid_token", "password_required", "wrong_credentials", "validation_failed"):
            raise
        form.refuse(refused, _told(refused))
        return visit.render("verify_email.html", refused.status)
    # The next token says that the address is verified.
    visit.jar.forget(ACCESS_COOKIE)
    return visit.redirect("/account" if visit.account else "/sign-in", notice="verified")


@pages.get("/forgot-password")
def ask_for_address(visit: Visit) -> Response:
    """The form."""
    return visit.render("forgot_password.html", key=new_key())


@pages.post("/forgot-password")
def forgot_password(visit: Visit) -> Response:
    """Has a mail sent; the answer is the same whoever has the address."""
    form = visit.form
    try:
        if not form.require("email"):
            return visit.render("forgot_password.html", 422, key=form["key"])
        api.forgot_password(visit.calls, form["email"], form["key"] or new_key())
    except Refused as refused:
        if refused.code not in ("validation_failed", "rate_limited"):
            raise
        form.refuse(refused, _told(refused))
        return visit.render("forgot_password.html", refused.status, key=new_key())
    return visit.redirect("/sign-in", notice="reset_mail_sent")


@pages.get("/reset-password")
def ask_for_password(visit: Visit) -> Response:
    """What the link in a mail leads to."""
    visit.form = Form({"token": request.args.get("token", "")})
    return visit.render("reset_password.html")


@pages.post("/reset-password")
def reset_password(visit: Visit) -> Response:
    """Sets the new password; all sessions end."""
    form = visit.form
    try:
        if not form.require("token", "password"):
            return visit.render("reset_password.html", 422)
        api.reset_password(visit.calls, form["token"], form.values["password"])
    except Refused as refused:
        if refused.code not in ("invalid_token", "validation_failed", "rate_limited"):
            raise
        form.refuse(refused, _told(refused))
        return visit.render("reset_password.html", refused.status)
    forget_session(visit.jar)
    return visit.redirect("/sign-in", notice="password_reset")
