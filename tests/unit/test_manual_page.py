"""The manual page: every command and option is in it, and groff reads it without a word."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from gateway.cli import COMMANDS, main
from gateway.cli.manual import page


def test_every_command_is_in_the_manual_with_its_options() -> None:
    text = page().replace("\\-", "-")
    context = click.Context(main, info_name="offgrid-gateway")
    for name in COMMANDS:
        assert re.search(rf"^\.SS {name} ", text, re.MULTILINE), name
        command = main.get_command(context, name)
        assert command is not None
        for option in (name for one in command.params for name in one.opts if name.startswith("--")):
            assert option in text
    assert re.search(r"^\.SS log verify ", text, re.MULTILINE)


def test_no_line_is_taken_for_a_request() -> None:
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I"}
    lines = page().splitlines()
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= known


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not on PATH (Debian package groff-base)")
def test_groff_reads_it_without_a_word() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-Kutf8", "-ww"], input=page(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "support-bundle" in re.sub(".\b", "", done.stdout)
