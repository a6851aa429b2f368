"""The command over all benchmarks: what it finds, what it tells, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import suite
from benchmarks.__main__ import main
from benchmarks.figure import Figure
from benchmarks.suite import Outcome, document


def test_a_figure_holds_on_its_side_of_the_limit_and_is_told_as_a_ratio() -> None:
    assert Figure("", "ms", 2.0, 4.0).holds
    assert not Figure("", "ms", 4.1, 4.0).holds
    assert Figure("", "1/s", 4.0, 4.0, "more").holds
    assert not Figure("", "1/s", 3.9, 4.0, "more").holds
    assert Figure("", "", 7.0).holds
    assert Figure("", "ms", 2.0, 4.0).ratio == 0.5
    assert Figure("", "", 2.0, 0.0).ratio is None
    assert "NOT HELD" in Figure("ack", "ms", 4.1, 4.0).line()


def test_every_benchmark_that_gives_figures_is_found_by_name() -> None:
    expected = {
        "ack_latency",
        "idle",
        "kill_nine",
        "outage",
        "pipeline",
        "power_cuts",
        "season",
        "sync_overhead",
    }
    assert expected <= set(suite.names())
    assert not {"figure", "suite", "__main__", "recording_disk"} & set(suite.names())


def test_one_that_fails_is_told_and_the_report_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    monkeypatch.setattr(suite, "names", lambda: ["nowhere"])
    monkeypatch.setattr("benchmarks.__main__.names", lambda: ["nowhere"])
    assert main(["--quick", "--json", str(report), "nowhere"]) == 1
    assert "ModuleNotFoundError" in capsys.readouterr().out
    told = json.loads(report.read_text())
    assert not told["holds"]
    assert "ModuleNotFoundError" in told["benchmarks"]["nowhere"]["error"]


def test_a_benchmark_nobody_has_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pipline"])
    assert "no benchmark pipline" in capsys.readouterr().err


def test_the_report_holds_where_every_figure_does() -> None:
    good = Outcome("one", [Figure("a", "ms", 1.0, 2.0)], 0.1)
    bad = Outcome("two", [Figure("b", "ms", 3.0, 2.0)], 0.1)
    assert document([good], quick=False)["holds"] is True
    assert document([good, bad], quick=False)["holds"] is False
