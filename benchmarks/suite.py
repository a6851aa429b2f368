"""Which benchmarks there are, and one run of them.

A benchmark is a module here with ``figures(quick: bool) -> Sequence[Figure]``; each runs in its own process.
"""

from __future__ import annotations

import ast
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from benchmarks.figure import Figure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a benchmark gave, or why it gave nothing."""

    benchmark: str
    figures: Sequence[Figure]
    seconds: float
    error: str = ""

    @property
    def holds(self) -> bool:
        return not self.error and all(figure.holds for figure in self.figures)


def names() -> list[str]:
    """Modules here that define ``figures``; they are read, not imported."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if any(isinstance(one, ast.FunctionDef) and one.name == "figures" for one in body):
            found.append(path.stem)
    return found


def measure(benchmark: str, quick: bool) -> list[Figure]:
    """In the process of its own."""
    module = import_module(f"benchmarks.{benchmark}")
    return list(module.figures(quick))


def run(benchmark: str, *, quick: bool) -> Outcome:
    """One benchmark, to its end."""
    began = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            measured: list[Figure] = process.submit(measure, benchmark, quick).result()
        except Exception as error:  # one that fails is told, and the others go on
            return Outcome(benchmark, (), time.monotonic() - began, f"{type(error).__name__}: {error}")
    return Outcome(benchmark, measured, time.monotonic() - began)


def document(outcomes: Sequence[Outcome], *, quick: bool) -> dict[str, object]:
    """For ``--json``."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "quick": quick,
        "holds": all(outcome.holds for outcome in outcomes),
        "benchmarks": {
            outcome.benchmark: {
                "seconds": round(outcome.seconds, 1),
                "error": outcome.error or None,
                "figures": [
                    asdict(figure) | {"ratio": figure.ratio, "holds": figure.holds}
                    for figure in outcome.figures
                ],
            }
            for outcome in outcomes
        },
    }
