"""What a check is, what it is given, and what it says: pass, warn, fail or skip, with the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.config import Config, RadioSetup, gps_setup, radio_setups
from gateway.services.doctor.host import Host

Verdict = Literal["pass", "warn", "fail", "skip"]
ORDER: Sequence[Verdict] = ("skip", "pass", "warn", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined. ``config`` None: unsound, ``problems`` says why. ``status``: what the running gateway
    says of itself; None: it does not run."""

    host: Host
    config_path: Path
    config: Config | None = None
    problems: Sequence[str] = ()
    status: Mapping[str, Any] | None = None

    @property
    def sound(self) -> Config:
        """For checks that are not asked without a configuration."""
        assert self.config is not None  # noqa: S101 - the examination skips them
        return self.config

    def radios(self, driver: str) -> list[RadioSetup]:
        """Those that this driver serves."""
        return [setup for setup in radio_setups(self.sound) if setup.driver == driver]

    def serial_paths(self) -> dict[str, str]:
        """Serial devices of this machine by the setting that names them; patterns as they are written."""
        config, found = self.sound, {}
        gps = gps_setup(config)
        if gps is not None:
            found["gps.address"] = str(gps.settings["address"])
        if config.gsm is not None:
            found["gsm.port"] = config.gsm.port
        if config.ble is not None and config.ble.controller.startswith("serial:"):
            found["ble.controller"] = config.ble.controller.removeprefix("serial:").split(",")[0]
        return {setting: path for setting, path in found.items() if path.startswith("/dev/")}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check saw; ``fix`` for warn and fail."""

    verdict: Verdict
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """``why`` it matters, in words for whoever stands before it. ``needs_config``: else skipped."""

    name: str
    why: str
    look: Callable[[Patient], Outcome]
    needs_config: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A check and what it saw."""

    name: str
    verdict: Verdict
    seen: str
    why: str
    fix: str = ""


def passed(seen: str) -> Outcome:
    return Outcome("pass", seen)


def warned(seen: str, fix: str) -> Outcome:
    return Outcome("warn", seen, fix)


def failed(seen: str, fix: str) -> Outcome:
    return Outcome("fail", seen, fix)


def skipped(seen: str) -> Outcome:
    return Outcome("skip", seen)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Of all; ``skip`` where there is nothing else."""
    return max((finding.verdict for finding in findings), key=ORDER.index, default="skip")


def exit_code(findings: Iterable[Finding]) -> int:
    """0 nothing to do, 1 warnings, 2 something failed."""
    return {"warn": 1, "fail": 2}.get(worst(findings), 0)


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """For programs and for the page."""
    counts = {verdict: sum(one.verdict == verdict for one in findings) for verdict in ORDER}
    return {"verdict": worst(findings), "counts": counts, "checks": [asdict(one) for one in findings]}
