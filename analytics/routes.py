"""The routes of the service, by part."""

from analytics.erasure.routes import internal as erasure
from analytics.figures.routes import statistics
from analytics.lake.routes import internal as lake
from analytics.recommender.routes import internal as recommendations

__all__ = ["erasure", "lake", "recommendations", "statistics"]
