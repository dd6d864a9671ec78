"""Baseline of the reads: Flask's empty route behind the same server with the same settings as the shop.

`python -m benchmarks.empty_app`, settings from the environment.
"""

from flask import Flask

from shared.serve import main
from shared.settings import HttpSettings
from shop.settings import ShopSettings


class EmptyApp(Flask):
    """What the server asks of an app, and nothing else."""

    def stop(self) -> None:
        """Nothing is under way."""

    def end(self) -> None:
        """Nothing is open."""


def create_app(settings: HttpSettings) -> EmptyApp:  # noqa: ARG001 - the server hands them in
    app = EmptyApp(__name__, static_folder=None, template_folder=None)
    app.add_url_rule("/", "empty", lambda: b"")
    app.add_url_rule("/health/ready", "ready", lambda: {"ready": True})
    return app


if __name__ == "__main__":
    viewers_max = ShopSettings.model_fields["sse_viewers_max"].default
    main("benchmarks.empty_app:create_app", HttpSettings, name="empty", streams=lambda _: viewers_max)
