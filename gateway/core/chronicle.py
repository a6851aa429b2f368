"""The last day in steps of five minutes: what each radio heard and sent, and how the backlog stood.

A step is full when five minutes have passed on the steady clock; the newest is still growing. Bounded: 288
steps of as many radios as are configured, about 40 kB for four.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

STEP_S = 300.0
STEPS = 288
_FIGURES = ("frames", "levels", "rssi_dbm", "snr_db", "heard_us", "sent_us")


class ChronicleInvalid(ValueError):
    """What was kept of an earlier day cannot be read."""


@dataclass(slots=True)
class RadioStep:
    """One radio in one step: ``rssi_dbm`` and ``snr_db`` are sums over ``levels`` frames, times airtime."""

    frames: int = 0
    levels: int = 0
    rssi_dbm: float = 0.0
    snr_db: float = 0.0
    heard_us: int = 0
    sent_us: int = 0

    def mean(self, total: float) -> float | None:
        """None where no frame told its levels."""
        return round(total / self.levels, 1) if self.levels else None


@dataclass(slots=True)
class Step:
    """Five minutes; ``backlog`` is the largest seen, ``accepted`` how many leaves the log grew by."""

    backlog: int = 0
    accepted: int = 0
    radios: dict[str, RadioStep] = field(default_factory=dict)


class Chronicle:
    """Owned by the event loop; times are seconds of the steady clock."""

    def __init__(self, now: float) -> None:
        self._steps: deque[Step] = deque([Step()], maxlen=STEPS)
        self._began = now
        self._size: int | None = None

    def heard(
        self, radio: str, airtime_us: int, rssi_dbm: float | None, snr_db: float | None, now: float
    ) -> None:
        """A frame came in; the levels are None where the radio does not measure them."""
        step = self._radio(radio, now)
        step.frames += 1
        step.heard_us += airtime_us
        if rssi_dbm is not None and snr_db is not None:
            step.levels += 1
            step.rssi_dbm += rssi_dbm
            step.snr_db += snr_db

    def sent(self, radio: str, airtime_us: int, now: float) -> None:
        """A frame went out."""
        self._radio(radio, now).sent_us += airtime_us

    def stands(self, size: int, backlog: int, now: float) -> None:
        """So many leaves there are, so many of them not acked."""
        step = self._newest(now)
        step.backlog = max(step.backlog, backlog)
        step.accepted += max(0, size - (size if self._size is None else self._size))
        self._size = size

    def document(self, now: float) -> dict[str, Any]:
        """For the page: each figure as a list, oldest first; the last one is of the step that still grows."""
        self._newest(now)
        names = sorted({name for step in self._steps for name in step.radios})
        return {
            "stepSeconds": STEP_S,
            "backlog": [step.backlog for step in self._steps],
            "accepted": [step.accepted for step in self._steps],
            "radios": {name: _series([step.radios.get(name) for step in self._steps]) for name in names},
        }

    def kept(self, now: float) -> list[dict[str, Any]]:
        """What a file holds of it."""
        self._newest(now)
        return [asdict(step) for step in self._steps]

    def restore(self, kept: object, age_s: float, now: float) -> None:
        """Go on from what was kept ``age_s`` ago; from nothing where that is a day or more, or in the future.

        Raises ChronicleInvalid.
        """
        steps = _steps(kept)
        missed = int(age_s // STEP_S)
        if not 0 <= missed < STEPS:
            return
        self._steps.clear()
        self._steps.extend(steps)
        self._steps.extend(Step() for _ in range(missed + 1))
        self._began = now

    def _radio(self, name: str, now: float) -> RadioStep:
        return self._newest(now).radios.setdefault(name, RadioStep())

    def _newest(self, now: float) -> Step:
        passed = int((now - self._began) // STEP_S)
        if passed > 0:
            self._steps.extend(Step() for _ in range(min(passed, STEPS)))
            self._began += passed * STEP_S
        return self._steps[-1]


def _series(steps: Sequence[RadioStep | None]) -> dict[str, list[float | int | None]]:
    full = [step or RadioStep() for step in steps]
    return {
        "frames": [step.frames for step in full],
        "rssiDbm": [step.mean(step.rssi_dbm) for step in full],
        "snrDb": [step.mean(step.snr_db) for step in full],
        "heardSeconds": [round(step.heard_us / 1e6, 3) for step in full],
        "sentSeconds": [round(step.sent_us / 1e6, 3) for step in full],
    }


def _steps(kept: object) -> list[Step]:
    if not isinstance(kept, list) or len(kept) > STEPS:
        raise ChronicleInvalid(f"a list of at most {STEPS} steps expected")
    try:
        return [_step(row) for row in kept]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChronicleInvalid(f"not a step: {error!r}") from None


def _step(row: Mapping[str, Any]) -> Step:
    radios = {
        str(name): RadioStep(**{figure: _number(one[figure]) for figure in _FIGURES})
        for name, one in row["radios"].items()
    }
    return Step(int(row["backlog"]), int(row["accepted"]), radios)


def _number(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value
