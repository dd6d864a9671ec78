#!/bin/sh
# What has to be there before a site's services start: secrets, schema, topics, master list. Safe to run again.
set -eu
umask 077
for name in service-token token-secret ticket-keys users-secret analytics-secret; do
    [ -s "/run/matchday/$name" ] ||
        python -c 'import secrets; print(secrets.token_urlsafe(32), end="")' >"/run/matchday/$name"
done
[ -s /run/matchday/stripe-secret-key ] ||
    python -c 'import secrets; print("sk_test_" + secrets.token_hex(24), end="")' >/run/matchday/stripe-secret-key
[ -s /run/matchday/stripe-webhook-secret ] ||
    python -c 'import secrets; print("whsec_" + secrets.token_hex(24), end="")' >/run/matchday/stripe-webhook-secret
python -m matchday.migrate
python -m matchday.broker_setup
