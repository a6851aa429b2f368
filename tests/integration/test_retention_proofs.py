"""After retention every leaf still proves; with 100,000 leaves: ``python -m benchmarks retention``."""

from __future__ import annotations

from benchmarks import retention


async def test_with_nine_tenths_of_the_bodies_gone_every_leaf_proves_and_the_file_has_shrunk() -> None:
    before, after, pruned, wrong = await retention.play(700)
    assert (pruned, wrong) == (630, 0)
    assert after < 0.7 * before
