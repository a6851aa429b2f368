"""The score keeps its promises to the operator's alert (below 50 pages somebody)."""

from __future__ import annotations

import pytest

from gateway.core.health import Facts, assess

ALERT = 50


def test_a_gateway_with_nothing_wrong_scores_100() -> None:
    health = assess(Facts(radios={"lora": True, "http": True}))
    assert (health.score, health.reasons) == (100, ())


@pytest.mark.parametrize(
    "facts",
    [
        Facts(radios={"lora": False}),
        Facts(radios={"lora": True}, store_refuses="disk full"),
        Facts(radios={"lora": True}, log_halted="fork"),
    ],
)
def test_what_stops_the_main_job_pages_somebody(facts: Facts) -> None:
    assert assess(facts).score < ALERT


@pytest.mark.parametrize(
    "facts",
    [
        Facts(radios={"lora": False, "http": True}),
        Facts(radios={"lora": True}, link_down_s=86_400),
        Facts(radios={"lora": True}, link_halted="coordinator key changed"),
    ],
)
def test_one_of_several_radios_or_the_backhaul_alone_does_not_page(facts: Facts) -> None:
    health = assess(facts)
    assert ALERT <= health.score < 100
    assert health.reasons


def test_a_dead_radio_is_named_with_what_is_known_of_it() -> None:
    facts = Facts(radios={"lora": False, "ble": False}, radio_faults={"lora": "no forwarder since 12 min"})
    assert assess(facts).reasons == ("no radio works (ble, lora: no forwarder since 12 min)",)


def test_a_link_that_was_not_tried_yet_is_no_fault_and_one_that_failed_is_told_with_its_words() -> None:
    assert assess(Facts(radios={"lora": True}, link_down_s=0)).score == 100
    assert assess(Facts(radios={"lora": True}, link_down_s=11)).score == 95
    [reason] = assess(Facts(radios={"lora": True}, link_down_s=0, link_fault="no such name")).reasons
    assert reason == "coordinator unreachable for 0 s (no such name)"


def test_every_deduction_has_a_reason_and_the_heaviest_stands_first() -> None:
    health = assess(
        Facts(
            radios={"lora": False},
            link_down_s=10,
            time_trusted=False,
            region_unset=True,
            certificate_expires_in_s=-1,
            free_disk=100 << 20,
            disk_floor=64 << 20,
            halted_services={"retention": "x"},
        )
    )
    points = [deduction.points for deduction in health.deductions]
    assert points == sorted(points, reverse=True)
    assert len(health.reasons) == 7
    assert health.score == 0


def test_a_certificate_warns_a_month_ahead() -> None:
    assert assess(Facts(certificate_expires_in_s=31 * 86_400)).score == 100
    assert "29 days" in assess(Facts(certificate_expires_in_s=29 * 86_400)).reasons[0]
