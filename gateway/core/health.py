"""The health score: 100 minus documented deductions, each with its reason.

    deduction                                    code             points   why this many
    log halted (fork, restore, shrunken tree)    log_halted           60   below 50: nothing can be promised
    store refuses (disk floor, write errors)     store_refuses        60   below 50: nothing can be accepted
    no radio works                               no_radio             60   below 50: nobody can be heard
    one of several radios does not work          radio_down           20   not below 50: others hear
    coordinator unreachable for over 5 min       link_down            30   not below 50: evidence is kept
    coordinator unreachable, up to 5 min         link_down             5   once an attempt failed
    coordinator session waits for a person       link_halted          30
    the log began again, nobody has looked why   epoch_begun          20   not below 50: it goes on
    another service waits for a person           service_halted       10
    free disk under twice the floor              disk_low             10
    LoRa configured, region not set              region_unset          5   hears, never answers
    certificate expires within 30 days / expired certificate        5/15
    time untrusted                               time_untrusted        5
    the month's traffic is used up               traffic               5   sync goes on, backups wait

The score never falls below 0. The operator's alert fires below 50 for ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LINK_GRACE_S = 300.0
LINK_SETTLES_S = 10.0
"""So long a gateway that has just started may take; an attempt that failed is told at once."""
CERTIFICATE_WARNING_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Deduction:
    """Points taken off, and why: a code for metrics, and words for an operator."""

    points: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the score is computed from; gathered by the daemon, seconds where a duration is meant."""

    log_halted: str | None = None
    epoch_begun: str | None = None
    store_refuses: str | None = None
    radios: Mapping[str, bool] = field(default_factory=dict)  # configured radio → works now
    radio_faults: Mapping[str, str] = field(default_factory=dict)  # of one that does not: what is known of it
    link_down_s: float | None = None  # None: connected, or no coordinator configured
    link_fault: str = ""
    link_halted: str | None = None
    halted_services: Mapping[str, str] = field(default_factory=dict)
    free_disk: int | None = None  # bytes
    disk_floor: int = 0  # bytes
    region_unset: bool = False
    certificate_expires_in_s: float | None = None
    time_trusted: bool = True
    traffic_used: float = 0.0  # share of the month's budget


@dataclass(frozen=True, slots=True)
class Health:
    """Score 0 to 100 and the deductions that made it, heaviest first."""

    score: int
    deductions: tuple[Deduction, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(deduction.reason for deduction in self.deductions)


def assess(facts: Facts) -> Health:
    """The score for these facts."""
    deductions = tuple(sorted(_deductions(facts), key=lambda deduction: -deduction.points))
    return Health(max(0, 100 - sum(deduction.points for deduction in deductions)), deductions)


def _deductions(facts: Facts) -> Iterator[Deduction]:
    if facts.log_halted is not None:
        yield Deduction(60, "log_halted", f"the log waits for a person: {facts.log_halted}")
    if facts.store_refuses is not None:
        yield Deduction(60, "store_refuses", f"the store refuses new snapshots: {facts.store_refuses}")
    if facts.epoch_begun is not None:
        yield Deduction(20, "epoch_begun", f"the log began again: {facts.epoch_begun}")
    yield from _radios(facts.radios, facts.radio_faults)
    yield from _link(facts)
    for name, reason in facts.halted_services.items():
        yield Deduction(10, "service_halted", f"{name} waits for a person: {reason}")
    if facts.free_disk is not None and facts.free_disk < 2 * facts.disk_floor and not facts.store_refuses:
        yield Deduction(
            10,
            "disk_low",
            f"only {facts.free_disk >> 20} MiB of disk free, the floor is {facts.disk_floor >> 20}",
        )
    if facts.region_unset:
        yield Deduction(5, "region_unset", "lora.region is not set: LoRa is heard but never answered")
    yield from _certificate(facts.certificate_expires_in_s)
    if facts.traffic_used >= 1:
        yield Deduction(
            5, "traffic", f"{facts.traffic_used:.0%} of the month's traffic is used: what can wait, waits"
        )
    if not facts.time_trusted:
        yield Deduction(
            5, "time_untrusted", "the time is not trusted yet: no coordinator, GPS or NTP has confirmed it"
        )


def _radios(radios: Mapping[str, bool], faults: Mapping[str, str]) -> Iterator[Deduction]:
    dead = sorted(name for name, works in radios.items() if not works)
    if not dead:
        return
    names = ", ".join(f"{name}: {faults[name]}" if faults.get(name) else name for name in dead)
    if len(dead) == len(radios):
        yield Deduction(60, "no_radio", f"no radio works ({names})")
    else:
        yield Deduction(20, "radio_down", f"radio not working: {names}")


def _link(facts: Facts) -> Iterator[Deduction]:
    if facts.link_halted is not None:
        yield Deduction(30, "link_halted", f"sync waits for a person: {facts.link_halted}")
    elif facts.link_down_s is not None and (facts.link_fault or facts.link_down_s >= LINK_SETTLES_S):
        why = f" ({facts.link_fault})" if facts.link_fault else ""
        if facts.link_down_s > LINK_GRACE_S:
            reason = f"coordinator unreachable for {facts.link_down_s / 60:.0f} min{why}"
            yield Deduction(30, "link_down", reason)
        else:
            yield Deduction(5, "link_down", f"coordinator unreachable for {facts.link_down_s:.0f} s{why}")


def _certificate(expires_in_s: float | None) -> Iterator[Deduction]:
    if expires_in_s is None or expires_in_s > CERTIFICATE_WARNING_S:
        return
    if expires_in_s <= 0:
        yield Deduction(15, "certificate", "the gateway's certificate has expired")
    else:
        yield Deduction(
            5, "certificate", f"the gateway's certificate expires in {expires_in_s / 86_400:.0f} days"
        )
