"""What to do when a service fails: restart it, halt it, or stop the daemon.

    outcome      raised                                   then
    RESTART      DriverLost, OSError, a bug in a service   wait (exponential, jittered), run it again
    HALT         NeedsPerson, DriverConfigError            stays down until a person acts; others go on
    STOP         FatalError                                every task is cancelled, the daemon exits 1

The delay doubles with each failure in a row and starts over once the service ran stable for 60 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.errors import DriverConfigError
from gateway.errors import FatalError, NeedsPerson

STABLE_S = 60.0
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0


class Outcome(StrEnum):
    RESTART = "restart"
    HALT = "halt"
    STOP = "stop"


_GRAVITY = {Outcome.RESTART: 0, Outcome.HALT: 1, Outcome.STOP: 2}


def gravest(error: Exception) -> Exception:
    """The one failure that decides, where a task group brings several."""
    if not isinstance(error, ExceptionGroup):
        return error
    return max(map(gravest, error.exceptions), key=lambda one: _GRAVITY[outcome_of(one)])


def outcome_of(error: BaseException) -> Outcome:
    """Class a failure by what can mend it."""
    if isinstance(error, FatalError):
        return Outcome.STOP
    if isinstance(error, NeedsPerson | DriverConfigError):
        return Outcome.HALT
    return Outcome.RESTART


@dataclass(frozen=True, slots=True)
class RestartDelay:
    """How often a service failed in a row, and so how long to wait before it runs again."""

    failures: int = 0

    def after_failure(self, ran_s: float) -> RestartDelay:
        """The state after a run of ``ran_s`` seconds that failed."""
        return RestartDelay(1 if ran_s >= STABLE_S else self.failures + 1)

    def seconds(self, jitter: float) -> float:
        """Delay in seconds; ``jitter`` in [0, 1) spreads it over the upper half of the step."""
        step = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self.failures - 1, 10))
        return step * (0.5 + jitter / 2)
