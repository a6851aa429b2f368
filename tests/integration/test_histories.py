"""Thirty random histories of restores, clones, cuts and lost acks; the benchmark ``histories`` has 1,000."""

from __future__ import annotations

from benchmarks import histories


async def test_in_thirty_random_histories_every_fork_is_found_no_alarm_is_false_and_nothing_is_lost() -> None:
    count = await histories.play(0, 30)
    assert count["histories"] == 30
    wrong = {name: count[name] for name in ("undetected", "false_alarms", "lost", "twice")}
    assert wrong == dict.fromkeys(wrong, 0)
    assert count["clones_found"] <= count["clone"]
    assert count["epochs"] > 0 < count["clones_found"]
    assert count["acked_contents"] > 100
