"""The link in virtual time: what becomes of frames, and which answer goes where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from gateway.core.lora.downlinks import MAX_WAITING, Send
from gateway.core.lora.frames import Data, FrameType, Poll, split, xid_of
from gateway.core.lora.link import LoraLink, Message
from gateway.core.lora.reassembly import ReassemblyLimits
from gateway.core.lora.regions import EU868, US915
from gateway.core.lora.windows import Heard, Priority, Window

PROMISE = bytes([0x84, 0x10]) + bytes(93)
COUNTER = 5_000_000


def heard(at: float = 0.0, **changes: object) -> Heard:
    fields: dict[str, object] = {
        "concentrator": "c1",
        "peer": "c1",
        "counter_us": COUNTER + round(at * 1e6),
        "frequency_hz": 868_100_000,
        "spreading_factor": 7,
        "bandwidth_hz": 125_000,
        "snr_db": 5.0,
        "at": at,
        "reply_to": "path",
    }
    return Heard(**(fields | changes))  # type: ignore[arg-type]


def fragments(message: bytes, size: int = 100) -> list[Data]:
    chunks = split(message, size)
    last = len(chunks) - 1
    return [Data(xid_of(message), i, len(chunks), c, i == last) for i, c in enumerate(chunks)]


def deliver(
    link: LoraLink, frames: Sequence[Data | Poll], at: float = 0.0, **changes: object
) -> list[object]:
    return [event for f in frames for event in link.receive(f.to_bytes(), heard(at, **changes), at)]


def message_of(events: Sequence[object]) -> Message:
    (message,) = [event for event in events if isinstance(event, Message)]
    return message


def sends(events: Sequence[object]) -> list[Send]:
    return [event for event in events if isinstance(event, Send)]


def content(number: int, size: int = 90) -> bytes:
    return Random(number).randbytes(size)


def join_all(answers: Sequence[bytes]) -> tuple[bytes, Sequence[int]] | None:
    return b"".join(answers[:16]), range(len(answers[:16]))


def test_a_message_comes_out_once_and_its_answer_goes_to_the_first_window() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1, 250))))
    assert message.content == content(1, 250)
    (send,) = link.answer(message.context, PROMISE, 0.4)
    assert isinstance(send, Send)
    assert send.window is Window.RX1
    assert send.counter_us == COUNTER + 1_000_000
    assert send.booking.channel.frequency_hz == 868_100_000
    assert send.payload == bytes([0xE0, 0x12]) + xid_of(content(1, 250)) + PROMISE
    assert send.reply_to == "path"
    assert send.power_dbm == 14.0


def test_an_answer_that_is_ready_at_once_waits_for_copies_by_better_placed_concentrators() -> None:
    link = LoraLink(EU868)
    (frame,) = fragments(content(1))
    message = message_of(deliver(link, [frame]))
    assert link.answer(message.context, PROMISE, 0.01) == []
    assert deliver(link, [frame], at=0.1, concentrator="c2", snr_db=9.0) == []
    assert link.counts["copy"] == 1
    due = link.next_due()
    assert due == pytest.approx(0.35, abs=0.11)
    (send,) = sends(link.due(due or 0.0))
    assert send.concentrator == "c2"


def test_an_answer_too_late_for_the_first_window_goes_to_the_second_then_to_the_common_one() -> None:
    link = LoraLink(EU868)
    second = message_of(deliver(link, fragments(content(1))))
    (send,) = sends(link.answer(second.context, PROMISE, 1.0))
    assert (send.window, send.booking.channel.frequency_hz) == (Window.RX2, 869_525_000)
    assert send.counter_us == COUNTER + 2_000_000
    common = message_of(deliver(link, fragments(content(2)), at=10.0))
    assert link.answer(common.context, PROMISE, 12.0) == []
    due = link.next_due()
    assert due == pytest.approx(10 + 4.5 + 8 - 0.5)
    (send,) = sends(link.due(due or 0.0))
    assert send.window is Window.COMMON
    assert send.counter_us is not None
    assert COUNTER + 14_000_000 <= send.counter_us <= COUNTER + 30_000_000 - send.booking.airtime_us


def test_an_answer_after_all_windows_waits_for_a_poll() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    assert link.answer(message.context, PROMISE, 25.0) == []
    assert link.counts["window_missed"] == 1
    (send,) = sends(deliver(link, [Poll(xid_of(content(1)))], at=30.0))
    assert send.window is Window.RX1


def test_a_missing_fragment_is_asked_for_and_nothing_else_is() -> None:
    link = LoraLink(EU868)
    frames = fragments(content(1, 450))
    assert deliver(link, [frames[0], frames[2], frames[4]]) == []
    (ack,) = sends(link.due(link.next_due() or 0.0))
    assert ack.payload == bytes([0xE0, 0x11]) + xid_of(content(1, 450)) + bytes([5, 0b10101])
    assert ack.priority is Priority.ANSWER


def test_a_fragment_that_was_overtaken_makes_the_acknowledgement_needless() -> None:
    link = LoraLink(EU868)
    first, last = fragments(content(1, 150))
    deliver(link, [last])
    message = message_of(deliver(link, [first], at=0.1))
    assert link.next_due() is None
    (send,) = sends(link.answer(message.context, PROMISE, 0.4))
    assert send.counter_us == COUNTER + 1_000_000  # counted from the frame after which the device listens


def test_a_device_that_does_not_listen_is_not_answered_until_it_does() -> None:
    link = LoraLink(EU868)
    (frame,) = fragments(content(1))
    silent = Data(frame.xid, 0, 1, frame.chunk, listening=False)
    message = message_of(deliver(link, [silent]))
    assert link.answer(message.context, PROMISE, 0.5) == []
    assert link.counts["not_listening"] == 1
    (send,) = sends(deliver(link, [frame], at=5.0))
    assert send.payload.endswith(PROMISE)


def test_without_a_region_everything_is_heard_and_nothing_sent() -> None:
    link = LoraLink(None)
    message = message_of(deliver(link, fragments(content(1))))
    assert link.answer(message.context, PROMISE, 0.5) == []
    assert deliver(link, [Poll(b"none")], at=3.0) == []
    deliver(link, fragments(content(2, 150))[1:], at=5.0)
    assert link.due(6.0) == []
    assert link.counts["region_unset"] == 3


def test_a_repeated_question_gets_the_same_answer_but_ever_more_rarely() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    assert len(link.answer(message.context, PROMISE, 0.5)) == 1
    poll = Poll(xid_of(content(1)))
    answered = [second for second in range(2, 60, 2) if sends(deliver(link, [poll], at=float(second)))]
    assert answered == [6, 18, 40]
    assert link.counts["backed_off"] == 26


def test_an_old_answer_is_not_repeated_but_asked_for_anew() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    link.answer(message.context, PROMISE, 0.5)
    again = message_of(deliver(link, [Poll(xid_of(content(1)))], at=100.0))
    assert again.content == content(1)
    assert again.context.correlation != message.context.correlation
    (send,) = sends(link.answer(again.context, PROMISE, 100.4))
    assert send.priority is Priority.REPEAT


def test_a_poll_for_what_nobody_sent_is_told_to_begin_again() -> None:
    (send,) = sends(deliver(LoraLink(EU868), [Poll(b"gone")]))
    assert send.payload == b"\xe0\x15gone\x0f\x00\x00"


def test_a_message_above_the_limit_is_told_so() -> None:
    link = LoraLink(EU868, limits=ReassemblyLimits(message_bytes=1000))
    (send,) = sends(deliver(link, [Data(b"long", 9, 10, bytes(200), listening=True)]))
    assert send.payload == b"\xe0\x15long\x06\x00\x00"


def test_a_long_answer_is_sent_a_part_a_poll_and_each_part_fits_the_second_window() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    proof = Random(9).randbytes(750)
    parts = [sends(link.answer(message.context, proof, 0.5))[0].payload]
    for number in range(1, 7):
        at = 10.0 * number
        parts.append(sends(deliver(link, [Poll(xid_of(content(1)), number)], at=at))[0].payload)
    assert [part[1] for part in parts] == [FrameType.ANSWER_PART] * 7
    assert [tuple(part[6:8]) for part in parts] == [(i, 7) for i in range(7)]
    assert b"".join(part[8:] for part in parts) == proof
    assert max(map(len, parts)) <= 128
    assert deliver(link, [Poll(xid_of(content(1)), 7)], at=80.0) == []
    assert link.counts["no_such_part"] == 1


def test_a_forged_message_with_the_same_id_does_not_take_the_honest_ones_answer() -> None:
    """Two contents under one id take too long to find: what is tested is that content tells them apart."""
    link = LoraLink(EU868)
    frames = fragments(content(1, 450))
    message = message_of(deliver(link, frames))
    link.answer(message.context, PROMISE, 0.5)
    forged = Data(frames[0].xid, 1, 5, b"f" * 100, listening=True)
    deliver(link, [forged], at=10.0)
    assert len(link.due(10.5)) == 1  # it began a transfer of its own, and is told what that lacks
    (send,) = sends(deliver(link, [frames[-1]], at=20.0))
    assert send.payload.endswith(PROMISE)


def test_those_who_wait_for_the_common_window_get_one_batch() -> None:
    link = LoraLink(EU868, join=join_all)
    for number in range(12):
        at = 0.3 * number
        message = message_of(deliver(link, fragments(content(number)), at=at))
        link.answer(message.context, bytes([number]) * 50, at + 2.0)  # too late for RX1 and RX2
    due = link.next_due()
    assert due is not None
    batch = sends(link.due(due))
    assert link.counts["batched"] == 12
    assert {send.window for send in batch} == {Window.COMMON}
    assert all(send.payload[1] == FrameType.BATCH for send in batch)
    whole = b"".join(send.payload[8:] for send in batch)
    assert whole == b"".join(bytes([number]) * 50 for number in range(12))
    assert batch[0].payload[2:6] == hashlib.sha256(whole).digest()[:4]
    first, last = batch[0].booking, batch[-1].booking
    assert first.start >= 0.3 * 11 + 4.0  # every member's window is open
    assert last.end <= 20.0  # and none is closed
    assert all(a.booking.end < b.booking.start for a, b in pairwise(batch))


def test_the_members_of_a_refused_batch_are_answered_when_they_poll() -> None:
    link = LoraLink(EU868, join=join_all)
    for number in range(12):
        message = message_of(deliver(link, fragments(content(number)), at=0.3 * number))
        link.answer(message.context, bytes([number]) * 50, 0.3 * number + 2.0)
    first, second, *_ = sends(link.due(link.next_due() or 0.0))
    link.sent(first)  # of no use to anybody without the others
    assert link.refused(second, "collision", 15.0) == []
    (answer,) = sends(deliver(link, [Poll(xid_of(content(3)))], at=15.1))
    assert answer.payload.endswith(bytes([3]) * 50)
    assert link.refused(second, "collision", 15.2) == []  # a third frame's refusal takes nothing more back
    assert deliver(link, [Poll(xid_of(content(3)))], at=17.0) == []
    assert link.counts["backed_off"] == 1


def test_a_batch_too_long_for_the_window_is_cut_in_two() -> None:
    link = LoraLink(EU868, join=lambda answers: (b"".join(answers), range(len(answers))))
    for number in range(60):
        message = message_of(deliver(link, fragments(content(number)), at=0.001 * number))
        link.answer(message.context, bytes([number]) * 60, 2.5)
    batch = sends(link.due(link.next_due() or 0.0))
    assert len(batch) > 1
    assert link.counts["batched"] >= 16


def test_a_crowd_leaves_the_second_window_and_joins_the_batch() -> None:
    link = LoraLink(EU868, join=join_all)
    windows = []
    for number in range(6):
        message = message_of(deliver(link, fragments(content(number)), at=0.01 * number))
        windows += [send.window for send in sends(link.answer(message.context, PROMISE, 0.5))]
    assert windows == [Window.RX1, Window.RX2]  # the transmitter sends one frame at a time
    assert len(sends(link.due(link.next_due() or 0.0))) > 1
    assert link.counts["batched"] == 4


def test_two_frames_never_overlap_on_one_transmitter_and_may_on_two() -> None:
    link = LoraLink(EU868)
    taken = []
    for number in range(3):
        where = "c1" if number < 2 else "c2"
        message = message_of(deliver(link, fragments(content(number)), at=0.0, concentrator=where))
        taken += sends(link.answer(message.context, PROMISE, 0.5))
    assert [(send.concentrator, send.window) for send in taken] == [
        ("c1", Window.RX1),
        ("c1", Window.RX2),
        ("c2", Window.RX1),
    ]


def test_a_refusal_by_the_radio_is_refunded_and_the_next_window_tried() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    (send,) = sends(link.answer(message.context, PROMISE, 0.5))
    (next_send,) = sends(link.refused(send, "too_late", 0.6))
    assert next_send.window is Window.RX2
    assert link.gauges(1.0)["airtime_us.c1.M"] == 0
    assert link.refused(next_send, "frequency", 0.7) == []
    assert link.gauges(1.0)["airtime_us.c1.P"] == 0


def test_when_every_window_was_refused_a_poll_is_still_answered() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    (first,) = sends(link.answer(message.context, PROMISE, 0.5))
    (second,) = sends(link.refused(first, "collision", 0.6))
    assert link.refused(second, "collision", 0.7) == []
    (third,) = sends(link.due(link.next_due() or 0.0))
    assert link.refused(third, "collision", 12.0) == []
    assert link.counts["window_missed"] == 1
    assert len(sends(deliver(link, [Poll(xid_of(content(1)))], at=25.0))) == 1


def test_the_duty_cycle_of_every_sub_band_holds_over_hours_of_more_than_can_be_answered() -> None:
    link, now = LoraLink(EU868), 0.0
    sent: list[Send] = []
    for number in range(3000):
        now += 1.5
        frequency = EU868.uplink_hz[number % 8]
        message = message_of(deliver(link, fragments(content(number)), at=now, frequency_hz=frequency))
        sent += sends(link.answer(message.context, PROMISE, now + 0.3))
        sent += sends(link.due(now + 0.4))
    assert link.counts["rx1_duty_cycle"] > 0
    for band in EU868.sub_bands:
        frames = [(s.booking.start, s.booking.airtime_us) for s in sent if s.booking.sub_band == band.name]
        for end, _ in frames[::20]:
            assert sum(us for at, us in frames if end - 3600 < at <= end) <= band.duty * 3.6e9
    assert len(sent) > 900


def test_bitmaps_and_repetitions_leave_the_last_of_an_hour_to_first_answers() -> None:
    link, now = LoraLink(EU868), 0.0
    while "rx2_duty_cycle" not in link.counts:
        now += 0.7
        deliver(link, fragments(content(int(now * 10), 150))[1:], at=now)
        link.due(now + 0.3)
    message = message_of(deliver(link, fragments(content(10**6)), at=now + 1))
    assert len(sends(link.answer(message.context, PROMISE, now + 1.4))) == 1


def test_garbage_that_must_be_refused_cannot_use_up_the_duty_of_promises() -> None:
    link, now = LoraLink(EU868), 0.0
    refusal = bytes.fromhex("8411010060")
    while link.counts["rx1_duty_cycle"] < 100:
        now += 0.5
        message = message_of(deliver(link, fragments(content(int(now * 2))), at=now))
        link.answer(message.context, refusal, now + 0.3)
        link.due(now + 0.4)
        deliver(link, [Poll(content(int(now * 2), 4))], at=now + 0.4)
    message = message_of(deliver(link, fragments(content(10**6)), at=now + 30))
    (send,) = sends(link.answer(message.context, PROMISE, now + 30.4))
    assert (send.window, send.priority) == (Window.RX1, Priority.PROMISE)


def test_when_half_the_hour_is_used_promises_leave_the_second_window_to_be_batched() -> None:
    link, now = LoraLink(EU868, join=join_all), 0.0
    windows: list[Window] = []
    while now < 1800.0:
        now += 2.0
        message = message_of(deliver(link, fragments(content(int(now))), at=now, frequency_hz=867_100_000))
        placed = link.answer(message.context, PROMISE, now + 0.3) + link.due(now + 0.4)
        windows += [send.window for send in sends(placed)]
    late = windows[-50:]
    assert Window.RX2 in windows
    assert set(late) == {Window.COMMON}
    assert link.counts["batched"] > 100


def test_us_answers_keep_the_dwell_time_and_the_devices_channel() -> None:
    link = LoraLink(US915, power_dbm=33)
    message = message_of(deliver(link, fragments(content(1)), frequency_hz=904_300_000, spreading_factor=10))
    (send,) = sends(link.answer(message.context, PROMISE, 0.5))
    assert (send.booking.channel.frequency_hz, send.booking.channel.rate.spreading_factor) == (
        924_500_000,
        10,
    )
    assert send.booking.airtime_us <= 400_000
    assert send.power_dbm == 30


def test_replayed_frames_cost_no_second_message_and_a_bounded_number_of_answers() -> None:
    link = LoraLink(EU868)
    frames = fragments(content(1, 450))
    message = message_of(deliver(link, frames))
    link.answer(message.context, PROMISE, 0.5)
    answers = 0
    for second in range(2, 58):
        events = deliver(link, frames, at=float(second))
        assert not [event for event in events if isinstance(event, Message)]
        answers += len(sends(events))
    assert answers <= 3


def test_what_is_remembered_is_bounded_under_a_flood_of_messages() -> None:
    link = LoraLink(EU868)
    for number in range(3000):
        deliver(link, fragments(number.to_bytes(4, "big")), at=0.01 * number)
    assert link.gauges(30.0)["exchanges"] == 1024
    late = message_of(deliver(link, fragments(b"late"), at=31.0))
    for number in range(2000):
        deliver(link, fragments(b"x" + number.to_bytes(4, "big")), at=32.0)
    assert link.answer(late.context, PROMISE, 33.0) == []
    assert link.counts["answer_forgotten"] == 1


def test_garbage_and_foreign_frames_are_counted_by_reason() -> None:
    link, random = LoraLink(EU868), Random(1)
    for size in range(200):
        assert link.receive(b"\x40" + random.randbytes(size), heard(), 0.0) == []
        link.receive(b"\xe0" + random.randbytes(size), heard(), 0.0)
    assert link.counts["foreign"] == 200
    assert link.counts["type"] > 150
    assert link.counts["malformed"] > 0


def test_a_crowd_of_refusals_does_not_take_the_place_of_a_promise() -> None:
    link, refusal = LoraLink(EU868), bytes([0x84, 0x11, 0x01, 0x00, 0x60])
    for number in range(MAX_WAITING + 20):
        refused = message_of(deliver(link, fragments(content(number))))
        link.answer(refused.context, refusal, 0.3)
    honest = message_of(deliver(link, fragments(content(9999))))
    assert link.answer(honest.context, PROMISE, 0.3) == []
    events: list[Send] = []
    while (due := link.next_due()) is not None:
        events += sends(link.due(due))
    assert events[0].payload.endswith(PROMISE)
    assert link.gauges(30.0)["waiting"] == 0


def test_a_message_whose_work_was_interrupted_is_submitted_anew_when_its_device_asks() -> None:
    link = LoraLink(EU868)
    first = message_of(deliver(link, fragments(content(1))))
    assert deliver(link, [Poll(xid_of(content(1)))], at=30.0) == []
    link.interrupted()
    again = message_of(deliver(link, [Poll(xid_of(content(1)))], at=60.0))
    assert again.content == first.content
    assert sends(link.answer(again.context, PROMISE, 60.4))


BEACON_CHANNEL = EU868.broadcast(7, 125_000)


def test_a_broadcast_goes_out_at_once_as_a_batch_that_answers_nobody() -> None:
    link = LoraLink(EU868, power_dbm=30.0)
    assert BEACON_CHANNEL is not None
    (send,) = link.broadcast(b"beacon" * 20, BEACON_CHANNEL, "c1", "path", 100.0)
    assert isinstance(send, Send)
    assert (send.window, send.priority, send.counter_us) == (Window.NONE, Priority.NOTICE, None)
    assert (send.concentrator, send.reply_to, send.heard) == ("c1", "path", None)
    assert send.payload[:6] == bytes([0xE0, 0x14]) + hashlib.sha256(b"beacon" * 20).digest()[:4]
    assert send.power_dbm == 27.0
    assert link.refused(send, "collision", 100.0) == []


def test_broadcasts_leave_three_quarters_of_the_hour_to_answers() -> None:
    link, now = LoraLink(EU868), 0.0
    assert BEACON_CHANNEL is not None
    while link.broadcast(b"b" * 200, BEACON_CHANNEL, "c1", None, now):
        now += 1.0
    assert link.counts["notice_duty_cycle"] == 1
    assert link.duty_left_s(now)["P"] == pytest.approx(0.75 * 360, abs=1)


def test_without_a_region_nothing_is_broadcast() -> None:
    link = LoraLink(None)
    assert BEACON_CHANNEL is not None
    assert link.broadcast(b"b", BEACON_CHANNEL, "c1", None, 0.0) == []
    assert link.counts["region_unset"] == 1


def test_airtime_of_a_frame_that_may_have_left_in_part_stays_spent() -> None:
    link = LoraLink(EU868)
    message = message_of(deliver(link, fragments(content(1))))
    (send,) = sends(link.answer(message.context, PROMISE, 0.3))
    used = link.duty_used_s(0.3)["M"]
    assert used == pytest.approx(send.booking.airtime_us / 1e6)
    link.refused(send, "no_route", 0.5, on_air=True)
    assert link.duty_used_s(0.5)["M"] == pytest.approx(used)
