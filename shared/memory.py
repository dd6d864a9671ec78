"""The garbage collector of a process that runs for weeks: what is there after its start is there to stay."""

import gc

# Objects of one batch die by themselves; the collector looks for circles only, and those are rare here.
YOUNG_MAX, MIDDLE_MAX, OLD_MAX = 50_000, 20, 100


def settle() -> None:
    """Call once when a process is wired: its modules and tables are no longer looked through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, MIDDLE_MAX, OLD_MAX)
