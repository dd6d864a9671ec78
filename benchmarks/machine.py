"""The machine's facts that the numbers depend on."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import psutil
import psycopg

from matchday.paths import CHECKOUT
from matchday.servers.jars import read_lock

FSYNCS = 200
PAGE = b"\0" * 8192


def facts(database_url: str, disk: Path) -> dict[str, str]:
    """What to print with each table; `disk` is a folder of the file system that the servers write to."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "fsync": f"{fsync_microseconds(disk):,.0f} µs (median of {FSYNCS} times 8 kB and fdatasync)",
        "PostgreSQL": _postgres(database_url),
        "Kafka": _kafka(),
        "Python": platform.python_version(),
        "commit": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def fsync_microseconds(directory: Path) -> float:
    """Median time to write a page and wait until the disk has it."""
    path = directory / f"fsync-{os.getpid()}"
    sync = getattr(os, "fdatasync", os.fsync)
    times = []
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        for _ in range(FSYNCS):
            begun = time.perf_counter()
            os.pwrite(descriptor, PAGE, 0)
            sync(descriptor)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times) * 1e6


def _postgres(database_url: str) -> str:
    names = ("server_version", "fsync", "synchronous_commit")
    with psycopg.connect(database_url) as connection:
        values = [str(connection.execute(f"SHOW {name}".encode()).fetchall()[0][0]) for name in names]
    return f"{values[0]}, fsync {values[1]}, synchronous_commit {values[2]}"


def _kafka() -> str:
    versions = {jar.artifact: jar.version for jar in read_lock()}
    return next((version for name, version in versions.items() if name.startswith("kafka_")), "unknown")


def _commit() -> str:
    answer = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"
