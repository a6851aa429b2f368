"""A - B - C with only C online: A's snapshots at the coordinator, its acks at A, B cut out and back.

    python -m benchmarks mesh_line        1,000 snapshots; with --quick 100

Three real daemons over TCP, as in `demo --mesh`; bytes as they passed the two links, both ways.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from simulators.demo.mesh import play_mesh


def _untold(_: str) -> None:
    """The figures tell it."""


def figures(quick: bool) -> list[Figure]:
    """What the suite measures."""
    with tempfile.TemporaryDirectory(prefix="mesh-line-") as folder:
        report = asyncio.run(play_mesh(Path(folder), 100 if quick else 1000, _untold))
    return [
        Figure("snapshots lost", "", report.snapshots - report.arrived, 0),
        Figure("objects that came twice", "", report.twice, 0),
        Figure("without a cosigned receipt at A", "", report.snapshots - report.included, 0),
        Figure("link A - B, by the objects' own bytes", "", report.a_b_bytes / report.object_bytes),
        Figure("link B - C, by the objects' own bytes", "", report.b_c_bytes / report.object_bytes),
        Figure("from nothing to the last ack", "s", report.seconds),
    ]
