"""The modem driver's pure pieces: budget, verdicts, records, settings, choices; and its spool."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverConfigError
from drivers.gsm_at.bringup import choose_indications
from drivers.gsm_at.budget import DAY_S, Budget, DayCount
from drivers.gsm_at.engine import Reply
from drivers.gsm_at.reassembly import Part
from drivers.gsm_at.records import (
    BadRecord,
    Outgoing,
    count_from_bytes,
    count_to_bytes,
    outgoing_from_bytes,
    outgoing_key,
    outgoing_to_bytes,
    part_from_bytes,
    part_to_bytes,
)
from drivers.gsm_at.rescue import in_order
from drivers.gsm_at.settings import GsmSettings
from drivers.gsm_at.spool import MAX_RECORD, PARTS, FileSpool
from drivers.gsm_at.userdata import Coding
from drivers.gsm_at.verdict import Verdict, judge
from drivers.transport.holders import holders
from drivers.transport.serial_port import interface_of, matching_ports

NOON = 20_000 * DAY_S + DAY_S / 2


def budget(**changes: int) -> Budget:
    settings = {"per_minute": 6, "per_day": 5, "reserve": 2} | changes
    return Budget(**settings, remembered=DayCount(20_000, 0), monotonic_s=0)


def test_a_message_may_go_at_once_and_the_next_after_its_share_of_a_minute() -> None:
    bucket = budget()
    assert bucket.wait_s(0) == 0
    bucket.spend(NOON, 0)
    assert bucket.wait_s(0) == pytest.approx(10)
    assert bucket.wait_s(9) == pytest.approx(1)
    assert bucket.wait_s(10) == pytest.approx(0)


def test_idling_saves_up_no_burst() -> None:
    bucket = budget()
    for _ in range(2):
        assert bucket.wait_s(100_000) == 0
        bucket.spend(NOON, 100_000)
    assert bucket.wait_s(100_000) > 9


def test_a_day_holds_so_many_and_keeps_a_reserve_for_answers() -> None:
    bucket = budget()
    for left in (3, 2, 1):
        assert bucket.left(NOON, 0, priority=1) == left
        bucket.spend(NOON, 0)
    assert bucket.left(NOON, 0, priority=1) == 0
    assert bucket.left(NOON, 0, priority=0) == 2
    bucket.refund()
    assert bucket.left(NOON, 0, priority=1) == 1
    assert bucket.left(NOON + DAY_S, 0, priority=1) == 3


def test_a_clock_set_back_buys_nothing_and_a_clock_once_wrong_blocks_a_day() -> None:
    bucket = budget(per_day=1, reserve=0)
    bucket.spend(NOON + 900 * DAY_S, 0)
    assert bucket.left(NOON, 60) == 0
    assert bucket.left(NOON, DAY_S) == 1
    assert bucket.count == DayCount(20_000, 0)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply("", (), "OK"), Verdict.SENT),
        (Reply("", (), "CMS", 28), Verdict.REFUSED),
        (Reply("", (), "CMS", 304), Verdict.REFUSED),
        (Reply("", (), "CMS", 38), Verdict.NOT_NOW),
        (Reply("", (), "CMS", 331), Verdict.NOT_NOW),
        (Reply("", (), "CME", 10), Verdict.NOT_NOW),
        (Reply("", (), "CMS", 500), Verdict.FAILED),
        (Reply("", (), "ERROR"), Verdict.FAILED),
    ],
)
def test_errors_are_judged_by_what_to_do_next(reply: Reply, verdict: Verdict) -> None:
    assert judge(reply) is verdict


@given(st.binary(max_size=200), st.text("0123456789", min_size=1, max_size=15), st.booleans())
def test_messages_to_send_come_back_from_disk(payload: bytes, number: str, text: bool) -> None:
    message = Outgoing(
        key=outgoing_key(number, payload, text),
        number=number,
        payload=payload,
        text=text,
        priority=1,
        queued_unix_s=1.5,
        reference=7,
        attempts=2,
        parts_sent=1,
    )
    assert outgoing_from_bytes(outgoing_to_bytes(message)) == message


def test_parts_and_counts_come_back_from_disk() -> None:
    part = Part(
        sender="+49",
        coding=Coding.UCS2,
        reference=1,
        reference_bits=8,
        total=2,
        sequence=1,
        data=b"\xd8\x3d",
        received_unix_s=1.0,
        digest="ab",
    )
    assert part_from_bytes(part_to_bytes(part)) == part
    assert count_from_bytes(count_to_bytes(DayCount(3, 4))) == DayCount(3, 4)


@pytest.mark.parametrize(
    "record", [b"", b"[]", b"{}", b'{"payload": 1}', b"\xff", b'{"payload": "%%"}', b"[" * 9999]
)
def test_a_record_that_is_none_is_refused(record: bytes) -> None:
    for decode in (outgoing_from_bytes, part_from_bytes, count_from_bytes):
        with pytest.raises(BadRecord):
            decode(record)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1}, {0, 1}], "2,1,0,1,0"),
        ([{0, 1, 2}, {0, 1, 2, 3}, {0, 2}, {0, 1, 2}, {0, 1}], "2,1,0,2,0"),
        ([{0, 1}, {0, 1}, {0}, {0}, {1}], "1,1,0,0,1"),
        ([{2}, {0, 2}, {0}, {1}, {0}], ""),
        ([], ""),
    ],
)
def test_indications_are_chosen_from_what_is_offered(offered: list[set[int]], chosen: str) -> None:
    assert choose_indications([frozenset(group) for group in offered]) == chosen


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"speed": 1}, "unknown setting 'speed'"),
        ({"interface": -1}, "interface is -1"),
        ({"interface": True}, "interface is True"),
        ({"per_minute": 6.5}, "whole number from 1 to 60"),
        ({"sweep_s": "60"}, "sweep_s is '60'"),
        ({"may_reset_bearer": 1}, "give true or false"),
        ({"pin": "12a4"}, "4 to 8 digits"),
        ({"port": ["a"]}, "give text"),
    ],
)
def test_settings_are_refused_with_what_is_allowed(settings: dict[str, object], word: str) -> None:
    with pytest.raises(DriverConfigError, match=word):
        GsmSettings.from_mapping(settings)


def test_settings_have_defaults_and_take_what_yaml_makes_of_them() -> None:
    assert GsmSettings.from_mapping({}) == GsmSettings()
    taken = GsmSettings.from_mapping({"interface": None, "pin": 1234, "spool": "/tmp/x", "sweep_s": 5})
    assert (taken.interface, taken.pin, taken.spool, taken.sweep_s) == (None, "1234", Path("/tmp/x"), 5.0)


def test_the_at_port_is_told_by_maker_and_interface() -> None:
    ports = [f"/dev/serial/by-id/usb-Quectel_LTE_1-if{number:02d}-port0" for number in range(4)]
    assert in_order(ports, None) == [ports[2]]
    assert in_order(ports, 3) == [ports[3]]
    newer = [f"/dev/serial/by-id/usb-SimTech__A76XX_Series_1-if{number:02d}-port0" for number in range(6)]
    assert in_order(newer, None) == [newer[4]]
    assert in_order(["/dev/serial0", "/dev/ttyUSB0"], None) == ["/dev/serial0", "/dev/ttyUSB0"]
    assert interface_of("/dev/ttyUSB2") is None


def test_a_pattern_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a-if02-port0").touch()
    assert matching_ports(f"{tmp_path}/*") == [f"{tmp_path}/a-if02-port0"]
    assert matching_ports(f"{tmp_path}/absent") == []


def test_nobody_holds_a_file_that_nobody_opened(tmp_path: Path) -> None:
    (tmp_path / "port").touch()
    assert holders(str(tmp_path / "port")) == []


def test_a_spool_replaces_as_a_whole_and_forgets_drafts(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    spool.put(PARTS, "a", b"1")
    spool.put(PARTS, "a", b"2")
    (tmp_path / PARTS / "b.new").write_bytes(b"half")
    assert FileSpool(tmp_path).read(PARTS) == {"a": b"2"}
    spool.remove(PARTS, "a")
    spool.remove(PARTS, "a")
    assert spool.read(PARTS) == {}


@pytest.mark.parametrize(("name", "record"), [("../x", b""), ("", b""), ("a", bytes(MAX_RECORD + 1))])
def test_a_spool_refuses_names_that_leave_it_and_records_without_bound(
    tmp_path: Path, name: str, record: bytes
) -> None:
    with pytest.raises(ValueError, match="no record"):
        FileSpool(tmp_path).put(PARTS, name, record)
