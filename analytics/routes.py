"""The routes of the service, by part."""

from analytics.erasure.routes import internal as erasure
from analytics.figures.routes import statistics
from analytics.lake.routes import internal as lake

__all__ = ["erasure", "lake", "statistics"]
