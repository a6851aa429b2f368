"""How the cyclic garbage collector runs in the daemon."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 20, 50)
"""What an upload allocates is freed by its reference counts; the default of 700 looks in vain at each one."""


def calm() -> None:
    """To be called once, when the house is built: modules and parts live as long as the process does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
