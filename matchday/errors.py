"""What the runner tells its operator instead of a traceback."""


class RunnerError(Exception):
    """One clear sentence about what is wrong and what to do; the command prints it and exits with 1."""


class StopRequested(Exception):
    """The operator asked for the end (ctrl-C, SIGTERM, `make down`) while something was still under way."""
