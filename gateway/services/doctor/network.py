"""The way to the coordinator: names, TLS, itself; and whether phones reach us."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from gateway.config import Config, radio_setups
from gateway.keys.certificates import Certificates
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

SOON_DAYS = 14
DAY_S = 86_400
LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp
GWMP_PORT = 1700


def _addresses(config: Config) -> Iterator[tuple[str, SplitResult]]:
    yield "network.ws_url", urlsplit(config.network.ws_url)
    yield "network.api_url", urlsplit(config.network.api_url)


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme in ("https", "wss") else 80)


def _host(address: SplitResult) -> str:
    return address.hostname or ""


def _dns(patient: Patient) -> Outcome:
    found = []
    for setting, address in _addresses(patient.sound):
        try:
            seen = patient.host.resolve(_host(address), _port(address))
        except OSError as error:
            fix = "look at the uplink, /etc/resolv.conf and the name; snapshots are kept meanwhile"
            return warned(f"{setting}: {_host(address)} has no address ({error.strerror or error})", fix)
        found.append(f"{_host(address)} is {seen[0][4][0]}")
    return passed(", ".join(dict.fromkeys(found)))


def _tls(patient: Patient) -> Outcome:
    config = patient.sound
    secured = [(setting, one) for setting, one in _addresses(config) if one.scheme in ("https", "wss")]
    if not secured:
        insecure = config.network.allow_insecure
        fix = "use https:// and wss:// addresses"
        return (
            warned("the way to the coordinator can be read", fix) if insecure else skipped("on this machine")
        )
    try:
        context = ssl.create_default_context(cafile=config.network.tls.ca_path)
        if config.network.tls.client_certificate:
            certificates = Certificates(config.security.certificate_path, config.storage.certificate_path)
            context.load_cert_chain(certificates.in_force(), config.security.private_key_path)
    except OSError as error:
        return failed(f"network.tls: {error}", "name a file of authorities in PEM, or leave it out")
    return _shown(patient, secured, context)


def _shown(patient: Patient, secured: list[tuple[str, SplitResult]], context: ssl.SSLContext) -> Outcome:
    least = float("inf")
    for setting, address in secured:
        try:
            shown = patient.host.peer_certificate(_host(address), _port(address), context)
        except ssl.SSLCertVerificationError as error:
            fix = "look at this machine's clock and network.tls.ca_path; else tell the coordinator's operator"
            return failed(f"{setting}: not trusted: {error.verify_message}", fix)
        except (socket.gaierror, ConnectionError, TimeoutError) as error:
            return skipped(
                f"{address.netloc} is not reached ({error.strerror or error}); see dns, coordinator"
            )
        except OSError as error:
            return failed(
                f"{setting}: no TLS with {address.netloc}: {error}", "is it the coordinator's address?"
            )
        if "notAfter" in shown:
            left = ssl.cert_time_to_seconds(shown["notAfter"]) - patient.host.unix_s()
            least = min(least, left / DAY_S)
    if least < SOON_DAYS:
        fix = "tell its operator; when it has expired nothing is acked, and everything is kept"
        return warned(f"the coordinator's certificate expires in {least:.0f} days", fix)
    return passed(f"trusted, for {least:.0f} days" if least < 36_500 else "trusted")


def _coordinator(patient: Patient) -> Outcome:
    config = patient.sound
    if patient.status is not None:
        link = patient.status["link"]
        if link["state"] == "connected":
            ago = link["lastAckSecondsAgo"]
            return passed("connected" + ("" if ago is None else f", last ack {ago:.0f} s ago"))
        if link["state"] == "halted":
            return failed(link["reason"], "do what it says, then run: offgrid-gateway sync")
        fix = "everything is kept and goes on by itself once it is back; see dns and tls"
        return warned(f"not reached: {link['reason'] or 'not tried yet'}", fix)
    address = urlsplit(config.network.ws_url)
    try:
        patient.host.connect(_host(address), _port(address))
    except OSError as error:
        fix = "look at the uplink and network.ws_url; what is heard meanwhile is kept"
        return warned(f"nobody answers at {address.netloc}: {error.strerror or error}", fix)
    return passed(f"{address.netloc} answers")


def _listened(config: Config) -> dict[int, str]:
    """TCP ports we want, by number. 0 is any."""
    found = {config.metrics.port: "metrics.port"}
    if config.http.enabled:
        found[config.http.port] = "http.port"
    return {port: setting for port, setting in found.items() if port}


def _ports(patient: Patient) -> Outcome:
    if patient.status is not None:
        return passed("the gateway has them")
    taken = [
        (port, setting) for port, setting in _listened(patient.sound).items() if _taken(patient, "tcp", port)
    ]
    for setup in radio_setups(patient.sound):
        port = int(setup.settings.get("port", GWMP_PORT)) if setup.driver == "lora_gwmp" else 0
        if port and _taken(patient, "udp", port):
            taken.append((port, f"the port of {setup.name}"))
    if taken:
        port, setting = taken[0]
        return failed(
            f"{setting} {port} is in use", f"see by whom: sudo ss -tulpn | grep :{port}; or choose another"
        )
    return passed("free")


def _taken(patient: Patient, protocol: str, port: int) -> bool:
    for table in (protocol, f"{protocol}6"):
        for line in (patient.host.read(f"/proc/net/{table}") or "").splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if int(local.rsplit(":", 1)[1], 16) == port and (protocol == "udp" or state == LISTENING):
                return True
    return False


def _firewall(patient: Patient) -> Outcome:
    host, wanted = patient.host, _listened(patient.sound)
    ufw = host.read("/etc/ufw/ufw.conf") or ""
    if re.search(r"^ENABLED=yes", ufw, re.MULTILINE):
        rules = host.read("/etc/ufw/user.rules")
        if rules is None:
            return warned("ufw is on, and you may not read its rules", "use sudo")
        closed = [port for port in wanted if not re.search(rf"### tuple ### allow (tcp|any) {port} ", rules)]
        if closed:
            return warned(
                f"ufw closes {wanted[closed[0]]} {closed[0]}", f"run: sudo ufw allow {closed[0]}/tcp"
            )
        return passed("ufw lets our ports in")
    nft = host.read("/etc/nftables.conf") or ""
    if re.search(r"hook input.*policy drop", nft):
        closed = [port for port in wanted if not re.search(rf"\b{port}\b", nft)]
        if closed:
            fix = f"add to the input chain: tcp dport {closed[0]} accept"
            return warned(f"/etc/nftables.conf closes {wanted[closed[0]]} {closed[0]}", fix)
    return passed("none that we know of closes our ports")


CHECKS = (
    Check("dns", "without a name there is no coordinator", _dns),
    Check("tls", "what cannot be trusted is not talked to", _tls),
    Check("coordinator", "evidence is safe only once it is cosigned", _coordinator),
    Check("ports", "two programs cannot listen on one port", _ports),
    Check("firewall", "phones on the gateway's Wi-Fi come in by these", _firewall),
)
