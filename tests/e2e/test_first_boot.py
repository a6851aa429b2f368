"""A flashed card sets itself up from a file on its boot partition: once, and says what is wrong with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import access_point, main
from gateway.config import load

CARD = """\
id: gw_hill_03
region: EU868
place: {lat: 48.2, lon: 16.3, name: "Market, by the well"}
coordinator: https://api.example.org wss://gateway.example.org
radios: lora
token: "s3cret-Token"
"""
ACCESS_POINT = 'access_point: {ssid: "Hill 03", passphrase: "very secret; \\\\o/", country: AT}\n'


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The boot partition; NetworkManager's profiles are beside it."""
    (tmp_path / "boot").mkdir()
    (tmp_path / "profiles").mkdir()
    monkeypatch.setattr(access_point, "PROFILES", tmp_path / "profiles")
    monkeypatch.setattr(access_point.open_access_point, "__defaults__", ("wlan0", tmp_path / "profiles"))
    return tmp_path / "boot"


def first_boot(boot: Path, card: str | None = None) -> Result:
    if card is not None:
        (boot / "offgrid.yml").write_text(card)
    config = boot.parent / "etc" / "config.yml"
    return CliRunner().invoke(main, ["first-boot", "--config", str(config), str(boot / "offgrid.yml")])


def test_a_card_becomes_a_configuration_keys_and_a_token_that_waits_for_the_network(boot: Path) -> None:
    assert first_boot(boot, CARD).exit_code == 0
    etc = boot.parent / "etc"
    config = load(etc / "config.yml")
    assert (config.gateway.id, config.network.ws_url) == ("gw_hill_03", "wss://gateway.example.org")
    assert config.lora is not None and config.lora.region == "EU868"
    token = etc / "enrolment.token"
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == ("s3cret-Token\n", 0o600)
    assert sorted(file.name for file in boot.iterdir()) == ["offgrid-done.yml", "offgrid-ready.txt"]
    assert "s3cret-Token" not in (boot / "offgrid-done.yml").read_text()
    assert "gw_hill_03 is set up; its public key is " in (boot / "offgrid-ready.txt").read_text()


def test_what_is_wrong_is_written_beside_the_card_by_line_and_without_the_secret(boot: Path) -> None:
    card = (
        CARD.replace("EU868", "EU433")
        .replace('"s3cret-Token"', '"two words"')
        .replace("lat: 48.2", "lat: 148")
    )
    done = first_boot(boot, card)
    told = (boot / "offgrid-errors.txt").read_bytes().decode()
    assert done.exit_code == 2
    assert "offgrid.yml was not taken:\r\n" in told
    assert "offgrid.yml:2:9: region: saw 'EU433'; allowed: EU868, US915" in told
    assert "offgrid.yml:3:14: place.lat: saw 148" in told
    assert "offgrid.yml:6:8: token: allowed: the enrolment token" in told
    assert "two words" not in told
    assert (boot / "offgrid.yml").exists()
    assert not (boot.parent / "etc" / "config.yml").exists()

    assert first_boot(boot, CARD).exit_code == 0  # mended
    assert not (boot / "offgrid-errors.txt").exists()


def test_what_only_init_can_judge_is_told_on_the_card_too(boot: Path) -> None:
    assert first_boot(boot, CARD.replace("radios: lora", "radios: gsm")).exit_code == 2
    assert "--radios: no 'gsm' here" in (boot / "offgrid-errors.txt").read_text()


def test_a_gateway_that_is_set_up_is_not_set_up_by_another_card(boot: Path) -> None:
    first_boot(boot, CARD)
    config = (boot.parent / "etc" / "config.yml").read_text()
    assert first_boot(boot, CARD.replace("gw_hill_03", "gw_other")).exit_code == 1
    assert "is set up already" in (boot / "offgrid-errors.txt").read_text()
    assert (boot.parent / "etc" / "config.yml").read_text() == config


@pytest.mark.parametrize("removed", [False, True])
def test_a_power_cut_on_the_way_costs_nothing(boot: Path, removed: bool) -> None:
    first_boot(boot, CARD)
    etc = boot.parent / "etc"
    key = (etc / "keys" / "gateway.key").read_bytes()
    (boot / "offgrid-done.yml").rename(boot / "offgrid.yml")  # as if the last step had not been
    if not removed:
        (boot / "offgrid.yml").write_text(CARD)
    assert first_boot(boot).exit_code == 0
    assert (etc / "keys" / "gateway.key").read_bytes() == key
    assert (etc / "enrolment.token").read_text() == "s3cret-Token\n"
    assert not (boot / "offgrid.yml").exists()


def test_an_access_point_is_opened_where_the_card_asks_for_one(boot: Path) -> None:
    assert first_boot(boot, CARD + ACCESS_POINT).exit_code == 0
    profile = boot.parent / "profiles" / "offgrid-access-point.nmconnection"
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600  # NetworkManager takes no other
    lines = profile.read_text().splitlines()
    assert {"mode=ap", "ssid=Hill\\s03", "psk=very\\ssecret;\\s\\\\o/", "method=shared"} <= set(lines)
    assert "very secret" not in (boot / "offgrid-done.yml").read_text()


def test_an_access_point_is_closed_and_its_passphrase_forgotten(boot: Path) -> None:
    on = ["access-point", "on", "--ssid", "Hill", "--country", "AT"]
    short = CliRunner().invoke(main, on, input="short\n")
    assert short.exit_code == 1
    assert "the passphrase 8 to 63" in short.output
    profile = boot.parent / "profiles" / "offgrid-access-point.nmconnection"
    assert not profile.exists()
    assert CliRunner().invoke(main, on, input="long enough\n").exit_code == 0
    assert profile.exists()
    assert CliRunner().invoke(main, ["access-point", "off"]).exit_code == 0
    assert not profile.exists()


def test_without_network_manager_the_access_point_says_what_is_missing(boot: Path) -> None:
    (boot.parent / "profiles").rmdir()
    assert first_boot(boot, CARD + ACCESS_POINT).exit_code == 1
    assert "sudo apt install network-manager" in (boot / "offgrid-errors.txt").read_text()
