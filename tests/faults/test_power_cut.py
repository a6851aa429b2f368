"""Power cuts over the real schema and the real writer: what was promised is there."""

from __future__ import annotations

import pytest

from benchmarks.power_cuts import cut_many


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_promised_is_lost_whatever_the_disk_kept_of_the_rest(seed: int) -> None:
    assert cut_many(150, seed) == {"fine": 150}


def test_the_same_cuts_lose_where_commits_are_not_synced() -> None:
    """The control: a test of durability that cannot fail shows nothing."""
    found = cut_many(60, 1, "NORMAL")
    assert found["lost"] > 0
