"""The routes of the service, by part."""

from analytics.lake.routes import internal as lake

__all__ = ["lake"]
