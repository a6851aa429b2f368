"""The session against a scripted coordinator: honest, forgetful, repeating itself, lying."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import cbor2
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from scripted_coordinator import (
    COORDINATOR,
    COSIGNER,
    GATEWAY,
    INSTANCE,
    NONCE_C,
    NONCE_G,
    NOW_MS,
    ORIGIN,
    STRANGER,
    MemoryLog,
    ack,
    catchup,
    challenge,
    cosigned,
    link_signature,
    logged,
    message,
    reject,
    sent,
    signed_note,
    welcome,
)

from gateway.core.sync import (
    Acked,
    Adopt,
    BeginEpoch,
    Closed,
    Connected,
    Event,
    Fault,
    Halted,
    HaltReason,
    Hold,
    Record,
    Send,
    State,
    TimeTold,
)
from gateway.core.sync.messages import MAX_ENTRY_BYTES, MAX_HEARD_BYTES, MAX_MESSAGE_BYTES, told_reasons
from gateway.model import LoggedObject
from simulators.textbook import notes, signing
from simulators.textbook.varints import varint

T = TypeVar("T")


def only(kind: type[T], events: list[Event]) -> T:
    (event,) = events
    assert isinstance(event, kind), event
    return event


def fault(events: list[Event]) -> Fault:
    """The one thing said when a coordinator is caught: nothing was acked, nothing is sent any more."""
    return only(Closed, events).fault


def test_hello_proves_the_key_over_both_nonces_and_the_newest_checkpoint() -> None:
    log = MemoryLog.of(3)
    note = log.sign(3)
    (hello,) = sent(log.session().receive(challenge()))
    *fields, signature = hello
    assert fields == [2, "gw-1", fields[2], ORIGIN, INSTANCE, NONCE_G, note, "1.2.3"]
    bound = [NONCE_C, NONCE_G, ORIGIN, bytes(COORDINATOR.verify_key), INSTANCE, sha256(note).digest()]
    text = signing.labelled(signing.LINK_GATEWAY, cbor2.dumps(bound, canonical=True))
    assert signing.verifies(fields[2], text, signature)


def test_nothing_counts_as_connected_before_welcome_is_verified() -> None:
    log = MemoryLog.of(0)
    session = log.session()
    assert not [event for event in session.receive(challenge()) if isinstance(event, Connected)]
    assert only(Connected, session.receive(welcome(0, None))) == Connected(0, NOW_MS)


def test_a_batch_goes_from_offer_to_ack() -> None:
    log = MemoryLog.of(2)
    session, events = log.opened()
    (offer,) = sent(events)
    assert offer[:3] == [10, 0, [2, 2]]
    assert len(offer[3]) == 4 * 8

    events = log.hear(session, message(11, 0, b"\x0b"))
    entries, commit = sent(events)
    rows, radios, objects = cbor2.loads(zstandard.ZstdDecompressor().decompress(entries[2]))
    assert rows == b"\x11\x11" + varint(2 * NOW_MS) + b"\x02" + b"\x00\x02\x01\x02" * 2
    assert radios == ["lora"]
    assert objects == [
        log.entries[0].objects[0].body,
        log.entries[0].objects[1].body,
        log.entries[1].objects[1].body,
    ]
    ((_, _, signature),) = notes.parse(signed_note(log.root(2), 2))[1]
    assert commit == [13, 2, log.root(2), signature]
    assert session.answer_due

    assert log.hear(session, ack(log.cosigned(2))) == [Acked(2, log.cosigned(2))]
    assert not session.answer_due


def test_what_is_signed_is_recorded_before_it_is_sent() -> None:
    log = MemoryLog.of(1)
    session, _ = log.opened()
    events = log.hear(session, message(11, 0, b"\x03"))
    assert [type(event) for event in events] == [Send, Record, Send]


def test_the_next_offer_runs_ahead_but_its_entries_wait_for_the_ack() -> None:
    log = MemoryLog.of(3)
    session, events = log.opened(max_entries=1)
    assert [m[:2] for m in sent(events)] == [[10, 0]]
    assert [m[0] for m in sent(log.hear(session, message(11, 0, b"\x03")))] == [12, 13, 10]
    assert sent(log.hear(session, message(11, 1, b"\x03"))) == []
    assert [m[0] for m in sent(log.hear(session, ack(log.cosigned(1))))] == [12, 13, 10]
    log.hear(session, message(11, 2, b"\x03"))
    log.hear(session, ack(log.cosigned(2)))
    assert log.hear(session, ack(log.cosigned(3))) == [Acked(3, log.cosigned(3))]


def test_growth_is_offered_when_the_link_is_idle_and_waits_when_it_is_not() -> None:
    log = MemoryLog.of(0)
    session, events = log.opened()
    assert sent(events) == []
    log.entries.append(logged(0))
    assert [m[:2] for m in sent(log.drive(session, session.grew(1)))] == [[10, 0]]
    log.entries.append(logged(1))
    assert log.drive(session, session.grew(2)) == []
    assert [m[:2] for m in sent(log.hear(session, message(11, 0, b"\x03")))][-1] == [10, 1]


def test_a_lost_ack_is_learned_from_the_next_welcome() -> None:
    log = MemoryLog.of(4)
    log.sign(4)
    session, events = log.opened(at=4)
    assert [type(event) for event in events] == [Connected, Acked]
    assert session.state is State.OPEN


def test_everything_said_twice_is_taken_once() -> None:
    log = MemoryLog.of(3)
    session = log.session(max_entries=1)
    acked = []
    script = [
        challenge(),
        welcome(0, None),
        *(m for i in range(3) for m in (message(11, i, b"\x03"), ack(log.cosigned(i + 1)))),
    ]
    for data in script:
        for _ in range(2):
            acked += [event.size for event in log.hear(session, data) if isinstance(event, Acked)]
    assert acked == [1, 2, 3]
    assert session.state is State.OPEN


def test_old_answers_that_arrive_late_are_ignored() -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened(max_entries=1)
    for i in range(2):
        log.hear(session, message(11, i, b"\x03"))
        log.hear(session, ack(log.cosigned(i + 1)))
    for late in (
        ack(log.cosigned(1)),
        message(11, 0, b"\x03"),
        message(15, 0, b"\x01"),
        message(16, 1),
    ):
        assert log.hear(session, late) == []
    assert session.state is State.OPEN


def test_full_hashes_and_missing_objects_are_given_on_request() -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened()
    log.hear(session, message(11, 0, b"\x00"))
    (hashes,) = sent(log.hear(session, message(16, 0)))
    assert hashes == [17, 0, b"".join(item.hash for entry in log.entries for item in entry.objects)]
    (objects,) = sent(log.hear(session, message(15, 0, b"\x05")))
    assert objects[:2] == [18, 0]
    packed = cbor2.loads(zstandard.ZstdDecompressor().decompress(objects[2]))
    assert packed == [log.entries[0].objects[0].body, log.entries[1].objects[0].body]
    assert log.hear(session, ack(log.cosigned(2))) == [Acked(2, log.cosigned(2))]


def test_bodies_are_given_by_hash_and_null_where_there_are_none() -> None:
    log = MemoryLog.of(1)
    session, _ = log.opened()
    known = log.entries[0].objects[0]
    assert sent(log.hear(session, message(20, 7, [known.hash, b"?" * 32]))) == [[21, 7, [known.body, None]]]


def test_a_heartbeat_tells_only_what_changed_and_always_the_time() -> None:
    session, _ = MemoryLog.of(0).opened()
    assert sent(session.heartbeat({"health": 100, "time": 1})) == [[30, {"health": 100, "time": 1}]]
    assert sent(session.heartbeat({"health": 100, "time": 2})) == [[30, {"time": 2}]]
    assert sent(session.heartbeat({"health": 40, "time": 3})) == [[30, {"health": 40, "time": 3}]]
    assert session.receive(message(31, NOW_MS)) == [TimeTold(NOW_MS)]


def test_nothing_is_said_before_the_link_is_open_nor_after_it_is_over() -> None:
    session = MemoryLog.of(1).session()
    assert session.heartbeat({"time": 1}) == session.grew(5) == []
    session.receive(b"\xff")
    assert session.receive(challenge()) == session.grew(6) == session.garbage("again") == []
    assert session.state is State.OVER


# A crash between COMMIT and the commit that records it.


def test_a_forgotten_signature_is_taken_back_from_catchup() -> None:
    log = MemoryLog.of(5)
    log.sign(2)
    session = log.session()
    log.hear(session, challenge())
    note = log.cosigned(4)
    events = log.hear(session, catchup(4, note))
    assert events == [Record(4, note), Acked(4, note), events[-1]]
    assert fault(events[-1:]) is Fault.CAUGHT_UP


# What needs a person.


def halted(log: MemoryLog, *script: bytes) -> Halted:
    session = log.session()
    for data in script:
        events = log.hear(session, data)
    assert session.state is State.OVER
    return only(Halted, events)


def test_another_coordinator_key_halts_the_link_and_leaves_the_log_alone() -> None:
    halt = halted(MemoryLog.of(1), challenge(STRANGER))
    assert halt.reason is HaltReason.COORDINATOR_KEY
    assert not halt.stops_the_log


def begun(log: MemoryLog, *heard: bytes) -> BeginEpoch:
    session, events = log.session(), list[Event]()
    for data in heard:
        events = log.hear(session, data)
    assert session.state is State.OVER
    return only(BeginEpoch, events)


def test_a_restored_disk_asks_for_what_it_lacks_and_nothing_else_is_logged_meanwhile() -> None:
    newer, older = MemoryLog.of(9), MemoryLog.of(4)
    older.sign(4)
    session = older.session()
    older.hear(session, challenge())
    events = older.hear(session, catchup(9, newer.cosigned(9)))
    assert [type(event) for event in events] == [Hold, Connected, Send]
    assert sent(events) == [[44, 4]]
    assert session.state is State.CATCHING


def test_what_comes_back_in_parts_is_taken_as_one_piece_and_asked_on_until_the_log_is_whole() -> None:
    newer, older = MemoryLog.of(9), MemoryLog.of(4)
    session = older.session()
    older.hear(session, challenge())
    older.hear(session, catchup(9, newer.cosigned(9)))
    body = cbor2.dumps([6, "text", "sig"])
    whole = zstandard.ZstdCompressor().compress(
        cbor2.dumps([bytes([2]) + b"\x04", ["lora"], [1], [body], [b"n" * 32]])
    )
    assert session.receive(message(45, 4, 0, 2, whole[:9])) == []
    adopt = only(Adopt, session.receive(message(45, 4, 1, 2, whole[9:])))
    assert (adopt.size, adopt.root, adopt.pulled.start, adopt.pulled.end) == (9, newer.root(9), 4, 5)
    assert adopt.pulled.entries[0].objects == (body,)
    assert sent(session.adopted(5)) == [[44, 5]]
    events = session.adopted(9)
    assert [type(event) for event in events] == [Record, Acked, Closed]


def test_a_restored_disk_that_had_gone_on_begins_a_new_epoch() -> None:
    newer, older = MemoryLog.of(9), MemoryLog.of(4)
    session = older.session()
    older.hear(session, challenge())
    older.hear(session, catchup(9, newer.cosigned(9)))
    again = only(BeginEpoch, session.adopted(None))
    assert (again.why, again.seen) == ("restore", newer.cosigned(9))
    assert "9 leaves" in again.what and "log resume" in again.fix


@pytest.mark.parametrize(
    "part",
    [(3, 0, 1, b""), (4, 1, 2, b""), (4, 0, 600, b""), (4, 0, 1, b"no zstd"), (4, 0, 1, bytes(25 << 10))],
)
def test_a_piece_of_the_log_that_makes_no_sense_ends_the_link(part: tuple[int, int, int, bytes]) -> None:
    newer, older = MemoryLog.of(9), MemoryLog.of(4)
    session = older.session()
    older.hear(session, challenge())
    older.hear(session, catchup(9, newer.cosigned(9)))
    assert fault(session.receive(message(45, *part))) in (Fault.OUT_OF_TURN, Fault.GARBAGE)


def test_a_later_epoch_of_our_own_key_is_gone_beyond() -> None:
    log = MemoryLog.of(3)
    note = notes.sign_checkpoint(notes.Checkpoint("offgrid/gw-1/3", 2, b"r" * 32), GATEWAY)
    cosigned_note = notes.cosign(note, COSIGNER, COORDINATOR, NOW_MS // 1000)
    again = begun(log, challenge(), message(46, "offgrid/gw-1/3", cosigned_note))
    assert (again.why, again.seen) == ("restore", cosigned_note)


@pytest.mark.parametrize("origin", [ORIGIN, "offgrid/gw-2/3"])
def test_a_later_epoch_that_is_not_later_or_not_ours_is_a_lie(origin: str) -> None:
    log = MemoryLog.of(3)
    note = notes.sign_checkpoint(notes.Checkpoint(origin, 2, b"r" * 32), GATEWAY)
    session = log.session()
    log.hear(session, challenge())
    lie = message(46, origin, notes.cosign(note, COSIGNER, COORDINATOR, NOW_MS // 1000))
    assert fault(log.hear(session, lie)) is Fault.BAD_CHECKPOINT


def test_a_restored_disk_that_went_another_way_is_a_fork() -> None:
    ours, theirs = MemoryLog.of(9, salt="ours"), MemoryLog.of(9, salt="theirs")
    assert begun(ours, challenge(), catchup(7, theirs.cosigned(7))).why == "fork"


def test_a_welcome_under_another_root_signed_by_us_is_a_fork() -> None:
    ours, theirs = MemoryLog.of(3, salt="ours"), MemoryLog.of(3, salt="theirs")
    ours.sign(3)
    again = begun(ours, challenge(), welcome(3, theirs.cosigned(3)))
    assert (again.why, again.seen) == ("fork", theirs.cosigned(3))
    assert "second gateway or disk" in again.fix


@pytest.mark.parametrize("second", [3, 5, 40])
def test_fork_with_a_checkpoint_that_our_log_does_not_repeat_begins_a_new_epoch(second: int) -> None:
    ours, theirs = MemoryLog.of(6, salt="ours"), MemoryLog.of(max(second, 6), salt="theirs")
    a = ours.sign(3)
    b = signed_note(theirs.root(second), second)
    again = begun(ours, challenge(), message(5, a, b, 3, theirs.root(3)))
    assert (again.why, again.seen) == ("fork", b)


def test_a_clone_stops_the_log() -> None:
    halt = halted(MemoryLog.of(1), challenge(), reject("clone", "instance 0a came back"))
    assert halt.reason is HaltReason.CLONE
    assert halt.stops_the_log


def test_a_clone_found_out_on_an_open_link_stops_the_log() -> None:
    log = MemoryLog.of(1)
    session, _ = log.opened()
    assert only(Halted, session.receive(reject("clone", "an older one"))).reason is HaltReason.CLONE


@pytest.mark.parametrize("code", ["clone", "quarantined"])
@pytest.mark.parametrize(
    "forged",
    [
        lambda code: message(6, code, "x", None),
        lambda code: message(6, code, "x", bytes(64)),
        lambda code: message(6, code, "x", link_signature("busy", "x", name=None)),
        lambda code: reject(code, "x", key=STRANGER),
        lambda code: reject(code, "x", nonce=b"g" * 32),
    ],
)
@pytest.mark.parametrize("opening", [0, 1, 2])
def test_whoever_is_on_the_line_can_close_the_link_and_no_more(
    code: str, forged: Callable[[str], bytes], opening: int
) -> None:
    session = MemoryLog.of(1).session()
    for data in [challenge(), welcome(0, None)][:opening]:
        session.receive(data)
    assert fault(session.receive(forged(code))) is Fault.BAD_SIGNATURE


def test_a_reject_of_another_link_closes_this_one_and_halts_nothing() -> None:
    """Said to this gateway once, and recorded by somebody on the line."""
    session = MemoryLog.of(1).session()
    session.receive(reject("clone", "x"))
    assert session.state is State.OVER


def test_a_bare_pin_learns_the_cosigners_name_and_stores_whole_notes() -> None:
    log = MemoryLog.of(2)
    session = log.session(None)
    for data in (challenge(), welcome(0, None), message(11, 0, b"\x0f")):
        log.hear(session, data)
    assert log.hear(session, ack(log.cosigned(2))) == [Acked(2, log.cosigned(2))]


@pytest.mark.parametrize("pinned_name", [None, COSIGNER])
def test_a_name_that_somebody_on_the_line_put_in_is_found_out_at_welcome(pinned_name: str | None) -> None:
    session = MemoryLog.of(1).session(pinned_name)
    session.receive(challenge(name="another.test"))
    name = "another.test" if pinned_name else COSIGNER
    assert fault(session.receive(welcome(0, None, name=name))) is Fault.BAD_SIGNATURE


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_no_key_can_have_is_garbage(name: str) -> None:
    session = MemoryLog.of(1).session(None)
    assert fault(session.receive(challenge(name=name))) is Fault.GARBAGE


@pytest.mark.parametrize("body", [None, b"rotten"])
def test_an_object_that_cannot_be_read_back_halts_instead_of_being_sent(body: bytes | None) -> None:
    log = MemoryLog.of(1)
    broken = log.entries[0].objects[0]
    object.__setattr__(broken, "body", body)
    session, _ = log.opened()
    assert only(Halted, log.hear(session, message(11, 0, b"\x03"))).reason is HaltReason.DAMAGED


# A coordinator that lies: one documented word each, nothing acked, nothing said any more.


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        (lambda log: welcome(4, log.cosigned(4)), Fault.BAD_SIZE),
        (lambda log: welcome(1, log.cosigned(1)), Fault.ROLLED_BACK),
        (lambda log: welcome(0, None), Fault.ROLLED_BACK),
        (lambda log: welcome(3, None), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, log.cosigned(2)), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, signed_note(log.root(3), 3)), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, cosigned(log.root(3), 3, by=STRANGER)), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, cosigned(b"r" * 32, 3, signer=STRANGER)), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, b"not a note"), Fault.BAD_CHECKPOINT),
        (lambda log: welcome(3, log.cosigned(3), key=STRANGER), Fault.BAD_SIGNATURE),
        (lambda log: welcome(3, log.cosigned(3), nonce=b"g" * 32), Fault.BAD_SIGNATURE),
        (
            lambda log: message(3, 3, log.cosigned(3), NOW_MS + 1, link_signature(3, NOW_MS)),
            Fault.BAD_SIGNATURE,
        ),
        (lambda log: catchup(3, log.cosigned(3)), Fault.BAD_SIZE),
        (lambda log: catchup(4, signed_note(log.root(4), 4)), Fault.BAD_CHECKPOINT),
        (lambda log: message(4, 4, log.cosigned(4), NOW_MS, bytes(64)), Fault.BAD_SIGNATURE),
        (lambda log: message(5, b"x", b"y", 3, bytes(32)), Fault.BAD_CHECKPOINT),
        (lambda log: fork_of(log, 3, 3), Fault.FORK_UNPROVEN),
        (lambda log: fork_of(log, 3, 4), Fault.FORK_UNPROVEN),
        (lambda log: fork_of(log, 4, 3), Fault.FORK_UNPROVEN),
        (lambda log: message(5, log.signed, log.signed, 3, log.root(3)), Fault.FORK_UNPROVEN),
        (lambda log: ack(log.cosigned(3)), Fault.OUT_OF_TURN),
        (lambda log: message(31, NOW_MS), Fault.OUT_OF_TURN),
        (lambda log: reject("quarantined", "ask"), Fault.REJECTED),
        (lambda log: message(6, "made up", "x", None), Fault.REJECTED),
        (lambda log: b"", Fault.GARBAGE),
        (lambda log: b"\xff" * 40, Fault.GARBAGE),
        (lambda log: message(99), Fault.GARBAGE),
        (lambda log: message(3, -1, None, 0, bytes(64)), Fault.GARBAGE),
        (lambda log: message(3, 2**60, None, 0, bytes(64)), Fault.GARBAGE),
        (lambda log: b"\x84\x18\x03\x00\xf6\x00", Fault.GARBAGE),
        (lambda log: bytes(5 << 20), Fault.GARBAGE),
        (lambda log: message(6, "busy", "x", bytes(33 << 10)), Fault.GARBAGE),
        (lambda log: b"\x81" * 5000, Fault.GARBAGE),
        (lambda log: message(30, {"health": 1}), Fault.OUT_OF_TURN),
    ],
)
def test_a_lie_in_the_opening_ends_the_session_with_its_word(
    lie: Callable[[MemoryLog], bytes], expected: Fault
) -> None:
    log = MemoryLog.of(5)
    log.sign(3)
    log.acked = 2
    session = log.session()
    log.hear(session, challenge())
    assert fault(log.hear(session, lie(log))) is expected


@pytest.mark.parametrize(("said", "told"), [("busy", "busy"), ("made up", None)])
def test_only_words_of_the_protocol_are_told_on(said: str, told: str | None) -> None:
    """Else whoever is on the line would fill the counters with words of their own."""
    session = MemoryLog.of(1).session()
    assert only(Closed, session.receive(message(6, said, "x", None))).code == told


def test_the_longest_messages_of_an_honest_coordinator_are_read_and_nothing_longer_is_looked_at() -> None:
    note, bits = bytes(8 << 10), bytes(MAX_MESSAGE_BYTES // 32 // 8)
    for honest in (message(5, note, note, 3, bytes(32)), message(11, 2**52, bits), message(15, 2**52, bits)):
        assert len(honest) <= MAX_HEARD_BYTES
    session = MemoryLog.of(1).session()
    closed = only(Closed, session.receive(message(*range(24), bytes(MAX_HEARD_BYTES))))
    assert "are read" in closed.detail


def fork_of(log: MemoryLog, first: int, second: int) -> bytes:
    a, b = (signed_note(log.root(n), n) for n in (first, second))
    return message(5, a, b, first, b"\x01" * 32)


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        (lambda log: message(11, 9, b"\x0f"), Fault.OUT_OF_TURN),
        (lambda log: ack(log.cosigned(3)), Fault.BAD_SIZE),
        (lambda log: ack(log.cosigned(1)), Fault.BAD_SIZE),
        (lambda log: ack(log.cosigned(1), 2), Fault.BAD_CHECKPOINT),
        (lambda log: ack(cosigned(log.root(2), 2, by=STRANGER)), Fault.BAD_CHECKPOINT),
        (lambda log: ack(cosigned(b"r" * 32, 2)), Fault.BAD_CHECKPOINT),
        (lambda log: message(14, 2, 0, bytes(64)), Fault.BAD_CHECKPOINT),
        (lambda log: message(14, 2, 0, bytes(63)), Fault.GARBAGE),
        (lambda log: message(14, 2, 2**53, bytes(64)), Fault.GARBAGE),
        (lambda log: message(15, 0, b""), Fault.BAD_BITMAP),
        (lambda log: message(15, 0, b"\x1f"), Fault.BAD_BITMAP),
        (lambda log: message(15, 2, b"\x01"), Fault.OUT_OF_TURN),
        (lambda log: message(16, 7), Fault.OUT_OF_TURN),
        (lambda log: message(20, 1, [b"short"]), Fault.GARBAGE),
        (lambda log: message(20, 1, [b"h" * 32] * 257), Fault.GARBAGE),
        (lambda log: message(21, 1, [b"unasked"]), Fault.OUT_OF_TURN),
        (lambda log: message(12, 0, b""), Fault.OUT_OF_TURN),
        (lambda log: welcome(2, log.cosigned(2)), Fault.OUT_OF_TURN),
        (lambda log: message(6, "protocol", "you", None), Fault.REJECTED),
        (lambda log: fork_of(log, 2, 2), Fault.FORK_UNPROVEN),
    ],
)
def test_a_lie_about_a_batch_ends_the_session_with_its_word(
    lie: Callable[[MemoryLog], bytes], expected: Fault
) -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened()
    log.hear(session, message(11, 0, b"\x0f"))
    assert fault(log.hear(session, lie(log))) is expected


@pytest.mark.parametrize("bitmap", [b"", b"\x0f\x00", b"\x1f", b"\x80"])
def test_a_bitmap_of_another_length_is_refused(bitmap: bytes) -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened()
    assert fault(log.hear(session, message(11, 0, bitmap))) is Fault.BAD_BITMAP


def test_a_coordinator_that_never_has_enough_is_left() -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened()
    log.hear(session, message(11, 0, b"\x0f"))
    for bitmap in (b"\x01", b"\x02", b"\x03", b"\x04"):
        assert sent(log.hear(session, message(15, 0, bitmap)))
    assert fault(log.hear(session, message(15, 0, b"\x01"))) is Fault.INSATIABLE


def test_an_entry_that_fits_no_message_is_our_own_fault_and_said() -> None:
    log = MemoryLog.of(1)
    noise = random.Random(1).randbytes(5 << 20)
    object.__setattr__(log.entries[0].objects[0], "body", noise)
    object.__setattr__(log.entries[0].objects[0], "hash", sha256(b"\x02" + noise).digest())
    session, _ = log.opened()
    assert fault(log.hear(session, message(11, 0, b"\x03"))) is Fault.TOO_LARGE


def test_the_largest_entry_fits_its_messages_even_when_nothing_of_it_can_be_compressed() -> None:
    dice = random.Random(2)
    bodies = [dice.randbytes(36) for _ in range(MAX_ENTRY_BYTES // 36)]  # the smallest object is a key's
    objects = tuple(LoggedObject(sha256(b"\x02" + body).digest(), body) for body in bodies)
    log = MemoryLog([dataclasses.replace(logged(0), objects=objects)])
    session, events = log.opened()
    assert [m[0] for m in sent(events)] == [10]
    bitmap = ((1 << len(objects)) - 1).to_bytes(-(-len(objects) // 8), "little")
    assert [m[0] for m in sent(log.hear(session, message(11, 0, bitmap)))] == [12, 13]
    assert [m[0] for m in sent(log.hear(session, message(16, 0)))] == [17]
    assert [m[0] for m in sent(log.hear(session, message(15, 0, bitmap)))] == [18]


@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_the_session_raise(data: bytes) -> None:
    log = MemoryLog.of(1)
    session, _ = log.opened()
    assert all(isinstance(event, Closed) for event in log.hear(session, data))


@given(st.data())
def test_no_mutation_of_an_honest_message_makes_the_session_raise_or_ack(data: st.DataObject) -> None:
    log = MemoryLog.of(2)
    session, _ = log.opened()
    log.hear(session, message(11, 0, b"\x0f"))
    honest = bytearray(ack(log.cosigned(2)))
    honest[data.draw(st.integers(0, len(honest) - 1))] ^= data.draw(st.integers(1, 255))
    events = log.hear(session, bytes(honest))
    assert not [event for event in events if isinstance(event, Acked)]


def test_reasons_of_any_length_fit_a_heartbeat() -> None:
    told = told_reasons(["é" * 150, "short", *("more" for _ in range(100))])
    assert told[:2] == ["é" * 100, "short"]
    assert len(told) == 64
