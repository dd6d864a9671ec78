"""`python -m matchday.stripe_standin`."""

from matchday.stripe_standin.settings import StandinSettings
from shared.serve import main

if __name__ == "__main__":
    main("matchday.stripe_standin.app:create_app", StandinSettings, name="stripe-standin")
