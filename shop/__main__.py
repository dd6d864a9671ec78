"""`python -m shop`: the HTTP service."""

from shared.serve import main
from shop.settings import ShopSettings

if __name__ == "__main__":
    main("shop.app:create_app", ShopSettings, name="shop", streams=lambda settings: settings.sse_viewers_max)
