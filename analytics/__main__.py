"""`python -m analytics`: the HTTP service."""

from analytics.settings import AnalyticsSettings
from shared.serve import main

if __name__ == "__main__":
    main("analytics.app:create_app", AnalyticsSettings, name="analytics")
