"""What the link counts, and how long an ACK took."""

from __future__ import annotations

from gateway.services.sync_link.figures import LinkFigures, frame_overhead


def figures() -> LinkFigures:
    return LinkFigures(since_s=100.0, changed=lambda: None)


def test_an_ack_is_timed_from_the_first_offer_of_what_it_covers_even_over_reconnects() -> None:
    counted, seen = figures(), list[float]()
    counted.offered(10, 1.0)
    counted.ended(2.0, "lost", "lost: cut")
    counted.offered(10, 50.0)
    counted.offered(25, 51.0)
    counted.acked(10, 61.0, seen.append)
    counted.acked(25, 63.0, seen.append)
    assert seen == [60.0, 12.0]


def test_an_ack_of_what_this_run_never_offered_is_counted_and_not_timed() -> None:
    counted, seen = figures(), list[float]()
    counted.acked(7, 5.0, seen.append)
    assert (counted.acks, counted.acked_size, seen) == (1, 7, [])


def test_offers_that_nobody_acks_do_not_grow_without_bound() -> None:
    counted, seen = figures(), list[float]()
    for end in range(1, 10_000):
        counted.offered(end, float(end))
    counted.acked(10_000, 20_000.0, seen.append)
    assert seen == [19_999.0]
    assert len(counted._offers) == 0


def test_down_time_runs_from_the_end_of_the_last_link_and_the_fault_is_told_until_the_next() -> None:
    counted = figures()
    assert counted.vitals(130.0).down_s == 30.0
    counted.opened(140.0)
    counted.ended(150.0, "dead", "dead: silence")
    counted.ended(160.0, "unreachable", "unreachable: refused")
    vitals = counted.vitals(170.0)
    assert (vitals.connected, vitals.down_s, vitals.last_fault) == (False, 20.0, "unreachable: refused")
    counted.opened(180.0)
    assert counted.vitals(190.0).last_fault == ""
    assert counted.faults == {"dead": 1, "unreachable": 1}


def test_bytes_are_those_of_frames_with_their_headers_and_our_mask() -> None:
    assert [frame_overhead(size) for size in (0, 125, 126, 65_535, 65_536)] == [2, 2, 4, 4, 10]
    counted = figures()
    counted.received(100)
    counted.sent(100)
    assert (counted.rx_bytes, counted.tx_bytes) == (102, 106)
