"""`python -m reservations`: the HTTP service."""

from reservations.settings import ReservationsSettings
from shared.serve import main

if __name__ == "__main__":
    main("reservations.app:create_app", ReservationsSettings, name="reservations")
