"""A few thousand mutated frames a decoder; the long run is ``python -m benchmarks.fuzz``."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import TARGETS, attack


@pytest.mark.parametrize("decoder", ["cbor", "json", "object", "sync", "list"])
def test_a_mutated_frame_is_decoded_or_refused(decoder: str) -> None:
    outcomes = attack(TARGETS[decoder], frames=4000, seed=20261120)
    assert outcomes.total() == 4000
    assert outcomes["decoded"] > 100, "mutations that never survive test only the first check"
    assert outcomes["decoded"] < 2000
