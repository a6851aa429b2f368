"""Real gammu and gammu-smsd from Debian on simulated modems: an outsider's proof that they behave.

Gammu sleeps most of the time, so all modems are talked to at once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Message, Phone
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts

TOOLS = Path(__file__).parents[2] / ".tools" / "usr" / "bin"
PATH = f"{TOOLS}:{os.environ['PATH']}"
GAMMU, SMSD = (shutil.which(program, path=PATH) for program in ("gammu", "gammu-smsd"))
MODEM, PHONE = "+491700000001", "+491700000002"
LONG = "Ein Beleg mit {Klammern} und 5€: " + "0123456789" * 40
BINARY = bytes(range(256))

pytestmark = [
    pytest.mark.skipif(None in (GAMMU, SMSD), reason="gammu is not here; scripts/test.sh unpacks it"),
    pytest.mark.timeout(180),
]


class Bench:
    """A modem with a gammu configuration, and a phone on the same network."""

    def __init__(self, profile: str, directory: Path) -> None:
        self.profile = PROFILES[profile]
        self.directory = directory
        self.network = Network()
        self.modem = Modem(self.profile, self.network, Sim(MODEM))
        self.ports = ModemPorts(self.modem, directory / "dev")
        self.phone = Phone(self.network, PHONE)
        self.config = directory / "gammu.conf"

    async def gammu(self, *arguments: str) -> str:
        assert GAMMU is not None
        process = await asyncio.create_subprocess_exec(
            GAMMU,
            "-c",
            str(self.config),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output.decode()
        return output.decode()


async def on_every_modem(directory: Path, test: Callable[[Bench], Awaitable[None]]) -> None:
    """Each on a network of its own; a failure says whose it is."""

    async def on_one(profile: str) -> None:
        bench = Bench(profile, directory / profile)
        try:
            async with bench.ports:
                bench.config.write_text(f"[gammu]\nport = {bench.ports.path}\nconnection = at115200\n")
                await test(bench)
        except Exception as error:
            error.add_note(f"on a {profile}")
            raise
        finally:
            bench.network.close()

    async with asyncio.TaskGroup() as benches:
        for profile in sorted(PROFILES):
            benches.create_task(on_one(profile))


async def test_gammu_identifies_lists_and_sends(tmp_path: Path) -> None:
    await on_every_modem(tmp_path, identifies_lists_and_sends)


async def identifies_lists_and_sends(bench: Bench) -> None:
    identity = await bench.gammu("identify")
    assert bench.profile.imei in identity
    assert bench.profile.revision in identity
    network = await bench.gammu("networkinfo")
    assert "home network" in network
    assert "26201" in network or "TestNet" in network

    bench.phone.send(MODEM, LONG)
    bench.phone.send(MODEM, "short {one}")
    await until(lambda: len(bench.modem.memory("SM")) == 4)
    listed = await bench.gammu("getallsms")
    assert "short {one}" in listed
    assert "4 SMS parts in 4 SMS sequences" in listed or "4 SMS parts in 2 SMS sequences" in listed

    await bench.gammu("sendsms", "TEXT", PHONE, "-report", "-text", "Receipt {A|B} 5€")
    assert (await received(bench.phone)).text == "Receipt {A|B} 5€"
    assert bench.network.submitted[-1][1].report
    await bench.gammu("sendsms", "TEXT", PHONE, "-len", str(len(LONG)), "-text", LONG)
    assert (await received(bench.phone)).text == LONG
    await bench.gammu("sendsms", "TEXT", PHONE, "-unicode", "-text", "中兴 😀")
    assert (await received(bench.phone)).text == "中兴 😀"


async def test_gammu_smsd_receives_and_sends_with_reports(tmp_path: Path) -> None:
    await on_every_modem(tmp_path, receives_and_sends_with_reports)


async def receives_and_sends_with_reports(bench: Bench) -> None:
    async with smsd(bench) as spool:
        await until(lambda: bench.modem.settings.cnmi[1] == 1, 60)
        bench.phone.send(MODEM, LONG)
        bench.phone.send(MODEM, BINARY)
        await until(lambda: len(list((spool / "inbox").glob("*.txt"))) == 3, 60)
        await until(lambda: list((spool / "inbox").glob("*.bin")) != [], 60)
        await until(lambda: not bench.modem.memory("SM"), 30)
        texts = [path.read_text() for path in sorted((spool / "inbox").glob("*.txt"))]
        assert "".join(texts) == LONG
        assert b"".join(path.read_bytes() for path in sorted((spool / "inbox").glob("*.bin"))) == BINARY

        write(spool / "outbox" / f"OUTA20261120_100000_00_{PHONE}_a.txtd", "Zahlung {erhalten}")
        assert (await received(bench.phone)).text == "Zahlung {erhalten}"
        write(spool / "outbox" / f"OUTA20261120_100001_00_{PHONE}_b.txt", LONG)
        assert (await received(bench.phone)).text == LONG
        write(spool / "outbox" / f"OUTA20261120_100002_00_{PHONE}_c.smsbackup", BACKUP)
        assert (await received(bench.phone)).text == b"\x00\x01\xfe\xff"
        await until(lambda: (spool / "smsd.log").read_text().count("Delivery report") >= 5, 60)


BACKUP = """[SMSBackup000]
SMSC = "+491710760000"
State = UnSent
Number = "{phone}"
Coding = 8bit
Folder = 2
Length = 4
Class = -1
ReplySMSC = False
RejectDuplicates = False
ReplaceMessage = 0
MessageReference = 0
Text00 = 0001FEFF
""".replace("{phone}", PHONE)


@asynccontextmanager
async def smsd(bench: Bench) -> AsyncIterator[Path]:
    """gammu-smsd with its file service, and its folders."""
    assert SMSD is not None
    spool = bench.directory / "spool"
    for folder in ("inbox", "outbox", "sent", "error"):
        (spool / folder).mkdir(parents=True)
    folders = "\n".join(f"{name}path = {spool / name}/" for name in ("inbox", "outbox", "error"))
    config = bench.directory / "smsd.conf"
    config.write_text(
        f"{bench.config.read_text()}\n[smsd]\nservice = files\n{folders}\nsentsmspath = {spool / 'sent'}/\n"
        f"logfile = {spool / 'smsd.log'}\ndebuglevel = 255\ndeliveryreport = sms\ncommtimeout = 1\n"
        "sendtimeout = 10\nreceivefrequency = 2\nloopsleep = 1\nrununknown = 1\n"
    )
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            SMSD,
            "-c",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )

        async def stop() -> None:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 20)

        stack.push_async_callback(stop)
        try:
            yield spool
        except BaseException:
            if (spool / "smsd.log").exists():
                print((spool / "smsd.log").read_text()[-4000:])  # noqa: T201 - why it failed
            raise


async def received(phone: Phone) -> Message:
    return await asyncio.wait_for(phone.inbox.get(), 60)


def write(path: Path, text: str) -> None:
    """At once: the daemon looks at any moment."""
    draft = path.parent.parent / path.name
    draft.write_text(text)
    draft.rename(path)


async def until(reached: Callable[[], bool], seconds: float = 10) -> None:
    """Simulators announce nothing: look until it is so."""
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.05)
