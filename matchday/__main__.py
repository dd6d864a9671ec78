import signal

# Until `up` listens for itself nothing is there to be stopped: ctrl-C just ends the process, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from matchday.cli import main  # noqa: E402

main()
