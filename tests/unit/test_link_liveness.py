"""When a link counts as dead, pinged or stalled: virtual seconds, one look a second."""

from __future__ import annotations

from gateway.core.sync.liveness import Liveness, Verdict


def look_until(
    liveness: Liveness, start: int, end: int, *, owed: bool, unsent: int = 0, pongs: bool = False
) -> list[tuple[int, Verdict]]:
    """What is found at each second; a ping is answered at once where ``pongs``."""
    found: list[tuple[int, Verdict]] = []
    for now in range(start, end):
        verdict = liveness.look(now, owed=owed, unsent=unsent)
        if verdict is not Verdict.ALIVE:
            found.append((now, verdict))
        if verdict is Verdict.PING and pongs:
            liveness.pong(now)
        if verdict in (Verdict.DEAD, Verdict.STALLED):
            break
    return found


def test_a_dead_link_is_found_within_ten_seconds_of_an_answer_being_due() -> None:
    liveness = Liveness(0.0)
    assert look_until(liveness, 1, 100, owed=False) == []
    found = look_until(liveness, 100, 120, owed=True)
    assert found[0] == (103, Verdict.PING)
    assert found[-1] == (109, Verdict.DEAD)


def test_a_dead_link_is_found_within_ten_seconds_of_bytes_that_do_not_drain() -> None:
    liveness = Liveness(0.0)
    assert look_until(liveness, 50, 70, owed=False, unsent=5000) == [(59, Verdict.DEAD)]


def test_a_dead_idle_link_is_found_within_three_minutes() -> None:
    found = look_until(Liveness(0.0), 1, 400, owed=False)
    assert found[0][1] is Verdict.PING
    assert found[-1][1] is Verdict.DEAD
    assert found[-1][0] <= 180


def test_an_idle_link_that_answers_pings_lives() -> None:
    found = look_until(Liveness(0.0), 1, 1000, owed=False, pongs=True)
    assert {verdict for _, verdict in found} == {Verdict.PING}
    assert len(found) <= 7


def test_a_batch_that_takes_minutes_to_drain_is_no_dead_link() -> None:
    liveness = Liveness(0.0)
    for now in range(1, 300):
        assert liveness.look(now, owed=True, unsent=1_000_000 - 3000 * now) is Verdict.ALIVE


def test_pongs_without_an_answer_are_a_stall_after_a_minute() -> None:
    found = look_until(Liveness(0.0), 1, 200, owed=True, pongs=True)
    assert found[-1] == (61, Verdict.STALLED)


def test_messages_keep_a_busy_link_alive() -> None:
    liveness = Liveness(0.0)
    for now in range(1, 500):
        liveness.message(now)
        assert liveness.look(now, owed=True, unsent=0) is Verdict.ALIVE
