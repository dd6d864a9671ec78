"""Who used the processor during a measurement: CPU time of each watched process with all its children."""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

BUSY_MACHINE = 0.9  # of all cores: nothing runs faster until something costs less
BUSY_THREAD = 0.85  # of one core: a Python process runs one thread at a time
OTHERS = "others"
GENERATOR = "load generator"


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds by process within `seconds` of wall time; `others` is what did not belong to us."""

    seconds: float
    cpu: Mapping[str, float]
    cores: int

    def shares(self) -> dict[str, float]:
        """Of each process the cores it kept busy: 0.5 is half a core."""
        return {name: cpu / self.seconds for name, cpu in self.cpu.items()}

    def microseconds(self, work: float) -> dict[str, float]:
        """CPU microseconds of each process for each of `work` pieces of work."""
        return {name: cpu * 1e6 / work for name, cpu in self.cpu.items()} if work else {}


class Usage:
    """`with Usage({"kafka": pid, …}) as usage: …` then `usage.used`.

    What ends within the block is added by hand: `usage.also["load generator"] = cpu_seconds`.
    """

    def __init__(self, watched: Mapping[str, int]) -> None:
        self.also: dict[str, float] = {}
        self._roots = {name: psutil.Process(pid) for name, pid in watched.items()}
        self.used = Used(0.0, {}, os.cpu_count() or 1)

    def __enter__(self) -> "Usage":
        self._before = {name: _tree_seconds(root) for name, root in self._roots.items()}
        self._machine = _machine_seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        seconds = time.perf_counter() - self._began
        machine = _machine_seconds() - self._machine
        cpu = {name: max(0.0, _tree_seconds(root) - self._before[name]) for name, root in self._roots.items()}
        cpu |= self.also
        cpu[OTHERS] = max(0.0, machine - sum(cpu.values()))
        self.used = Used(seconds, cpu, self.used.cores)


def _tree_seconds(root: psutil.Process) -> float:
    """Of the process, its living descendants and those that it has buried."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def what_limits(used: Used) -> str:
    """What kept it from going faster, as far as the processor tells."""
    shares = used.shares()
    busiest = sorted(shares.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {share:.2f}" for name, share in busiest if share >= 0.05)
    busy = sum(shares.values())
    ours = [(name, share) for name, share in busiest if name not in (OTHERS, GENERATOR)]
    if busy >= BUSY_MACHINE * used.cores:
        return f"the processor: {busy:.2f} of {used.cores} cores are busy ({told})"
    if ours and ours[0][1] >= BUSY_THREAD:
        return f"one thread: {ours[0][0]} keeps a core busy ({told}; {busy:.2f} of {used.cores} cores in all)"
    return f"waiting (disk, round trips, clients): {busy:.2f} of {used.cores} cores are busy ({told})"
