"""What a start makes of the coordinator's settings on disk: in force, tried once, undone, or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gateway.app.starting import start, write
from gateway.cli import main
from gateway.config import applied as disk
from gateway.config import load
from gateway.core.applied import Applied, Trial
from gateway.errors import ConfigError

FEW, MORE = {"sync": {"batch_entries": 5}}, {"sync": {"batch_entries": 6}}
BAD = {"sync": {"batch_entries": 0}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    settings: dict[str, Any] = {
        "gateway": {"id": "gw", "location": {"lat": 1.0, "lon": 2.0, "name": "here"}, "type": "mesh"},
        "network": {"api_url": "https://c.example", "ws_url": "wss://c.example"},
        "storage": {"path": "gateway.db"},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def keep(file: Path, applied: Applied) -> None:
    write(file.with_name("applied.json"), applied)


def kept(file: Path) -> Applied:
    return disk.read(file.with_name("applied.json"))


def on_trial(settings: dict[str, Any], *, started: bool = False) -> Applied:
    confirmed = Applied(version=1, settings=FEW, tried=1)
    return confirmed.begun(Trial(version=2, settings=settings, score=100, started=started))


def test_what_was_applied_wins_over_the_file_and_every_command_sees_it(file: Path) -> None:
    assert load(file).sync.batch_entries == 256
    keep(file, Applied(version=1, settings=FEW, tried=1))
    assert load(file).sync.batch_entries == 5
    config, said = start(file)
    assert (config.sync.batch_entries, said) == (5, "")


def test_a_trial_is_started_once_and_marked_and_the_next_start_goes_back(file: Path) -> None:
    keep(file, on_trial(MORE))
    config, said = start(file)
    assert (config.sync.batch_entries, said) == (6, "")
    trial = kept(file).trial
    assert trial is not None
    assert trial.started
    config, said = start(file)
    assert config.sync.batch_entries == 5
    assert said.startswith("version 2 was rolled back: ")
    assert (kept(file).trial, kept(file).version) == (None, 1)


def test_a_trial_that_does_not_fit_the_file_is_rolled_back_at_once(file: Path) -> None:
    keep(file, on_trial(BAD))
    config, said = start(file)
    assert config.sync.batch_entries == 5
    assert "sync.batch_entries" in said
    assert kept(file).trial is None


def test_confirmed_settings_that_no_longer_fit_are_left_out_and_said(file: Path) -> None:
    keep(file, Applied(version=1, settings=BAD, tried=1))
    config, said = start(file)
    assert config.sync.batch_entries == 256
    assert "sync.batch_entries" in said
    with pytest.raises(ConfigError, match="applied by the coordinator: sync"):
        load(file)


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"trial": {"version": 1}})])
def test_a_damaged_record_leaves_the_file_alone_in_force(file: Path, content: str) -> None:
    file.with_name("applied.json").write_text(content)
    config, said = start(file)
    assert config.sync.batch_entries == 256
    assert "is damaged; delete it" in said


def test_a_file_that_is_wrong_itself_is_told_as_ever(file: Path) -> None:
    file.write_text(file.read_text() + "sync: {batch_entries: 0}\n")
    with pytest.raises(ConfigError):
        start(file)
    keep(file, Applied(version=1, settings=MORE, tried=1))
    assert start(file)[0].sync.batch_entries == 6


def test_a_person_at_the_gateway_sees_what_was_applied_and_is_rid_of_it(file: Path) -> None:
    keep(file, on_trial(MORE).confirmed())
    shown = CliRunner().invoke(main, ["applied", "--config", str(file)])
    assert shown.output.startswith("version 2 is in force\n")
    assert '"batch_entries": 6' in shown.output
    dropped = CliRunner().invoke(main, ["applied", "--config", str(file), "--drop"])
    assert (dropped.exit_code, kept(file).in_force, kept(file).tried) == (0, {}, 2)
