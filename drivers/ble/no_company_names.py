"""bumble without the names of the companies behind advertisements: 0.5 MiB that only its log lines read."""

from __future__ import annotations

import sys
from types import ModuleType

NAME = "bumble.company_ids"


def install() -> None:
    """To be called before bumble is imported; afterwards it is too late, and does nothing."""
    if NAME not in sys.modules:
        stand_in = ModuleType(NAME, __doc__)
        vars(stand_in).update(COMPANY_IDENTIFIERS={})  # bumble prints the number of what is not in it
        sys.modules[NAME] = stand_in
