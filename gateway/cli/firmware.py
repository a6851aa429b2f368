"""``firmware``: the images that a concentrator needs of its maker and that are not part of this project."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from drivers.base import FirmwareKeeper, ImageStatus
from drivers.errors import DriverConfigError
from drivers.registry import load_driver
from gateway.cli.options import config_option
from gateway.config import CONCENTRATOR, Config, concentrator_settings, load, radio_setups
from gateway.errors import CommandError
from gateway.systemclock import SystemClock

GET = (
    "get https://github.com/Lora-net/lora_gateway and run: "
    "offgrid-gateway firmware import lora_gateway/libloragw/src"
)


@click.group("firmware")
def command() -> None:
    """The images that a concentrator's microcontrollers run; the gateway halts its radio without them."""


@command.command("import")
@config_option
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def import_(config_path: Path, sources: tuple[Path, ...]) -> None:
    """Find the images in SOURCES (folders or files), check them and store them for the gateway.

    For a RAK2245: git clone https://github.com/Lora-net/lora_gateway, then import
    lora_gateway/libloragw/src. Size, parity and digest must be right; nothing is stored otherwise.
    """
    names = []
    for name, keeper in keepers(load(config_path)):
        try:
            _echo(name, keeper.import_firmware(sources))
        except DriverConfigError as error:
            raise CommandError(f"{name}: {error}") from None
        names.append(name)
    commands = " and ".join(f"offgrid-gateway restart {name}" for name in names)
    click.echo(f"a gateway that runs takes them with: {commands}")


@command.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(config_path: Path, as_json: bool) -> None:
    """Which images there are, and what is wrong with them. Exits with 1 where the gateway would halt."""
    found = {name: keeper.firmware_status() for name, keeper in keepers(load(config_path))}
    if as_json:
        click.echo(json.dumps({name: [_document(one) for one in found[name]] for name in found}, indent=2))
    else:
        for name, images in found.items():
            _echo(name, images)
    wrong = [f"{name} {image.name}" for name, images in found.items() for image in images if image.problem]
    if wrong:
        raise CommandError(f"without {', '.join(wrong)} the radio halts: {GET}")


def _document(image: ImageStatus) -> dict[str, str | None]:
    return {"image": image.name, "path": str(image.path), "sha256": image.sha256, "problem": image.problem}


def keepers(config: Config) -> Iterator[tuple[str, FirmwareKeeper]]:
    """The radios that need images; where none is configured yet, the concentrator that may come."""
    clock, found = SystemClock(), False
    for setup in radio_setups(config):
        driver = load_driver(setup.driver)(setup.name, setup.settings, clock=clock)
        if isinstance(driver, FirmwareKeeper):
            found = True
            yield setup.name, driver
    if not found:
        driver = load_driver(CONCENTRATOR)(CONCENTRATOR, concentrator_settings(config), clock=clock)
        assert isinstance(driver, FirmwareKeeper)  # noqa: S101 - our own
        yield CONCENTRATOR, driver


def _echo(name: str, images: Iterable[ImageStatus]) -> None:
    for image in images:
        digest = "" if image.sha256 is None else f"  sha256 {image.sha256}"
        click.echo(f"{name}  {image.name}  {image.path}: {image.problem or 'right'}{digest}")
