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
    "password_first": N_("Please give your password first, then do it once more."),
    "password_taken": N_("Thank you. You have some minutes now."),
    "replayed": N_("The record counts now."),
    "entry_added": N_("The entry is on the list; every process goes by it within a second."),
    "entry_removed": N_("The entry is off the list."),
    "refunded": N_("The refund is written down; its status is below."),
    "listing_ended": N_("The offer has ended; its seller sees that the site did it."),
    "paid_out": N_("The payout is in the books."),
    "roles_set": N_("The roles are changed; they count from the next sign-in or renewal on."),
    "room_changed": N_("The waiting room is changed."),
    "opened": N_("Here is your reservation."),
}
