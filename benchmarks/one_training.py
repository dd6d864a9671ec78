"""One training as the trainer does it, measured: `python -m benchmarks.one_training`, settings from the environment."""

import json
import resource
import sys
import time
from pathlib import Path

from analytics.lake.lake import Lake
from analytics.recommender.loop import Trainer
from analytics.recommender.registry import Registry
from analytics.recommender.trainer_settings import TrainerSettings
from shared import logs
from shared.clock import SystemClock
from shared.settings import load

LINUX_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most main memory that this process has had."""
    if LINUX_STATUS.exists():
        # What `getrusage` says there may be the parent's: it outlives the exec.
        (line,) = [line for line in LINUX_STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    settings = load(TrainerSettings)
    logs.configure("one-training", settings.log_level)
    lake, registry = Lake(settings.lake_uri, settings.storage()), Registry(settings.model_folder)
    before, begun = peak_bytes(), time.perf_counter()
    trained = Trainer(lake, registry, settings, SystemClock()).once()
    seconds = time.perf_counter() - begun
    if trained is None or not trained.promoted:
        sys.exit(f"no model to serve: {trained.report['verdict'] if trained else 'too little to learn from'}")
    found = {
        "version": trained.version,
        "events": sum(trained.report["events"].values()),
        "seconds": seconds,
        "bytesBefore": before,
        "peakBytes": peak_bytes(),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
