"""``token`` and ``audit-log`` as typed: what is made is shown once, written down, and can be taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.core.tokens import Scope, digest_of
from gateway.keys.tokens import TokenFile

CONFIG = """
gateway: {id: gw, location: {lat: 0, lon: 0, name: Here}, type: mesh}
network: {api_url: "http://localhost:1", ws_url: "ws://localhost:1"}
storage: {path: gateway.db}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


def typed(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(config)])


def test_a_token_is_shown_once_listed_and_revoked(config: Path) -> None:
    made = typed(config, "token", "add", "office", "--scope", "sync", "--days", "7")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    kept = TokenFile(config.with_name("tokens.json")).tokens()
    assert [(one.name, one.scopes, one.digest) for one in kept] == [
        ("office", frozenset({Scope.SYNC}), digest_of(secret))
    ]
    listed = typed(config, "token", "list")
    assert "office" in listed.stdout
    assert secret not in listed.stdout
    assert typed(config, "token", "revoke", "office").exit_code == 0
    assert typed(config, "token", "list").stdout == ""
    assert typed(config, "token", "revoke", "office").exit_code == 1


def test_making_a_token_is_an_act_and_an_edit_of_it_shows(config: Path) -> None:
    typed(config, "token", "add", "office")
    typed(config, "token", "revoke", "office")
    shown = typed(config, "audit-log", "--json")
    assert shown.exit_code == 0, shown.output
    assert [json.loads(line)["act"] for line in shown.stdout.splitlines()] == ["token add", "token revoke"]
    assert typed(config, "audit-log", "--act", "token revoke").stdout.count("\n") == 1
    assert typed(config, "audit-log", "--who", "nobody at all").stdout == ""
    log = config.with_name("audit.jsonl")
    log.write_text(log.read_text().replace("office", "hill"))
    edited = typed(config, "audit-log")
    assert edited.exit_code == 1
    assert "the chain is broken at line 2" in edited.stderr
