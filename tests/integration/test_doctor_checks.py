"""Every check of ``doctor`` in both outcomes, on folders made up as machines; keys and sockets are real."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from authority import Authority

from drivers.errors import DriverConfigError
from gateway.app.examine import patient_at
from gateway.keys.generate import make_keys
from gateway.services.doctor import CHECKS, Account, Finding, Host, document, examine, exit_code
from gateway.store import Store, StoreSettings
from simulators.concentrator.images import TEST_IMAGES, TEST_SHA256

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
UID = os.getuid() or 4242
ME = Account("offgrid", UID, frozenset({5001, 5002, 5003}))
KEY = "v+ZTt0lB0rYbTuVQpvq2WSOkBCUVXxlRhvmwuxI0TUY="  # of no one
BY_ID = "/dev/serial/by-id/usb-Quectel_EC25-if02-port0"
MOUNT = "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n"

STATUS: Mapping[str, Any] = {
    "score": 100,
    "deductions": [],
    "time": {"quality": 2},
    "services": {
        "gsm": {"state": "running", "reason": ""},
        "gps": {"state": "running", "reason": ""},
        "link": {"state": "running", "reason": ""},
    },
    "store": {
        "state": "open",
        "reason": "",
        "latencyMs": 1.0,
        "size": 7,
        "ackedSize": 7,
        "backlog": 0,
        "oldestUnackedSeconds": 0,
    },
    "link": {"state": "connected", "reason": "", "lastAckSecondsAgo": 3.0, "latencyMs": 200.0},
    "radios": {"gsm": {"state": "works", "note": "", "frames": {"ok": 3}, "gauges": {"signal_dbm": -71.0}}},
    "gps": {
        "fixed": True,
        "position": {"lat": 1.0, "lon": 2.0, "fromConfiguredM": 12},
        "gauges": {},
        "note": "",
    },
}


class Machine:
    """A folder made up as a machine, and a gateway's own folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "root", folder / "home"
        for one in (self.root, self.home / "run"):
            one.mkdir(parents=True)
        os.chown(self.home, UID, -1)
        os.chown(self.home / "run", UID, -1)
        self.sections: dict[str, Any] = {
            "gateway": {"id": "gw_1", "location": {"lat": 1.0, "lon": 2.0, "name": "Here"}, "type": "mesh"},
            "network": {
                "api_url": "http://127.0.0.1:9",
                "ws_url": "ws://127.0.0.1:9",
                "coordinator_key": KEY,
            },
            "storage": {"path": "gateway.db", "min_free_mb": 100},
            "security": {"private_key_path": "gateway.key", "certificate_path": "gateway.crt"},
            "runtime_dir": "run",
        }
        self.status: dict[str, Any] | None = None
        self.host = Host(root=self.root, machine="aarch64", kernel="6.6", unix_s=lambda: NOW, account=ME)
        self.put("/proc/mounts", MOUNT)

    def put(self, name: str, text: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def device(self, name: str, group: int = 5001) -> None:
        """For owner and group, as udev makes them."""
        self.put(name, "")
        os.chown(
            self.root / name.lstrip("/"), 0 if os.getuid() == 0 else -1, group if os.getuid() == 0 else -1
        )
        (self.root / name.lstrip("/")).chmod(0o660)

    def link(self, name: str, target: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def process(self, number: int, name: str, *opened: str) -> None:
        self.put(f"/proc/{number}/comm", f"{name}\n")
        self.put(f"/proc/{number}/cmdline", f"/usr/bin/{name}\0")
        for descriptor, path in enumerate(opened):
            self.link(f"/proc/{number}/fd/{descriptor}", path)

    def keys(self) -> None:
        make_keys(self.home / "gateway.key", self.home / "gateway.crt", "gw_1")
        os.chown(self.home / "gateway.key", UID, -1)

    def configure(self, **sections: Any) -> None:
        for name, section in sections.items():
            known = self.sections.get(name)
            self.sections[name] = {**known, **section} if isinstance(known, dict) else section

    def look(self, name: str) -> Finding:
        path = self.home / "config.yml"
        path.write_text(yaml.safe_dump(self.sections))
        [finding] = examine(patient_at(path, self.status, self.host), {name})
        return finding


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def runs(machine: Machine, **parts: Any) -> None:
    machine.status = {**STATUS, **parts}


def lora(machine: Machine, **options: Any) -> None:
    machine.configure(lora={"frequency": 868, "driver": "lora_sx1301", "options": options})


def gps(machine: Machine, address: str = "/dev/ttyAMA0") -> None:
    machine.configure(gps={"address": address})
    runs(machine)


def gsm(machine: Machine, port: str = BY_ID) -> None:
    machine.configure(gsm={"port": port})


def gsm_runs(machine: Machine, state: str = "works", note: str = "", service: str = "running") -> None:
    gsm(machine)
    radio = {**STATUS["radios"]["gsm"], "state": state, "note": note}
    services = {**STATUS["services"], "gsm": {"state": service, "reason": note}}
    runs(machine, radios={"gsm": radio}, services=services)


def ble(machine: Machine, controller: str) -> None:
    machine.configure(ble={"controller": controller})


def radios(machine: Machine, state: str, heard: int) -> None:
    runs(machine, radios={"lora": {"state": state, "note": "nobody", "frames": {"ok": heard}, "gauges": {}}})


def forwarder_listens(machine: Machine, port: int) -> None:
    line = f"   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"
    machine.put("/proc/net/tcp", "  sl  local_address rem_address   st\n" + line)


def wear(machine: Machine, life: str | None, sectors: int = 2048, uptime: float = 86_400.0) -> None:
    if life is not None:
        machine.put("/sys/block/mmcblk0/device/life_time", life)
    machine.put("/sys/block/mmcblk0/stat", f"1 0 8 1 2 0 {sectors} 1 0 1 1 0 0 0 0\n")
    machine.put("/proc/uptime", f"{uptime} 1.0\n")


def ufw(machine: Machine, *ports: int) -> None:
    machine.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    tuples = "".join(f"### tuple ### allow tcp {port} 0.0.0.0/0 any 0.0.0.0/0 in\n" for port in ports)
    machine.put("/etc/ufw/user.rules", tuples)


def room(machine: Machine, free_mib: int, files: int = 1000) -> None:
    real = os.statvfs("/")
    fields = list(real)
    fields[1], fields[4], fields[5], fields[7] = 1 << 20, free_mib, 1000, files
    machine.host = replace(machine.host, disk=lambda _: os.statvfs_result(fields))


def at(machine: Machine, year: int) -> None:
    machine.host = replace(machine.host, unix_s=lambda: datetime(year, 6, 1, tzinfo=UTC).timestamp())


def no_names(machine: Machine) -> None:
    def resolve(name: str, port: int) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    machine.host = replace(machine.host, resolve=resolve)


def port_file(machine: Machine, name: str, group: int = 5001) -> None:
    machine.device("/dev/ttyUSB2", group)
    machine.link(name, "../../ttyUSB2")


def spoil_database(machine: Machine) -> None:
    (machine.home / "gateway.db").write_bytes(b"no database" * 999)


Case = tuple[str, str, str, Callable[[Machine], None]]
UNIT = "/etc/systemd/system/offgrid-gateway.service"
WANTS = "/etc/systemd/system/multi-user.target.wants/offgrid-gateway.service"
RULE = 'SUBSYSTEM=="tty", ENV{ID_MM_PORT_IGNORE}="1"\n'


def case(name: str, verdict: str, seen: str, *steps: Callable[[Machine], None]) -> Case:
    def build(machine: Machine) -> None:
        for step in steps:
            step(machine)

    return name, verdict, seen, build


def put(name: str, text: str) -> Callable[[Machine], None]:
    return lambda machine: machine.put(name, text)


PI4 = put("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")

CASES: tuple[Case, ...] = (
    case("configuration", "pass", "is sound"),
    case("configuration", "fail", "gateway.id", lambda m: m.configure(gateway={"id": "WRONG"})),
    case("drivers", "pass", "lora by lora_sx1301", lora),
    case("drivers", "warn", "no radio is configured"),
    case(
        "region", "pass", "EU868, 14 dBm", lambda m: m.configure(lora={"frequency": 868, "region": "EU868"})
    ),
    case("region", "warn", "nothing is ever sent", lora),
    case("versions", "pass", "Python 3"),
    case("service", "skip", "systemd does not run"),
    case("service", "warn", "is not installed", put("/run/systemd/system/x", "")),
    case("service", "warn", "does not start at boot", put("/run/systemd/system/x", ""), put(UNIT, "")),
    case(
        "service", "pass", "starts at boot", put("/run/systemd/system/x", ""), put(UNIT, ""), put(WANTS, "")
    ),
    case("gateway", "pass", "score 100", runs),
    case("gateway", "warn", "does not run"),
    case(
        "gateway",
        "fail",
        "score 40: no radio works",
        lambda m: runs(m, score=40, deductions=[{"reason": "no radio works"}]),
    ),
    case("services", "pass", "3 services run", runs),
    case(
        "services",
        "fail",
        "halted: gsm: no PIN",
        lambda m: runs(m, services={"gsm": {"state": "halted", "reason": "no PIN"}}),
    ),
    case("radios", "pass", "lora heard 3", lambda m: radios(m, "works", 3)),
    case("radios", "warn", "nothing heard since the start: lora", lambda m: radios(m, "works", 0)),
    case("radios", "fail", "not working: lora (nobody)", lambda m: radios(m, "down", 3)),
    case("sync", "pass", "7 of 7", runs),
    case("sync", "warn", "took 31 s", lambda m: runs(m, link={**STATUS["link"], "latencyMs": 31_000.0})),
    case(
        "sync",
        "warn",
        "9 wait",
        lambda m: runs(m, store={**STATUS["store"], "backlog": 9, "oldestUnackedSeconds": 7200}),
    ),
    case("model", "pass", "Raspberry Pi 4", PI4),
    case("model", "warn", "never tried", put("/proc/device-tree/model", "Raspberry Pi Model B\0")),
    case("model", "fail", "32-bit", lambda m: setattr(m, "host", replace(m.host, machine="armv7l"))),
    case("undervoltage", "pass", "never", put("/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")),
    case(
        "undervoltage",
        "warn",
        "was too",
        put("/sys/devices/platform/soc/soc:firmware/get_throttled", "50000"),
    ),
    case("undervoltage", "fail", "now", put("/sys/devices/platform/soc/soc:firmware/get_throttled", "50005")),
    case(
        "undervoltage",
        "fail",
        "too low",
        put("/sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
        put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
    ),
    case("temperature", "pass", "45 °C", put("/sys/class/thermal/thermal_zone0/temp", "45000\n")),
    case("temperature", "warn", "81 °C", put("/sys/class/thermal/thermal_zone0/temp", "81000\n")),
    case("temperature", "fail", "slowed", put("/sys/class/thermal/thermal_zone0/temp", "86000\n")),
    case("memory", "pass", "500 MiB", put("/proc/meminfo", "MemTotal: 1 kB\nMemAvailable:  512000 kB\n")),
    case("memory", "warn", "only 9 MiB", put("/proc/meminfo", "MemAvailable:  10000 kB\n")),
    case("spi", "pass", "/dev/spidev0.0", lora, lambda m: m.device("/dev/spidev0.0")),
    case("spi", "fail", "is not there", lora),
    case("spi", "fail", "may not open", lora, lambda m: m.device("/dev/spidev0.0", 6001)),
    case("spi-speed", "pass", "2 MHz", lora),
    case("spi-speed", "warn", "8 MHz", lambda m: lora(m, spi_hz=8_000_000)),
    case(
        "spi-speed", "warn", "core_freq=500", lora, put("/boot/firmware/config.txt", "core_freq=500 # fast\n")
    ),
    case("firmware", "skip", "no lora_sx1301"),
    case("firmware", "fail", "arb", lora),
    case("packet-forwarder", "pass", "no packet forwarder", lora),
    case("packet-forwarder", "fail", "lora_pkt_fwd", lora, lambda m: m.process(77, "lora_pkt_fwd")),
    case("packet-forwarder", "fail", "concentratord", lora, lambda m: m.process(77, "chirpstack-conc")),
    case("gpio", "fail", "no /dev/gpiochip", lora),
    case("gpio", "fail", "may not open", lora, lambda m: m.device("/dev/gpiochip0", 6001)),
    case("pins", "pass", "GPIO 17", lora),
    case("pins", "fail", "which SPI uses", lambda m: lora(m, reset="gpio:7")),
    case(
        "pins",
        "fail",
        "both GPIO 17",
        lora,
        lambda m: m.configure(gsm={"port": BY_ID, "options": {"power_pin": "gpio:17"}}),
    ),
    case("pins", "fail", "one serial port", gps, lambda m: gsm(m, "/dev/ttyS0")),
    case("serial-names", "pass", BY_ID, gsm),
    case(
        "serial-names",
        "warn",
        "order of plugging",
        lambda m: gsm(m, "/dev/ttyUSB2"),
        lambda m: port_file(m, BY_ID),
    ),
    case("serial-access", "pass", "1 of 1", gsm, lambda m: port_file(m, BY_ID)),
    case("serial-access", "fail", "is not there", gsm),
    case("serial-access", "fail", "may not open", gsm, lambda m: port_file(m, BY_ID, 6001)),
    case("serial-console", "pass", "no console", gps),
    case(
        "serial-console", "fail", "on serial0", gps, put("/boot/cmdline.txt", "console=serial0,115200 root=x")
    ),
    case("serial-console", "warn", "Bluetooth", gps, PI4),
    case("serial-console", "pass", "no console", gps, PI4, put("/boot/config.txt", "dtoverlay=disable-bt\n")),
    case("serial-holders", "pass", "nobody else", gsm, lambda m: port_file(m, BY_ID)),
    case(
        "serial-holders",
        "warn",
        "gpsd (99)",
        gsm,
        lambda m: port_file(m, BY_ID),
        lambda m: m.process(99, "gpsd", "/dev/ttyUSB2"),
    ),
    case("modem", "pass", BY_ID, gsm, lambda m: port_file(m, BY_ID)),
    case("modem", "fail", "nothing matches", gsm),
    case("sim", "pass", "-71 dBm", gsm_runs),
    case("sim", "warn", "no network", lambda m: gsm_runs(m, note="no network")),
    case("sim", "fail", "wants a PIN", lambda m: gsm_runs(m, "down", "the SIM wants a PIN", "halted")),
    case("modem-manager", "pass", "does not run", gsm),
    case("modem-manager", "warn", "probes", gsm, lambda m: m.process(5, "ModemManager")),
    case(
        "modem-manager",
        "pass",
        "leaves our port",
        gsm,
        lambda m: m.process(5, "ModemManager"),
        put("/etc/udev/rules.d/60-offgrid.rules", RULE),
    ),
    case(
        "bluetooth",
        "pass",
        "usb:0a12:0001",
        lambda m: ble(m, "usb:0a12:0001"),
        put("/sys/bus/usb/devices/1-1/idVendor", "0a12\n"),
        put("/sys/bus/usb/devices/1-1/idProduct", "0001\n"),
    ),
    case("bluetooth", "fail", "no controller", lambda m: ble(m, "usb:0a12:0001")),
    case("bluetooth", "fail", "no controller", lambda m: ble(m, f"serial:{BY_ID},1000000,rtscts")),
    case("bluetooth-holder", "pass", "does not run", lambda m: ble(m, "hci-socket:0")),
    case(
        "bluetooth-holder",
        "warn",
        "takes every adapter",
        lambda m: ble(m, "hci-socket:0"),
        lambda m: m.process(6, "bluetoothd"),
    ),
    case("gps", "pass", "fixed at 1.0", gps),
    case(
        "gps",
        "warn",
        "no position",
        gps,
        lambda m: runs(m, gps={"fixed": False, "position": None, "note": ""}),
    ),
    case(
        "gps",
        "warn",
        "50 km",
        gps,
        lambda m: runs(
            m,
            gps={"fixed": True, "position": {"lat": 3.0, "lon": 2.0, "fromConfiguredM": 50_000}, "note": ""},
        ),
    ),
    case(
        "gps",
        "fail",
        "no such port",
        gps,
        lambda m: runs(m, services={"gps": {"state": "halted", "reason": "no such port"}}),
    ),
    case("clock", "pass", "confirmed by coordinator", runs),
    case("clock", "pass", "NTP", put("/run/systemd/timesync/synchronized", "")),
    case("clock", "warn", "nobody has confirmed"),
    case("clock", "fail", "it says 1970", lambda m: at(m, 1970)),
    case("clock-battery", "pass", "battery", put("/sys/class/rtc/rtc0/name", "ds3231")),
    case("clock-battery", "skip", "no clock battery"),
    case("disk-space", "pass", "900 MiB free, 100 must stay", lambda m: room(m, 900)),
    case("disk-space", "warn", "150 MiB", lambda m: room(m, 150)),
    case("disk-space", "warn", "3 files", lambda m: room(m, 900, 3)),
    case("disk-space", "fail", "are refused", lambda m: room(m, 99)),
    case("disk-wear", "pass", "1 MiB written", lambda m: wear(m, "0x01 0x02")),
    case("disk-wear", "warn", "80 %", lambda m: wear(m, "0x01 0x09")),
    case("disk-wear", "fail", "past its rated life", lambda m: wear(m, "0x0b 0x01")),
    case("disk-wear", "warn", "977 MiB a day", lambda m: wear(m, None, sectors=2_000_000)),
    case("file-system", "pass", "/ is ext4, writable"),
    case("file-system", "fail", "read-only", put("/proc/mounts", MOUNT.replace("rw", "ro"))),
    case("file-system", "fail", "loses it all", put("/proc/mounts", MOUNT.replace("ext4", "tmpfs"))),
    case(
        "file-system",
        "fail",
        "loses it all",
        put("/proc/mounts", MOUNT.replace("ext4", "overlay")),
        put("/proc/cmdline", "root=/dev/mmcblk0p2 boot=overlay"),
    ),
    case("file-system", "fail", "keeps no promise", put("/proc/mounts", MOUNT.replace("ext4", "vfat"))),
    case("log-space", "pass", "in memory"),
    case("log-space", "warn", "a tenth", put("/var/log/journal/x", "")),
    case(
        "log-space",
        "pass",
        "100M",
        put("/var/log/journal/x", ""),
        put("/etc/systemd/journald.conf.d/offgrid.conf", "[Journal]\nSystemMaxUse=100M\n"),
    ),
    case("folders", "pass", "may be written"),
    case("folders", "fail", "may not write", lambda m: (m.home / "run").chmod(0o500)),
    case("folders", "fail", "too long", lambda m: m.configure(runtime_dir="x" * 99)),
    case("database", "skip", "is not there yet"),
    case("database", "fail", "gateway.db", spoil_database),
    case("database", "pass", "7 leaves", runs),
    case(
        "database",
        "fail",
        "fork",
        lambda m: runs(m, store={**STATUS["store"], "state": "halted", "reason": "fork"}),
    ),
    case("keys", "pass", "public key", Machine.keys),
    case("keys", "fail", "no key here"),
    case("keys", "fail", "others can read", Machine.keys, lambda m: (m.home / "gateway.key").chmod(0o644)),
    case("certificate", "pass", "has no end", Machine.keys),
    case("certificate", "skip", "cannot be read"),
    case("certificate", "fail", "expired", Machine.keys, lambda m: expire(m)),
    case("coordinator-key", "pass", KEY),
    case("coordinator-key", "fail", "is not known", lambda m: m.configure(network={"coordinator_key": None})),
    case("dns", "pass", "127.0.0.1 is 127.0.0.1"),
    case("dns", "warn", "has no address", no_names),
    case("tls", "skip", "on this machine"),
    case(
        "tls",
        "warn",
        "can be read",
        lambda m: m.configure(network={"allow_insecure": True}),
    ),
    case("coordinator", "pass", "last ack 3 s ago", runs),
    case("coordinator", "warn", "nobody answers at 127.0.0.1:9"),
    case(
        "coordinator",
        "fail",
        "does not know",
        lambda m: runs(m, link={**STATUS["link"], "state": "halted", "reason": "it does not know us"}),
    ),
    case("ports", "pass", "free"),
    case("ports", "fail", "http.port 8080", lambda m: forwarder_listens(m, 8080)),
    case("firewall", "pass", "none that we know of"),
    case("firewall", "pass", "ufw lets", lambda m: ufw(m, 8080, 9090)),
    case("firewall", "warn", "ufw closes http.port 8080", lambda m: ufw(m, 22, 9090)),
    case(
        "firewall",
        "warn",
        "nftables.conf closes",
        put("/etc/nftables.conf", "type filter hook input priority 0; policy drop;\ntcp dport 22 accept\n"),
    ),
)


def expire(machine: Machine) -> None:
    """A self-signed certificate has no end; here the clock goes beyond it."""
    machine.host = replace(machine.host, unix_s=lambda: 253_500_000_000.0)


@pytest.mark.parametrize(
    ("name", "verdict", "seen", "build"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_each_check_tells_what_it_saw_and_what_mends_it(
    machine: Machine, name: str, verdict: str, seen: str, build: Callable[[Machine], None]
) -> None:
    build(machine)
    finding = machine.look(name)
    assert (finding.verdict, seen in finding.seen) == (verdict, True), finding
    assert bool(finding.fix) == (verdict in ("warn", "fail"))
    assert finding.why


def test_no_check_is_without_a_case_and_names_are_unique() -> None:
    assert [check.name for check in CHECKS] == list(dict.fromkeys(check.name for check in CHECKS))
    assert {check.name for check in CHECKS} == {name for name, *_ in CASES}


async def test_a_stopped_gateways_database_is_opened_and_found_whole(machine: Machine) -> None:
    path = machine.home / "gateway.db"
    async with Store(StoreSettings(path=path, gateway_id="gw_1", free_bytes=lambda: 1 << 40)):
        assert "another process holds the database" in machine.look("database").seen
    assert machine.look("database").verdict == "pass"


def test_a_port_that_answers_is_the_coordinators_as_far_as_one_can_tell(machine: Machine) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        machine.configure(network={"ws_url": f"ws://127.0.0.1:{server.getsockname()[1]}"})
        assert machine.look("coordinator").verdict == "pass"


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Callable[[Machine, int], None]]:
    """A server on this machine whose certificate has so many days left; the gateway trusts its issuer."""
    authority, stack = Authority(tmp_path), ExitStack()

    def serve(machine: Machine, days: int) -> None:
        issued = authority.issue(days=(-30, days))
        server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        machine.host = replace(machine.host, unix_s=time.time)
        urls = {"api_url": f"https://{address}", "ws_url": f"wss://{address}"}
        machine.configure(network={**urls, "tls": {"ca_path": str(authority.path.certificate)}})
        thread = threading.Thread(target=_shake_hands, args=(server, issued.server_context()))
        thread.start()
        stack.callback(thread.join)

    with stack:
        yield serve


def _shake_hands(server: socket.socket, tls: ssl.SSLContext) -> None:
    """Twice: there are two addresses."""
    for _ in range(2):
        with suppress(OSError), server.accept()[0] as raw, tls.wrap_socket(raw, server_side=True):
            pass


def test_a_certificate_of_the_coordinators_is_judged_by_its_days(
    machine: Machine, secured: Callable[[Machine, int], None]
) -> None:
    secured(machine, 300)
    finding = machine.look("tls")
    assert (finding.verdict, "trusted, for " in finding.seen) == ("pass", True), finding
    secured(machine, 5)
    finding = machine.look("tls")
    assert (finding.verdict, "certificate expires in " in finding.seen) == ("warn", True), finding


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    machine: Machine, secured: Callable[[Machine, int], None]
) -> None:
    secured(machine, 300)
    machine.configure(network={"tls": {}})
    finding = machine.look("tls")
    assert (finding.verdict, "not trusted" in finding.seen) == ("fail", True), finding
    with suppress(OSError):  # the second handshake that the server awaits
        socket.create_connection(("127.0.0.1", int(machine.sections["network"]["ws_url"][-5:]))).close()


def test_firmware_that_is_there_and_right_is_so_called(machine: Machine) -> None:
    (machine.home / "firmware").mkdir()
    for name, image in TEST_IMAGES.items():
        (machine.home / "firmware" / f"{name}.bin").write_bytes(image)
    lora(machine, firmware_sha256=dict(TEST_SHA256))
    assert machine.look("firmware").verdict == "pass", machine.look("firmware")


def test_the_reset_line_needs_a_chip_that_may_be_opened_and_a_package(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora(machine)
    machine.device("/dev/gpiochip0")
    if find_spec("gpiod") is None and find_spec("RPi") is None:
        assert "neither gpiod nor RPi.GPIO is installed" in machine.look("gpio").seen
    (tmp_path / "site" / "gpiod").mkdir(parents=True)
    (tmp_path / "site" / "gpiod" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert machine.look("gpio").verdict == "pass"


def test_a_package_that_is_missing_is_named(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "offgrid_gateway-9.dist-info"
    metadata.mkdir()
    lines = (
        "Name: offgrid-gateway",
        "Version: 9",
        "Requires-Dist: click>=8",
        "Requires-Dist: nonesuch-at-all>=1",
    )
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = machine.look("versions")
    assert (finding.verdict, finding.seen) == ("fail", "packages are missing: nonesuch-at-all")


def test_a_certificate_that_ends_soon_is_a_warning(machine: Machine, tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue(days=(-30, 5))
    machine.configure(security={"certificate_path": str(issued.certificate)})
    machine.host = replace(machine.host, unix_s=time.time)
    finding = machine.look("certificate")
    assert (finding.verdict, "expires in 5 days" in finding.seen) == ("warn", True), finding


def test_without_a_sound_configuration_the_machine_is_examined_all_the_same(machine: Machine) -> None:
    PI4(machine)
    machine.configure(gateway={"id": "WRONG"})
    assert machine.look("model").verdict == "pass"
    assert machine.look("keys").verdict == "skip"


def test_a_check_that_breaks_on_a_strange_machine_hides_no_other(machine: Machine) -> None:
    machine.put("/sys/class/thermal/thermal_zone0/temp", "hot\n")
    finding = machine.look("temperature")
    assert (finding.verdict, "could not be examined: ValueError" in finding.seen) == ("warn", True)


def test_the_exit_code_is_that_of_the_worst(machine: Machine) -> None:
    fine, warning, failure = machine.look("file-system"), machine.look("clock"), machine.look("keys")
    assert [exit_code(some) for some in ([], [fine], [fine, warning], [failure, warning])] == [0, 0, 1, 2]
    told = document([fine, warning, failure])
    assert (told["verdict"], told["counts"]) == ("fail", {"skip": 0, "pass": 1, "warn": 1, "fail": 1})


def test_a_missing_package_of_a_driver_is_named_with_what_installs_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise DriverConfigError(f"driver {name!r} cannot be loaded", fix="install the extra it needs")

    monkeypatch.setattr("gateway.services.doctor.software.load_driver", missing)
    lora(machine)
    finding = machine.look("drivers")
    assert (finding.verdict, finding.fix) == ("fail", "install the extra it needs")
