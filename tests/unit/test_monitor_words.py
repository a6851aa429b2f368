"""Health in the log: a start is no warning, and what waits for a person is."""

from __future__ import annotations

import logging

import pytest

from gateway.core.health import Facts, assess
from gateway.services.monitor import say


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (Facts(radios={"lora": True}), logging.INFO),
        (Facts(radios={"lora": True}, time_trusted=False, link_down_s=1, link_fault="refused"), logging.INFO),
        (Facts(radios={"lora": True}, link_halted="not registered"), logging.WARNING),
        (Facts(radios={"lora": False}), logging.WARNING),
        (Facts(radios={"lora": True}, certificate_expires_in_s=86_400.0), logging.WARNING),
        (Facts(radios={"lora": True}, link_down_s=301), logging.WARNING),
    ],
)
def test_health_warns_of_what_does_not_mend_itself(
    facts: Facts, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    say(assess(facts))
    [record] = caplog.records
    assert (record.message, record.levelno) == ("health", level)
