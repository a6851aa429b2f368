"""The audit at the end: what the gateway promised against what the coordinator holds; a table, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from simulators.demo.carriers import Tally
from simulators.textbook.objects import object_hash
from simulators.wallets import Payment
from simulators.wallets.receipts import Promised

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RadioReport:
    """One radio's sums. `accepted` and what follows count contents; `sent` and `unanswered` messages."""

    radio: str
    wallets: int
    sent: int
    accepted: int
    refused: Mapping[str, int]
    unanswered: int
    acked: int
    lost: int
    duplicated: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known at the end. `failures` in words; empty when all is well.

    `settled`: every wallet was done by the deadline; what was not handed over was never promised: no loss.
    """

    seconds: float
    seed: int
    settled: bool
    radios: Sequence[RadioReport]
    payments: int
    payments_verified_by_coordinator: int
    payments_stored_twice: int
    entries: int
    entries_at_coordinator: int
    root: str
    roots_equal: bool
    promises_verified: int
    promises_failed: int
    proofs_asked: int
    proofs_verified: int
    proofs_failed: int
    double_spends_made: int
    conflicts_kept: int
    checkpoints_by_text: int
    backhaul_down_s: float
    backlog_most: int
    failures: Sequence[str] = field(default_factory=tuple)
    forgeries_refused: int = 0
    """Of what http refused: handed in to be refused."""

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"ok": not self.failures}


class Held:
    """What the coordinator holds: each content, and each place in a log that covers it."""

    def __init__(self, accepted: Mapping[str, Any], payments: Iterable[Payment]) -> None:
        transactions = accepted["transactions"]
        self.transactions: Mapping[str, Mapping[str, Any]] = transactions
        self._places = {bytes.fromhex(one): _places(held) for one, held in accepted["snapshots"].items()}
        for payment in payments:
            held = transactions.get(payment.transaction.identity.hex())
            if held is not None:  # loose transactions are promised by their object's hash
                self._places[object_hash(payment.transaction.encode())] = _places(held)

    def has(self, promised: Promised) -> bool:
        """At the very place that was promised."""
        return (promised.origin, promised.index) in self._places.get(promised.content, ())

    def times(self, content: bytes) -> int:
        """How often one gateway's log covers it."""
        return max(Counter(origin for origin, _ in self._places.get(content, ())).values(), default=0)


def _places(held: Mapping[str, Any]) -> list[Place]:
    return [(str(one["origin"]), int(one["index"])) for one in held["heard"]]


def radio_report(radio: str, wallets: int, tally: Tally, held: Held) -> RadioReport:
    """One row."""
    promises = {promised.content: promised for promised in tally.promises}
    acked = sum(held.has(promised) for promised in promises.values())
    return RadioReport(
        radio,
        wallets,
        tally.sent,
        len(promises),
        dict(sorted(tally.refused.items())),
        tally.unanswered,
        acked,
        len(promises) - acked,
        sum(held.times(content) > 1 for content in promises),
    )


def failures(report: Report) -> list[str]:
    """What must not be, in words."""
    found = []
    for radio in report.radios:
        if radio.lost:
            found.append(f"{radio.radio}: {radio.lost} promised, and not at the coordinator")
        if radio.duplicated:
            found.append(f"{radio.radio}: {radio.duplicated} twice in the log")
        if not radio.accepted:
            found.append(f"{radio.radio}: nothing was accepted")
    if not report.roots_equal:
        found.append(f"the roots differ: {report.entries} and {report.entries_at_coordinator} entries")
    if report.promises_failed:
        found.append(f"{report.promises_failed} promises do not verify")
    if report.proofs_failed or not report.proofs_verified:
        found.append(f"{report.proofs_failed} proofs do not verify, {report.proofs_verified} do")
    if report.payments_stored_twice:
        found.append(f"{report.payments_stored_twice} payments are stored twice")
    if report.conflicts_kept < report.double_spends_made:
        found.append(f"{report.double_spends_made} double spends, {report.conflicts_kept} conflicts kept")
    return found


HEADINGS = ("radio", "wallets", "sent", "accepted", "acked", "lost", "duplicated", "unanswered", "refused")


def table(report: Report) -> list[str]:
    """For people."""
    rows = [HEADINGS, *(_row(radio) for radio in report.radios)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return [*lines, "", *_sums(report)]


def _sums(report: Report) -> list[str]:
    equal = "equal" if report.roots_equal else "DIFFERENT"
    log = f"{report.entries} entries, {report.entries_at_coordinator} cosigned, roots {equal}"
    verified, twice = report.payments_verified_by_coordinator, report.payments_stored_twice
    promises = f"{report.promises_verified} promises verified offline, {report.promises_failed} failed"
    proofs = f"{report.proofs_verified} of {report.proofs_asked} proofs asked for came and verified"
    texts = f"{report.checkpoints_by_text} checkpoint by text message"
    unsettled = [] if report.settled else ["unsettled some wallets were not done by the deadline"]
    made, else_refused = report.forgeries_refused, _else_refused(report)
    return [
        *unsettled,
        "village   lies beyond the hill: its packet forwarder reaches us over UDP: a second LoRa radio",
        f"refused   {made} on purpose: a forger hands in others' ledgers that it has tampered with, by http"
        + (f"; {else_refused} not on purpose" if else_refused else ""),
        f"log       {log}",
        f"payments  {report.payments} made, {verified} verified by the coordinator, {twice} stored twice",
        f"receipts  {promises}; {proofs}",
        f"backhaul  down for {report.backhaul_down_s:.1f} s, backlog up to {report.backlog_most}; {texts}",
        f"evidence  {report.double_spends_made} double spend made, {report.conflicts_kept} kept as conflict",
    ]


def _else_refused(report: Report) -> int:
    return sum(sum(radio.refused.values()) for radio in report.radios) - report.forgeries_refused


def _row(radio: RadioReport) -> tuple[str, ...]:
    refused = ", ".join(f"{count} {word}" for word, count in radio.refused.items()) or "0"
    figures = (radio.wallets, radio.sent, radio.accepted, radio.acked, radio.lost, radio.duplicated)
    return (radio.radio, *map(str, figures), str(radio.unanswered), refused)
