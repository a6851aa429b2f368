"""``access-point``: a Wi-Fi of the gateway's own, by NetworkManager: phones beside it reach the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from gateway.config.card import AccessPoint
from gateway.errors import CommandError
from gateway.keys import durable

NAME = "offgrid-access-point"
PROFILES = Path("/etc/NetworkManager/system-connections")
ADDRESS = "10.42.0.1"
TOOL_S = 60.0


@click.group("access-point")
def command() -> None:
    """A Wi-Fi of the gateway's own; off until it is asked for."""


@command.command("on")
@click.option("--ssid", required=True, help="Its name, 1 to 32 characters.")
@click.option("--country", required=True, metavar="CC", help="Whose radio rules it keeps, such as DE.")
@click.option("--interface", default="wlan0", show_default=True)
def on(ssid: str, country: str, interface: str) -> None:
    """Open it, now and after every boot. The passphrase is asked for, or read from standard input."""
    try:
        point = AccessPoint(ssid=ssid, country=country, passphrase=_passphrase())
    except ValidationError as error:
        wrong = ", ".join(str(finding["loc"][0]) for finding in error.errors(include_input=False))
        raise CommandError(
            f"not as it has to be: {wrong}; the name has 1 to 32 characters, the passphrase 8 to 63, "
            "the country two capitals"
        ) from None
    click.echo(open_access_point(point, interface))


@command.command("off")
def off() -> None:
    """Close it, and forget its passphrase."""
    try:
        _profile().unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(error) from error
    _tell("nmcli", "connection", "reload")
    click.echo("no access point")


def open_access_point(point: AccessPoint, interface: str = "wlan0", folder: Path = PROFILES) -> str:
    """Write the profile and have NetworkManager take it. Returns what to say; raises CommandError."""
    if not folder.is_dir():
        raise CommandError(
            f"{folder} is not there: the access point needs NetworkManager; "
            "run: sudo apt install network-manager"
        )
    path = folder / f"{NAME}.nmconnection"
    try:
        path.unlink(missing_ok=True)
        durable.create(path, profile(point, interface).encode(), mode=0o600)  # NetworkManager takes no other
    except OSError as error:
        raise _unwritable(error) from error
    _tell("raspi-config", "nonint", "do_wifi_country", point.country)  # Raspberry Pi OS blocks Wi-Fi before
    _tell("nmcli", "connection", "reload")
    _tell("nmcli", "connection", "up", NAME)
    return f"access point {point.ssid!r} on {interface}; the gateway is at http://{ADDRESS}:8080"


def profile(point: AccessPoint, interface: str) -> str:
    """A keyfile, nm-settings-keyfile(5): WPA2 only, addresses by NetworkManager's own DHCP."""
    return f"""\
[connection]
id={NAME}
type=wifi
interface-name={interface}
autoconnect=true

[wifi]
mode=ap
band=bg
ssid={_escaped(point.ssid)}

[wifi-security]
key-mgmt=wpa-psk
proto=rsn;
pairwise=ccmp;
group=ccmp;
psk={_escaped(point.passphrase)}

[ipv4]
method=shared
address1={ADDRESS}/24

[ipv6]
method=disabled
"""


def _escaped(text: str) -> str:
    """As GLib's key files want a string: backslashes doubled, blanks written out."""
    return text.replace("\\", "\\\\").replace(" ", "\\s")


def _profile() -> Path:
    return PROFILES / f"{NAME}.nmconnection"


def _passphrase() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline(256).rstrip("\n")


def _tell(*tool: str) -> None:
    """Where there is such a tool, and a system that runs; what it says it says itself."""
    if shutil.which(tool[0]) is None or not os.path.isdir("/run/systemd/system"):
        return
    done = subprocess.run(tool, timeout=TOOL_S, capture_output=True, text=True)
    if done.returncode:
        click.echo(f"{' '.join(tool)}: {(done.stderr or done.stdout).strip()}", err=True)


def _unwritable(error: OSError) -> CommandError:
    return CommandError(f"{PROFILES}: cannot be written: {error.strerror}; use sudo")
