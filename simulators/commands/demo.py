"""``demo``: the main job on one machine, with the backhaul cut midway."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from simulators.demo.children import Failed
from simulators.demo.mesh import MeshReport, play_mesh
from simulators.demo.play import play
from simulators.demo.report import Report, table
from simulators.demo.screen import Screen, screen_on
from simulators.demo.timetable import Timetable

INTERRUPTED = 130


@click.command()
@click.option("--seconds", type=click.FloatRange(5, 3600), default=20, show_default=True, help="Of the play.")
@click.option("--json", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="The report.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the wallets and of the air.")
@click.option("--mesh", is_flag=True, help="Three gateways in a line instead, only one with a backhaul.")
@click.option("--snapshots", default=60, show_default=True, help="With --mesh.")
@click.option("--keep", is_flag=True, help="Keep the folder with databases and logs.")
def command(
    *, seconds: float, report_file: Path | None, seed: int, mesh: bool, snapshots: int, keep: bool
) -> None:
    """Wallets pay each other and hand over by every radio, also while the backhaul is cut.

    Exits with 1 if anything accepted was lost, a root differs or a receipt does not verify.
    """
    folder = Path(tempfile.mkdtemp(prefix="offgrid-demo-"))
    screen = screen_on(sys.stdout, os.environ)
    code = 1
    try:
        if mesh:
            screen.close()
            code = _tell_mesh(asyncio.run(play_mesh(folder, snapshots, click.echo)), report_file)
        else:
            report = asyncio.run(_until_told(folder, Timetable(seconds), seed, screen))
            screen.close()
            code = _tell(report, report_file)
    except Failed as failure:
        screen.close()
        click.echo(f"The demo failed: {failure}", err=True)
    except (asyncio.CancelledError, KeyboardInterrupt):
        screen.close()
        click.echo("Stopped; nothing was left running.", err=True)
        code = INTERRUPTED
    except BaseException:
        screen.close()
        raise
    finally:
        if keep or code == 1:
            click.echo(f"Logs and databases are kept in {folder}", err=True)
        else:
            shutil.rmtree(folder)
    raise SystemExit(code)


async def _until_told(folder: Path, timetable: Timetable, seed: int, screen: Screen) -> Report:
    playing = asyncio.ensure_future(play(folder, timetable, seed, screen))
    for stopping in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stopping, playing.cancel)
    return await playing


def _tell_mesh(report: MeshReport, report_file: Path | None) -> int:
    click.echo("\n" + "\n".join(report.lines()) + "\n")
    if report_file is not None:
        report_file.write_text(json.dumps(report.document(), indent=2) + "\n")
    for failure in report.failures:
        click.echo(f"WRONG: {failure}")
    if not report.failures:
        click.echo(
            "Everything that A accepted is at the coordinator under A's own log, once; A holds the acks."
        )
    return 1 if report.failures else 0


def _tell(report: Report, report_file: Path | None) -> int:
    click.echo("\n" + "\n".join(table(report)) + "\n")
    if report_file is not None:
        report_file.write_text(json.dumps(report.document(), indent=2) + "\n")
    for failure in report.failures:
        click.echo(f"WRONG: {failure}")
    if not report.failures:
        click.echo("Everything accepted is at the coordinator, once; every receipt verifies.")
    return 1 if report.failures else 0
