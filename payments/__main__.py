"""`python -m payments`: the HTTP service."""

from payments.settings import PaymentsSettings
from shared.serve import main

if __name__ == "__main__":
    main("payments.app:create_app", PaymentsSettings, name="payments")
