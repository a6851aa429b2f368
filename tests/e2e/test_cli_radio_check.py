"""``radios check``: a modem from its port to the network, while the gateway does not hold it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon_rig import House, command, house

from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts


class Bench:
    """A modem, and a gateway configured for it."""

    def __init__(self, here: House, modem: Modem, ports: ModemPorts) -> None:
        self.here, self.modem, self.ports = here, modem, ports
        self.section = {"port": str(ports.path.parent / "*"), "options": {"answer_s": 1.0}}

    async def check(self, **section: Any) -> tuple[int, dict[str, dict[str, str]]]:
        self.here.configure(gsm={**self.section, **section})
        code, out, error = await self.here.command("radios", "check", "gsm", "--json")
        assert error == ""
        return code, {check["name"]: check for check in json.loads(out)["checks"]}


@asynccontextmanager
async def bench(tmp_path: Path, profile: str = "EC25", **sim: Any) -> AsyncIterator[Bench]:
    network = Network()
    modem = Modem(PROFILES[profile], network, Sim("+491700000001", **sim))
    ports = ModemPorts(modem, tmp_path / "dev")
    async with house(tmp_path) as here, ports:
        yield Bench(here, modem, ports)
    network.close()


async def test_a_healthy_modem_passes_each_step_in_every_profile(tmp_path: Path) -> None:
    for profile in PROFILES:
        (tmp_path / profile).mkdir()
        async with bench(tmp_path / profile, profile) as there:
            code, checks = await there.check()
            assert code == 0
            assert checks.pop("holders")["verdict"] == "warn"  # the simulator holds its end of the terminal
            assert {check["verdict"] for check in checks.values()} == {"pass"}
            assert {"port", "modem", "SIM", "registration", "signal"} <= checks.keys()


async def test_whoever_else_holds_the_port_is_named(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        code = (
            "import sys,time; held = open(sys.argv[1], 'rb', 0); print('held', flush=True); time.sleep(600)"
        )
        other = await asyncio.create_subprocess_exec(
            "python3", "-c", code, str(there.ports.path), stdout=asyncio.subprocess.PIPE
        )
        assert other.stdout is not None
        try:
            await other.stdout.readline()
            _, checks = await there.check()
        finally:
            other.kill()
            await other.wait()
        assert f"(process {other.pid})" in checks["holders"]["seen"]
        assert "ID_MM_PORT_IGNORE" in checks["holders"]["fix"]


async def test_a_missing_sim_a_missing_pin_and_a_missing_network_are_told_apart(tmp_path: Path) -> None:
    async with bench(tmp_path, pin="1234") as there:
        code, checks = await there.check()
        assert (code, checks["SIM"]["verdict"]) == (1, "fail")
        assert "set pin" in checks["SIM"]["fix"]
        there.modem.register(2)
        code, checks = await there.check(pin="1234")
        assert (code, checks["SIM"]["verdict"], checks["registration"]["verdict"]) == (1, "pass", "fail")
        there.modem.remove_sim()
        code, checks = await there.check(pin="1234")
        assert (code, checks["SIM"]["verdict"]) == (1, "fail")


async def test_no_port_and_a_silent_modem_say_what_to_do(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        code, checks = await there.check(port=str(tmp_path / "nowhere"))
        assert (code, list(checks)) == (1, ["port"])
        there.modem.faults.set("hang", "never")
        code, checks = await there.check()
        assert (code, checks["modem"]["verdict"]) == (1, "fail")
        assert "AT port" in checks["modem"]["fix"]


async def test_a_radio_that_is_not_there_or_has_no_test_or_is_in_use_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        here = there.here
        here.configure(gsm=there.section, radios={"hill": {"driver": "lora_gwmp", "options": {"port": 0}}})
        for name, words in (("far", "there are: gsm, hill"), ("hill", "no test of its own")):
            code, _, error = await command("radios", "check", name, "--config", str(here.config))
            assert code == 1
            assert words in error
        async with here.daemon() as daemon:
            await daemon.said("modem is up", radio="gsm")
            code, _, error = await here.command("radios", "check", "gsm")
            assert code == 1
            assert "holds the radio 'gsm'" in error


async def test_doctor_has_each_radio_test_itself_where_no_gateway_holds_it(tmp_path: Path) -> None:
    async with bench(tmp_path, pin="1234") as there:
        there.here.configure(gsm=there.section)
        arguments = ("doctor", "--radios", "--only", "modem", "--json")
        code, out, _ = await there.here.command(*arguments)
        found = {check["name"]: check for check in json.loads(out)["checks"]}
        assert (code, found["gsm: modem"]["verdict"], found["gsm: SIM"]["verdict"]) == (2, "pass", "fail")
        assert "set pin" in found["gsm: SIM"]["fix"]
