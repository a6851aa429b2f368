"""A modem's inside: SIM, storages, registration, what it says unasked, how it fails and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.modem.faults import Faults
from simulators.modem.network import Network
from simulators.modem.profiles import Profile
from simulators.modem.sms import Submission, read_submit, with_smsc, without_smsc

UNREAD, READ, UNSENT, SENT = 0, 1, 2, 3
REGISTERED = (1, 5, 6, 7)


@dataclass(slots=True)
class Sim:
    """A card: its number, its lock, its storage."""

    number: str
    imsi: str = "262011234567890"
    iccid: str = "8949010000000000001"
    pin: str = ""  # empty: not asked for
    attempts_left: int = 3
    entered: list[str] = field(default_factory=list)  # every PIN tried
    messages: dict[int, tuple[int, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class Settings:
    """What commands set; lost when the modem restarts."""

    echo: bool = True
    cmee: int = 0
    cnmi: tuple[int, ...] = (2, 1, 0, 0, 0)
    storages: list[str] = field(default_factory=lambda: ["SM", "SM", "SM"])
    charset: str = "GSM"
    pdu_mode: bool = False
    registration_urc: dict[str, int] = field(default_factory=dict)
    operator_format: int = 0
    cmms: int = 0
    csms: int = 0


class Modem:
    """One modem on a network. Its ports talk to it through :class:`simulators.modem.dialogue.Dialogue`.

    Owned by one event loop. ``say`` writes an unsolicited line on the AT ports, ``on_power`` is told when it
    goes off (False) and comes back (True): a USB modem's ports go with it.
    """

    def __init__(self, profile: Profile, network: Network, sim: Sim | None, *, boot_s: float = 0.1) -> None:
        self.profile = profile
        self.network = network
        self.sim = sim
        self.faults = Faults()
        self.boot_s = boot_s
        self.settings = Settings(cmee=profile.cmee_default, cnmi=profile.cnmi_default)
        self.own_memory: dict[int, tuple[int, bytes]] = {}
        self.unlocked = False
        self.registration = 1
        self.functionality = 1
        self.signal = 20
        self.operator = ("TestNet", "26201")
        self.reference = 0
        self.running = False
        self.restarts = 0
        self.say: Callable[[str], None] = lambda _: None
        self.on_power: Callable[[bool], None] = lambda _: None
        self._booting: asyncio.TimerHandle | None = None

    # -- power

    def start(self) -> None:
        """Power on at once, registered."""
        self.running = True
        self._use_sim()

    def restart(self, *, warning: str = "", off_s: float | None = None) -> None:
        """A reset, by command or because the supply broke down; settings are lost, storages are not."""
        if warning and self.running:
            self.say(warning)
        self.running = False
        self.restarts += 1
        self.settings = Settings(cmee=self.profile.cmee_default, cnmi=self.profile.cnmi_default)
        self.unlocked = False
        self.reference = 0
        self.faults.hang = None
        if self.sim is not None:
            self.network.detach(self.sim.number)
        if self._booting is not None:
            self._booting.cancel()
        self.on_power(False)
        delay = self.boot_s if off_s is None else off_s
        self._booting = asyncio.get_running_loop().call_later(delay, self._booted)

    def close(self) -> None:
        """Power off for good."""
        self.running = False
        if self._booting is not None:
            self._booting.cancel()
        if self.sim is not None:
            self.network.detach(self.sim.number)

    def press_power(self) -> None:
        """The power pin: a restart, unless nothing cures it."""
        if self.faults.hang != "never":
            self.restart()

    def _booted(self) -> None:
        self._booting = None
        self.running = True
        self.functionality = 1
        self.on_power(True)
        for line in self.profile.banner:
            self.say(line)
        if self.sim is None:
            self.say(self.profile.no_sim)
        elif self.sim.pin:
            self.say("+CPIN: SIM PIN")
        else:
            for line in self.profile.ready:
                self.say(line)
        self._use_sim()

    # -- SIM and network

    @property
    def pin_state(self) -> str:
        """What ``AT+CPIN?`` says; empty without a SIM."""
        if self.sim is None:
            return ""
        if not self.sim.pin or self.unlocked:
            return "READY"
        return "SIM PIN" if self.sim.attempts_left else "SIM PUK"

    @property
    def in_service(self) -> bool:
        return self.pin_state == "READY" and self.functionality == 1 and self.registration in REGISTERED

    def enter_pin(self, pin: str) -> bool:
        if self.sim is None or not self.sim.attempts_left:
            return False
        self.sim.entered.append(pin)
        if pin != self.sim.pin:
            self.sim.attempts_left -= 1
            return False
        self.sim.attempts_left, self.unlocked = 3, True
        self._use_sim()
        return True

    def remove_sim(self) -> None:
        if self.sim is not None:
            self.network.detach(self.sim.number)
        self.sim, self.unlocked = None, False
        self.say(self.profile.no_sim)

    def insert_sim(self, sim: Sim) -> None:
        self.sim = sim
        for line in self.profile.ready:
            self.say(line)
        self._use_sim()

    def register(self, stat: int) -> None:
        """Gain or lose the network: 1 home, 2 searching, 3 denied, 5 roaming, 6 and 7 SMS only."""
        self.registration = stat
        for name, mode in self.settings.registration_urc.items():
            if mode:
                self.say(f"{name}: {self.registration_of(name)}")
        self._use_sim()

    def registration_of(self, name: str) -> int:
        """The circuit-switched side knows nothing of "SMS only"."""
        return self.registration

    def _use_sim(self) -> None:
        if self.sim is not None and self.running:
            if self.in_service:
                self.network.attach(self.sim.number, self)
            else:
                self.network.detach(self.sim.number)

    # -- storages

    def memory(self, name: str) -> dict[int, tuple[int, bytes]]:
        """Index to (kind, PDU); ``MT`` is the SIM's and the modem's together."""
        if name == "ME":
            return self.own_memory
        sim = self.sim.messages if self.sim is not None else {}
        if name != "MT":
            return sim
        offset = self.profile.sizes["SM"]
        return sim | {offset + index: message for index, message in self.own_memory.items()}

    def size(self, name: str) -> int:
        return (
            self.profile.sizes["SM"] + self.profile.sizes["ME"]
            if name == "MT"
            else self.profile.sizes.get(name, 0)
        )

    def mark(self, name: str, index: int, kind: int) -> None:
        memory, index = self._place(name, index)
        memory[index] = (kind, memory[index][1])

    def delete(self, name: str, index: int) -> bool:
        """False when there was nothing."""
        memory, index = self._place(name, index)
        gone = memory.pop(index, None) is not None
        if gone and self.sim is not None and self.in_service:
            asyncio.get_running_loop().call_soon(self.network.retry, self.sim.number)
        return gone

    def store(self, name: str, kind: int, pdu: bytes) -> int | None:
        """The index, or None when it is full."""
        memory = self.memory("SM" if name in ("MT", "SR") else name)
        size = self.size("SM" if name in ("MT", "SR") else name)
        index = next((free for free in range(1, size + 1) if free not in memory), None)
        if index is None:
            return None
        memory[index] = (kind, pdu)
        return index

    def _place(self, name: str, index: int) -> tuple[dict[int, tuple[int, bytes]], int]:
        if name != "MT" or index <= self.profile.sizes["SM"]:
            return self.memory("SM" if name == "MT" else name), index
        return self.own_memory, index - self.profile.sizes["SM"]

    # -- messages

    def take(self, tpdu: bytes) -> bool:
        """From the network; see :class:`simulators.modem.network.Subscriber`."""
        if not self.running or not self.in_service:
            return False
        pdu = with_smsc(tpdu, self.network.smsc)
        if tpdu[0] % 4 == 2:
            return self._take_report(pdu, len(tpdu))
        if self.settings.cnmi[1] in (2, 3):
            self.say(f"+CMT: ,{len(tpdu)}\r\n{pdu.hex().upper()}")
            return True
        name = self.settings.storages[2]
        index = self.store(name, UNREAD, pdu)
        if index is None:
            self.say(self.profile.full_urc)
            return False
        if self.settings.cnmi[1] == 1:
            self.say(f'+CMTI: "{"SM" if name == "MT" else name}",{index}')
        return True

    def _take_report(self, pdu: bytes, length: int) -> bool:
        mode = self.settings.cnmi[3]
        if mode == 1:
            self.say(f"+CDS: {length}\r\n{pdu.hex().upper()}")
        elif mode == 2:
            name = self.settings.storages[2]
            index = self.store(name, UNREAD, pdu)
            if index is None:
                return False
            self.say(f'+CDSI: "{name}",{index}')
        return True

    def submit(self, length: int, pdu: bytes) -> int:
        """Send a PDU that ``AT+CMGS`` announced as ``length`` octets; its reference.

        Raises :class:`ValueError` for what is no SUBMIT of that length.
        """
        if self.sim is None:
            raise ValueError("no SIM")
        tpdu = without_smsc(pdu)
        if len(tpdu) != length:
            raise ValueError(f"{len(tpdu)} octets, {length} announced")
        message = read_submit(tpdu)
        self.reference = (self.reference + 1) % 256
        sent = Submission(
            message.destination,
            self.reference,
            message.pid,
            message.dcs,
            message.user_data,
            message.header,
            message.report,
        )
        self.network.submit(self.sim.number, sent)
        return self.reference
