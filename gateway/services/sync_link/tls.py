"""TLS towards the coordinator when the clock may be wrong: chain and name by OpenSSL, dates by our own time.

OpenSSL would judge dates by the host's clock, which on a Pi without a battery is 1970 or worse. So its check
of dates is switched off, and the coordinator's own certificate is judged by the timekeeper: at every opening,
and again when the coordinator has told the time. The dates of the certificates above it are not judged.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from gateway.core.certificate_dates import Validity, date_fault
from gateway.core.timekeeper import Timekeeper
from gateway.services.sync_link.faults import LinkFault

# <openssl/x509_vfy.h>; the ssl module has no name for it.
_X509_V_FLAG_NO_CHECK_TIME = 0x200000


def client_context(
    ca_path: Path | None = None, certificate: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer that checks chain and name.

    ``ca_path`` (PEM, or a directory of hashed names) replaces the system's authorities; ``certificate`` is
    ours and its key, shown when asked for (mutual TLS). Raises OSError (ssl.SSLError is one) where these
    cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= _X509_V_FLAG_NO_CHECK_TIME
    if ca_path is None:
        context.load_default_certs()
    elif ca_path.is_dir():
        context.load_verify_locations(capath=ca_path)
    else:
        context.load_verify_locations(cafile=ca_path)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def require_dates(connection: ssl.SSLObject | None, timekeeper: Timekeeper) -> None:
    """Raises LinkFault when the peer's certificate is out of its dates; nothing to judge without TLS."""
    if connection is None:
        return
    fault = date_fault(_validity(connection), timekeeper.now(), timekeeper.past_ms)
    if fault is not None:
        raise LinkFault("certificate", f"the coordinator's certificate is {fault}")


def _validity(connection: ssl.SSLObject) -> Validity:
    certificate = connection.getpeercert() or {}
    begin, end = (str(certificate[name]) for name in ("notBefore", "notAfter"))
    return Validity(ssl.cert_time_to_seconds(begin) * 1000, ssl.cert_time_to_seconds(end) * 1000)
