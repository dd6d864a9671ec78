"""What a page says once after a form was sent: `visit.redirect(path, notice="signed_in")`."""

from client.kernel.words import N_

NOTICES = {
    "signed_in": N_("You are signed in."),
    "signed_up": N_("Welcome! We have sent you a mail: the link in it shows that the address is yours."),
    "signed_out": N_("You are signed out."),
    "sign_in_again": N_("Please sign in once more: for this we need to be sure that it is you."),
    "mail_sent": N_("The mail is on its way."),
    "reset_mail_sent": N_("If somebody has an account with this address, a mail is on its way."),
    "verified": N_("Your e-mail address is confirmed."),
    "password_reset": N_("Your new password is set. Sign in with it."),
    "password_changed": N_("Your password is changed. All other sessions have ended."),
    "profile_saved": N_("Saved."),
    "session_ended": N_("The session has ended."),
    "account_deleted": N_("Your account is deleted. Tickets that you bought stay valid."),
    "cancelled": N_("The tickets have gone back. Nothing was charged."),
    "listed": N_("Your ticket is on offer. It stays valid until somebody has paid for it."),
    "repriced": N_("The price is changed."),
    "unlisted": N_("The ticket is not on offer any more. It is yours as before."),
    "opened": N_("Here is your reservation."),
}
