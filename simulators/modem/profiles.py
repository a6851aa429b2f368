"""Three families of modems: what each says and how it differs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """``usb`` modems vanish from the bus when they restart; a serial one stays and prints its banner.

    ``interfaces``: what hangs on each USB interface; ``at`` is where commands are understood.
    """

    name: str
    maker: str
    model: str
    revision: str
    imei: str
    cnmi: str  # what AT+CNMI=? offers
    cnmi_default: tuple[int, ...]
    charsets: str
    storages: tuple[str, ...]  # what AT+CPMS=? offers, for each of the three
    sizes: dict[str, int]
    cmee_default: int
    unregistered_error: int  # of AT+CMGS without a network
    full_urc: str
    banner: tuple[str, ...]  # as it starts
    ready: tuple[str, ...]  # once the SIM is usable
    no_sim: str
    interfaces: tuple[str, ...] = ("at",)
    usb_id: str = ""
    cereg: bool = True
    echo_of_escape: bool = True
    battery: str = "0,95,4127"

    @property
    def usb(self) -> bool:
        return bool(self.usb_id)


SIM800 = Profile(
    name="SIM800",
    maker="SIMCOM_Ltd",
    model="SIMCOM_SIM800L",
    revision="Revision:1418B04SIM800L24",
    imei="866782042319455",
    cnmi="(0-3),(0-3),(0-3),(0,1),(0,1)",
    cnmi_default=(2, 1, 0, 0, 0),
    charsets='("IRA","GSM","UCS2","HEX","PCCP","PCDN","8859-1")',
    storages=("SM", "ME", "MT"),
    sizes={"SM": 10, "ME": 50},
    cmee_default=0,
    unregistered_error=38,
    full_urc="+SMSFULL",
    banner=("RDY", "+CFUN: 1"),
    ready=("+CPIN: READY", "Call Ready", "SMS Ready"),
    no_sim="+CPIN: NOT INSERTED",
    cereg=False,  # GSM only
)
SIM7600 = Profile(
    name="SIM7600",
    maker="SIMCOM INCORPORATED",
    model="SIMCOM_SIM7600E-H",
    revision="LE20B04SIM7600M22",
    imei="867584033456783",
    cnmi="(0,1,2),(0,1,2,3),(0,2,3),(0,1,2),(0,1)",
    cnmi_default=(2, 1, 0, 0, 0),
    charsets='("IRA","GSM","UCS2")',
    storages=("SM", "ME", "MT", "SR"),
    sizes={"SM": 20, "ME": 50},
    cmee_default=2,
    unregistered_error=331,
    full_urc="+SMS FULL",
    banner=(),
    ready=("+CPIN: READY", "SMS DONE", "PB DONE"),
    no_sim="+SIMCARD: NOT AVAILABLE",
    interfaces=("diag", "nmea", "at", "modem", "audio"),
    usb_id="usb-SimTech__Incorporated_SimTech__Incorporated_0123456789ABCDEF",
)
EC25 = Profile(
    name="EC25",
    maker="Quectel",
    model="EC25",
    revision="EC25EFAR06A06M4G",
    imei="861107036622334",
    cnmi="(0-2),(0-3),(0,2),(0-2),(0,1)",
    cnmi_default=(2, 1, 0, 0, 0),
    charsets='("IRA","GSM","UCS2","HEX","PCCP","PCDN","8859-1")',
    storages=("SM", "ME", "MT"),
    sizes={"SM": 20, "ME": 100},
    cmee_default=1,
    unregistered_error=331,
    full_urc='+QIND: "smsfull","SM"',
    banner=("RDY",),
    ready=("+CPIN: READY", "+QUSIM: 1", "+CFUN: 1", "+QIND: SMS DONE", "+QIND: PB DONE"),
    no_sim="+CPIN: NOT READY",
    interfaces=("diag", "nmea", "at", "modem"),
    usb_id="usb-Quectel__Incorporated_LTE_Module_0123456789ABCDEF",
)
PROFILES = {profile.name: profile for profile in (SIM800, SIM7600, EC25)}
