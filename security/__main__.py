"""`python -m security`: the HTTP service."""

from security.settings import SecuritySettings
from shared.serve import main

if __name__ == "__main__":
    main("security.app:create_app", SecuritySettings, name="security")
