"""Each fault of a modem, in the middle of receiving and of sending, through the daemon.

With every timeout as shipped, and kills at each step between: ``python -m benchmarks sms_faults``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.sms_faults import TROUBLES, family
from simulators.modem.profiles import PROFILES

QUICK = {"answer_s": 0.3, "send_s": 1.5, "sweep_s": 1, "poll_s": 1, "restart_s": 3, "per_minute": 60}


async def test_no_fault_loses_or_doubles_what_was_promised_and_every_modem_recovers(tmp_path: Path) -> None:
    troubles = {name: replace(one, lasts_s=one.lasts_s / 40) for name, one in TROUBLES.items()}
    outcome = await family(tmp_path, PROFILES["EC25"], troubles, QUICK, boot_s=0.2)
    assert len(outcome.seconds) == 2 * len(TROUBLES)
    assert (outcome.lost, outcome.doubled, outcome.left_on_sims, outcome.others_restarted) == (0, 0, 0, 0)
