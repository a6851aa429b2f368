"""The last day's figures: in steps, bounded, and the same after a restart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chronicle import STEP_S, STEPS, Chronicle, ChronicleInvalid

AIRTIME_US = 61_696


def test_frames_are_counted_in_the_step_they_came_in_and_levels_are_means() -> None:
    day = Chronicle(0.0)
    day.heard("lora", AIRTIME_US, -100.0, 5.0, 1.0)
    day.heard("lora", AIRTIME_US, -110.0, 7.0, 2.0)
    day.heard("ble", 0, None, None, STEP_S + 1)
    day.sent("lora", 1_000_000, STEP_S + 2)
    shown = day.document(STEP_S + 3)
    assert shown["radios"]["lora"] == {
        "frames": [2, 0],
        "rssiDbm": [-105.0, None],
        "snrDb": [6.0, None],
        "heardSeconds": [0.123, 0.0],
        "sentSeconds": [0.0, 1.0],
    }
    assert shown["radios"]["ble"]["frames"] == [0, 1]
    assert shown["radios"]["ble"]["rssiDbm"] == [None, None]


def test_the_backlog_is_the_largest_seen_and_leaves_are_counted_from_the_first_reading() -> None:
    day = Chronicle(0.0)
    day.stands(1000, 3, 0.0)
    day.stands(1004, 7, 10.0)
    day.stands(1005, 0, 20.0)
    day.stands(1005, 1, STEP_S)
    shown = day.document(STEP_S)
    assert shown["backlog"] == [7, 1]
    assert shown["accepted"] == [5, 0]


@given(st.floats(0, 1e9))
def test_it_never_grows_beyond_a_day(later: float) -> None:
    day = Chronicle(0.0)
    day.heard("lora", AIRTIME_US, -100.0, 5.0, 0.0)
    shown = day.document(later)
    assert 1 <= len(shown["backlog"]) <= STEPS
    if later >= STEPS * STEP_S:
        assert shown["radios"] == {}


def test_a_restart_leaves_a_gap_as_long_as_it_took() -> None:
    day = Chronicle(0.0)
    day.heard("lora", AIRTIME_US, -100.0, 5.0, 0.0)
    kept = json.loads(json.dumps(day.kept(0.0)))
    after = Chronicle(7.0)
    after.restore(kept, 2 * STEP_S + 1, 7.0)
    assert after.document(7.0)["radios"]["lora"]["frames"] == [1, 0, 0, 0]


@pytest.mark.parametrize("age_s", [-1.0, STEPS * STEP_S, 1e12])
def test_a_day_of_another_time_is_not_shown(age_s: float) -> None:
    day = Chronicle(0.0)
    day.heard("lora", AIRTIME_US, -100.0, 5.0, 0.0)
    after = Chronicle(0.0)
    after.restore(day.kept(0.0), age_s, 0.0)
    assert after.document(0.0)["radios"] == {}


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {},
        [7],
        [{}],
        [{"backlog": 0, "accepted": 0, "radios": []}],
        [{"backlog": 0, "accepted": 0, "radios": {"lora": {"frames": "many"}}}],
        [{"backlog": 0, "accepted": 0, "radios": {}}] * (STEPS + 1),
    ],
)
def test_a_damaged_day_is_refused(kept: object) -> None:
    with pytest.raises(ChronicleInvalid):
        Chronicle(0.0).restore(kept, 0.0, 0.0)
