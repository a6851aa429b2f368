"""One figure, beside its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """`limit` None: told for the reader. `better` says on which side of the limit it holds."""

    name: str
    unit: str
    value: float
    limit: float | None = None
    better: Literal["less", "more"] = "less"

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.value <= self.limit if self.better == "less" else self.value >= self.limit

    @property
    def ratio(self) -> float | None:
        """Value by limit; None without a limit, or with one of 0."""
        return self.value / self.limit if self.limit else None

    def line(self) -> str:
        """For people."""
        text = f"{self.name:<44} {self.value:>12,.4g} {self.unit:<10}"
        if self.limit is None:
            return text.rstrip()
        sign = "≤" if self.better == "less" else "≥"
        ratio = "" if self.ratio is None else f"  {self.ratio:.2f} of it"
        return f"{text} {sign} {self.limit:g}{ratio}{'' if self.holds else '   NOT HELD'}"
