"""The simulated modem by itself: recorded dialogues, its control socket, its network's bad weather."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from ast import literal_eval
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulators.modem.dialogue import Dialogue
from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Phone
from simulators.modem.profiles import EC25, PROFILES
from simulators.modem.sms import Submission, encode, read_deliver, text_of, write_deliver

LOGS = sorted((Path(__file__).parents[1] / "vectors" / "at").glob("*.log"))
NUMBERS = re.compile(rb"\d+")
# What depends on which messages lay there, or on the phonebook, which gateways have no use for.
OTHERWISE = ("AT+CMGL", "AT+CMGR", "AT+CPMS", "AT+CMGS", "AT+CPBS", "AT+MPBR", "AT+SPBR", "AT^SBNR")


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
async def test_recorded_commands_get_the_recorded_answers(log: Path) -> None:
    said = bytearray()
    modem = Modem(EC25, Network(), Sim("+491700000001"))
    modem.start()
    dialogue = Dialogue(modem, said.extend)
    compared = 0
    for command, recorded in exchanges(log):
        said.clear()
        dialogue.feed(b"\x1b\r" + command.encode() + b"\r")
        answer = bytes(said).partition(command.encode())[2].strip()
        if not command.startswith(OTHERWISE):
            assert NUMBERS.sub(b"#", answer).split() == NUMBERS.sub(b"#", recorded).split(), command
            compared += 1
    assert compared > 100


def exchanges(log: Path) -> list[tuple[str, bytes]]:
    """Each command with what was answered before the next."""
    found: list[tuple[str, bytes]] = []
    for direction, literal in re.findall(r"(T->M|M->T) (b'.*'|b\".*\")$", log.read_text(), re.M):
        data: bytes = literal_eval(literal)
        if direction == "T->M" and data.startswith(b"AT"):
            found.append((data.decode(), b""))
        elif direction == "M->T" and found and data.startswith(b"\r\n") and b"+CMTI" not in data:
            found[-1] = (found[-1][0], (found[-1][1] + data).strip())
    return found


@pytest.mark.parametrize("text", ["x", "{€}" * 100, "中😀" * 60, bytes(range(200))])
def test_phones_read_what_phones_write(text: str | bytes) -> None:
    parts = [
        read_deliver(
            write_deliver("+4917", Submission("+1", 0, 0, dcs, data, header, False), datetime.now(UTC))
        )
        for dcs, header, data in encode(text, 7)
    ]
    assert text_of(parts) == text


async def test_the_network_loses_doubles_and_delays_on_command() -> None:
    network = Network(seed=3)
    network.conditions.loss, network.conditions.duplicate = 0.5, 0.5
    phone, other = Phone(network, "+1"), Phone(network, "+2")
    for number in range(40):
        phone.send("+2", f"{number}", report=True)
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while len(phone.reports) < 40:
            await asyncio.sleep(0.01)
    assert 5 < network.lost < 35
    assert phone.reports.count(0x46) == network.lost
    assert other.inbox.qsize() > 40 - network.lost


async def test_a_phone_out_of_reach_gets_its_messages_when_it_is_back() -> None:
    network = Network()
    phone, other = Phone(network, "+1"), Phone(network, "+2")
    other.switch(False)
    phone.send("+2", "later")
    async with asyncio.timeout(10):
        while not network.waiting("+2"):
            await asyncio.sleep(0.01)
    other.switch(True)
    assert (await other.inbox.get()).text == "later"


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_a_modem_runs_as_a_process_and_is_told_what_to_do(tmp_path: Path, profile: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.modem", "--profile", profile, "--directory", str(tmp_path)
    )
    try:
        reader, writer = await connected(tmp_path / "control.sock")

        async def ask(**request: object) -> dict[str, object]:
            writer.write(json.dumps(request).encode() + b"\n")
            answer: dict[str, object] = json.loads(await asyncio.wait_for(reader.readline(), 10))
            return answer

        assert (await ask(op="status"))["running"] is True
        assert await ask(op="text", **{"from": "+2"}, text="hello") == {}
        async with asyncio.timeout(10):
            while (await ask(op="status"))["stored"] != 1:
                await asyncio.sleep(0.01)
        assert "error" in await ask(op="fault", name="no such", value=1)
        assert "error" in await ask(op="no such")
        assert await ask(op="network", loss=1.0) == {}
        assert await ask(op="vanish") == {}
        assert not list((tmp_path / "dev").iterdir())
        writer.close()
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncio.open_unix_connection(path)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.05)
