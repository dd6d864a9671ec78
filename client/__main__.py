"""`python -m client`: the pages."""

from client.settings import ClientSettings
from shared.serve import main

if __name__ == "__main__":
    main("client.app:create_app", ClientSettings, name="client", streams=lambda settings: settings.live_relays_max)
