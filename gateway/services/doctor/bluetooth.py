"""The Bluetooth controller: that it is there, and that nobody else uses it."""

from __future__ import annotations

import re

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

NONE = "no ble is configured"


def _controller(patient: Patient) -> Outcome:
    ble, host = patient.sound.ble, patient.host
    if ble is None:
        return skipped(NONE)
    scheme, _, place = ble.controller.partition(":")
    if scheme == "serial":
        path = place.split(",")[0]
        there, seen = host.exists(path), ", ".join(host.names("/dev/serial/by-id/*"))
    elif scheme == "usb":
        there, seen = _usb(patient, place), ", ".join(_usb_devices(patient))
    elif scheme == "hci-socket":
        adapters = {
            name.rsplit("/", 1)[1]: host.read(f"{name}/address") or ""
            for name in host.names("/sys/class/bluetooth/hci*")
        }
        there = f"hci{place}" in adapters or place.lower() in {one.lower() for one in adapters.values()}
        there = there or bool(re.match(r"\d+-\d", place) and adapters)
        seen = ", ".join(f"{name} {address}".strip() for name, address in adapters.items())
    else:
        return passed(f"{ble.controller}: not a device of this machine")
    if there:
        return passed(ble.controller)
    return failed(
        f"no controller {ble.controller}", f"plug it in, or name what is there: {seen or 'nothing seen'}"
    )


def _usb(patient: Patient, place: str) -> bool:
    """``1-1.2`` is a port, ``0a12:0001`` vendor and product."""
    host = patient.host
    if re.fullmatch(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}.*", place):
        return any(place[:9].lower() == one for one in _usb_devices(patient))
    return host.exists(f"/sys/bus/usb/devices/{place}")


def _usb_devices(patient: Patient) -> list[str]:
    host = patient.host
    found = []
    for name in host.names("/sys/bus/usb/devices/*/idVendor"):
        product = host.read(name.removesuffix("idVendor") + "idProduct")
        found.append(f"{host.read(name)}:{product}")
    return found


def _holder(patient: Patient) -> Outcome:
    ble, host = patient.sound.ble, patient.host
    if ble is None:
        return skipped(NONE)
    if ble.controller.startswith(("tcp-client:", "unix:")):
        return skipped("not a device of this machine")
    if host.running(["bluetoothd"]):
        fix = "run: sudo systemctl disable --now bluetooth, or keep it off this adapter by a udev rule"
        return warned("bluetoothd runs and takes every adapter it sees", fix)
    return passed("bluetoothd does not run")


CHECKS = (
    Check("bluetooth", "without a controller no phone finds the gateway", _controller),
    Check("bluetooth-holder", "an adapter serves one host; the second hangs after hours", _holder),
)
