"""`python -m analytics.trainer`: trains a model of what the lake has now, again after a pause. One trains at a time."""

import signal

from analytics.lake.lake import Lake
from analytics.recommender.loop import Trainer
from analytics.recommender.registry import Registry
from analytics.recommender.trainer_settings import TrainerSettings
from shared import logs, memory
from shared.clock import SystemClock
from shared.settings import load


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(TrainerSettings)
    logs.configure("analytics-trainer", settings.log_level)
    lake = Lake(settings.lake_uri, settings.storage())
    trainer = Trainer(lake, Registry(settings.model_folder), settings, SystemClock())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: trainer.stop())
    memory.settle()
    trainer.run()


if __name__ == "__main__":
    main()
