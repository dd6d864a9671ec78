"""The trainer's rounds: one training after the other, none when the lake has nothing new."""

import threading
from typing import Any

import structlog
from deltalake.exceptions import TableNotFoundError

from analytics.lake.lake import Lake, LakeUnavailable
from analytics.recommender.dataset import positions
from analytics.recommender.registry import Registry
from analytics.recommender.trainer_settings import TrainerSettings
from analytics.recommender.training import Trained, train
from shared.clock import Clock
from shared.errors import in_a_line

log = structlog.get_logger(__name__)


class Trainer:
    """Trains until it is stopped. What fails is told and tried again after the pause; a bug ends the process."""

    def __init__(self, lake: Lake, registry: Registry, settings: TrainerSettings, clock: Clock) -> None:
        self._lake = lake
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._stopped = threading.Event()
        self._seen: dict[str, Any] | None = None

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopped.is_set():
            try:
                self.once()
            except (LakeUnavailable, TableNotFoundError, OSError) as error:
                log.warning("training_put_off", error=in_a_line(error))
            self._stopped.wait(self._settings.trainer_pause_seconds)

    def once(self) -> Trained | None:
        """One round; None when there was nothing new, too little, or when another one trains."""
        found = positions(self._lake)
        if found == self._seen:
            return None
        with self._registry.alone() as is_alone:
            if not is_alone:
                return None
            trained = train(self._lake, self._registry, self._settings, self._clock.now())
        self._seen = found
        return trained

    def stop(self) -> None:
        self._stopped.set()
