"""The routes of the service, by part."""

from analytics.figures.routes import statistics
from analytics.lake.routes import internal as lake

__all__ = ["lake", "statistics"]
