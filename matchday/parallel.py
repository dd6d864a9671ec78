"""Several slow steps at the same time, ended together."""

import threading
from collections.abc import Callable, Sequence

from matchday.errors import StopRequested
from matchday.stopping import Stop


def side_by_side(steps: Sequence[Callable[[], None]], stop: Stop) -> None:
    """Run the steps in threads until all have ended; the first failure stops the others and is raised.

    Every step must end soon once `stop` is set.
    """
    failures: list[BaseException] = []

    def run(step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            failures.append(error)
            stop.request()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What made the others stop comes before what they then ended with.
    for failure in sorted(failures, key=lambda error: isinstance(error, StopRequested)):
        raise failure
