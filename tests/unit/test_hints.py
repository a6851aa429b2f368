"""Commands named in messages and documents exist, and are completed to what the user has to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import COMMANDS, main
from gateway.cli.hints import completed
from gateway.cli.options import config_option

ROOT = Path(__file__).parents[2]
CALLED = re.compile(r"(?:run: |`|sudo |bin/)offgrid-gateway ([a-z]+(?:-[a-z]+)*)\b")
"""Where a sentence only speaks of the program, something else stands before its name."""


@click.command()
@config_option
def speak(config_path: Path) -> None:
    click.echo(completed("no key; run: offgrid-gateway keygen, or: offgrid-gateway log verify"))


def said(*arguments: str, **environment: str) -> str:
    from click.testing import CliRunner

    return CliRunner().invoke(speak, arguments, env=environment).output.strip()


def test_a_command_is_completed_by_the_configuration_that_was_named() -> None:
    plain = "no key; run: offgrid-gateway keygen, or: offgrid-gateway log verify"
    assert said() == plain
    named = (
        "no key; run: offgrid-gateway keygen --config c.yml, or: offgrid-gateway log verify --config c.yml"
    )
    assert said("--config", "c.yml") == named
    assert said(OFFGRID_CONFIG="c.yml") == named
    assert said("-c", "my c.yml") == named.replace("c.yml", "'my c.yml'")


@pytest.mark.parametrize(
    "text",
    [
        "sudo systemctl stop offgrid-gateway and start it again",
        "offgrid-gateway.service keygen",
        "run: offgrid-gateway run --config other.yml",
        "/opt/offgrid-gateway/current",
    ],
)
def test_what_is_no_bare_command_of_ours_stays_as_it_is(text: str) -> None:
    with click.Context(main) as context:
        context.meta["gateway.cli.config"] = Path("c.yml")
        assert completed(text) == text
        assert completed("offgrid-gateway restart lora") == "offgrid-gateway restart --config c.yml lora"
        assert completed("offgrid-gateway token add NAME") == "offgrid-gateway token add --config c.yml NAME"
        assert completed("offgrid-gateway check-config, then") == "offgrid-gateway check-config c.yml, then"


def _sources() -> Iterator[Path]:
    for folder, kinds in (("gateway", "*.py"), ("drivers", "*.py"), ("docs", "*.md")):
        yield from (ROOT / folder).rglob(kinds)
    yield from (ROOT / "README.md", ROOT / "config.example.yml")


def test_every_command_that_a_message_or_a_document_names_exists() -> None:
    unknown = {}
    for path in _sources():
        for word in CALLED.findall(path.read_text()):
            if word not in COMMANDS:
                unknown[f"{path.relative_to(ROOT)}: {word}"] = word
    assert unknown == {}
