"""Runs an app behind granian: a main process that supervises, a worker process that answers.

`python -m shop` comes here. The main process opens the port, starts the worker, starts another when it
dies, and on SIGTERM or SIGINT lets it finish what is in flight for a bounded time. The worker dies with
the main process, however that one ends.
"""

import ctypes
import functools
import importlib
import multiprocessing.util
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from shared import logs, memory
from shared.quiet import QuietConnections
from shared.settings import HttpSettings, load

log = structlog.get_logger(__name__)

STOP_SECONDS_MAX = 10
HEADER_SECONDS_MAX = 15
HEAD_BYTES_MAX = 65_536  # request line and headers
IDLE_CONNECTIONS_MAX = 1024
OTHER_FILES = 256
BACKLOG = 1024
PARENT_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def serve(factory: str, settings: HttpSettings, *, name: str, streams: int = 0) -> None:
    """Serves until told to stop; `factory` is "module:function", called in the worker with the settings.

    `streams` is how many long-lived responses may be open beside the `http_threads` ordinary requests.
    Ends the process with exit code 0 after a stop that was asked for, 1 when the worker cannot live.
    """
    logs.configure(name, settings.log_level)
    threads = settings.http_threads + streams
    server = Server(
        factory,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        http=HTTPModes.http1,
        websockets=False,
        blocking_threads=threads,
        # Connections, also idle ones, that the worker accepts; the kernel's queue holds further ones.
        backpressure=threads + IDLE_CONNECTIONS_MAX,
        backlog=BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1000, max_buffer_size=HEAD_BYTES_MAX),
        log_level=LogLevels.error,
        log_dictconfig=_GRANIAN_LOGS,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS_MAX,
    )
    _allow_files(threads + IDLE_CONNECTIONS_MAX + OTHER_FILES)
    log.info("serving", host=settings.host, port=settings.port, threads=threads, pid=os.getpid())
    loader = functools.partial(_load, factory, settings, name, os.getpid())
    try:
        server.serve(target_loader=loader, wrap_loader=False)
    finally:
        log.info("stopped", asked=server.interrupt_signal)
        if server.interrupt_signal:
            # Granian calls it a failure when the worker heard a ctrl-C first; it is not one.
            sys.exit(0)
    sys.exit(1)


# Granian's messages go to the root logger, which `logs.configure` has set up.
_GRANIAN_LOGS = {
    "handlers": {},
    "formatters": {},
    "loggers": {"_granian": {"level": "ERROR", "propagate": True}},
}


def main(factory: str, settings: type[HttpSettings], *, name: str, streams: Callable[[Any], int] | None = None) -> None:
    """The whole of a service's `__main__.py`."""
    loaded = load(settings)
    serve(factory, loaded, name=name, streams=streams(loaded) if streams else 0)


def _allow_files(wanted: int) -> None:
    """Lets this process and its worker have as many connections as they are configured for, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < wanted:
        log.warning("few_files", wanted=wanted, allowed=limit)


def _load(factory: str, settings: HttpSettings, name: str, main_pid: int) -> Any:
    """Makes the app; runs in the worker."""
    die_with(main_pid)
    # Until granian has set its own handlers, a stop must stop; ctrl-C is for the main process alone.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    logs.configure(name, settings.log_level)
    module, _, attribute = factory.partition(":")
    app = getattr(importlib.import_module(module), attribute)(settings)
    memory.settle()
    _call_on_stop(app.stop)
    multiprocessing.util.Finalize(None, app.end, exitpriority=1)
    _hide_environment()
    QuietConnections(settings.port, settings.quiet_seconds_max).start()
    return app


def _hide_environment() -> None:
    """Granian copies the process' environment into every request's, where HTTP_THREADS would be a header."""
    for name in [name for name in os.environ if name.startswith(("HTTP_", "CONTENT_"))]:
        del os.environ[name]


def die_with(parent_pid: int) -> None:
    """Makes this process end at once when its parent has ended, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)
    if sys.platform != "linux":
        threading.Thread(target=_watch_parent, args=(parent_pid,), name="watch-parent", daemon=True).start()


def _watch_parent(parent_pid: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent_pid:
        pause.wait(PARENT_POLL_SECONDS)
    os._exit(1)


def _call_on_stop(callback: Callable[[], None]) -> None:
    """Calls back as soon as SIGTERM arrives. Granian sets the handler after us, so we listen beside it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while os.read(reading, 1) != bytes([signal.SIGTERM]):
            pass
        callback()

    threading.Thread(target=wait, name="wait-for-stop", daemon=True).start()
