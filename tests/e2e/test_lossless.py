"""What is promised reaches the coordinator once: through outages, and through ``kill -9`` under load."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill_nine import kill_often
from benchmarks.outage import measure


async def test_all_that_is_promised_during_an_outage_is_delivered_and_the_radio_stays_open(
    tmp_path: Path,
) -> None:
    result = await measure(tmp_path, before=10, during=40, after=10)
    assert result.promised == result.delivered == 60
    assert result.promised_while_down == 40
    assert result.heard_while_down > 0
    assert (result.opened, result.duplicated, result.roots_equal) == (1, 0, True)


async def test_three_kills_under_load_lose_nothing_and_log_nothing_twice(tmp_path: Path) -> None:
    result = await kill_often(tmp_path, kills=3, every=(10, 30))
    assert result.promised >= 30
    assert result.resent > 0
    assert (result.lost, result.duplicated, result.contradicted) == (0, 0, 0)
    assert result.entries == result.promised
    assert result.roots_equal
