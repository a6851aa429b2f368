"""The gateway's key and certificate, and the coordinator's pinned key."""

from __future__ import annotations

import os

from gateway.core.certificate import read_validity
from gateway.errors import KeyFileError, NeedsPerson
from gateway.keys import is_handed_over, load_identity, pinned_key
from gateway.keys.certificates import Certificates
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

DAY_MS = 86_400_000
SOON_DAYS = 30
FAR_DAYS = 36_500


def _keys(patient: Patient) -> Outcome:
    security, host = patient.sound.security, patient.host
    try:
        identity = load_identity(security.private_key_path, security.certificate_path)
    except KeyFileError as error:
        if isinstance(error.__cause__, PermissionError):
            return skipped(f"{security.private_key_path} may not be read by you; use sudo")
        seen, _, fix = str(error).partition("; ")
        return failed(seen, fix or "move both files away and run: offgrid-gateway keygen")
    key = security.private_key_path
    if not host.may(key, os.R_OK) and not is_handed_over(key, host.root):
        return failed(f"{host.account.name} may not read {key}", f"run: sudo chown {host.account.name} {key}")
    return passed(f"public key {identity.registration_key_base64}")


def _certificate(patient: Patient) -> Outcome:
    config = patient.sound
    certificates = Certificates(config.security.certificate_path, config.storage.certificate_path)
    path = certificates.in_force()
    try:
        validity = read_validity(path.read_bytes())
    except OSError:
        return skipped(f"{path} cannot be read; see keys")
    except ValueError as error:
        return failed(f"{path}: {error}", "move it away and run: offgrid-gateway keygen")
    left = (validity.not_after_ms - patient.host.unix_s() * 1000) / DAY_MS
    fix = "run: offgrid-gateway rotate certificate"
    if not certificates.is_own():
        fix = f"get a new one for the same key from its authority, put it in place as {path}, then {fix}"
    if left <= 0:
        return failed(f"expired {-left:.0f} days ago", fix)
    if left < SOON_DAYS:
        return warned(f"expires in {left:.0f} days", fix)
    return passed("has no end" if left > FAR_DAYS else f"expires in {left:.0f} days")


def _pinned(patient: Patient) -> Outcome:
    config = patient.sound
    try:
        key = pinned_key(config.network.coordinator_key, config.storage.pin_path)
    except NeedsPerson as error:
        return failed(error.what, error.fix)
    return passed(str(key))


CHECKS = (
    Check("keys", "every promise is signed with it", _keys),
    Check("certificate", "a coordinator that asks for it judges its dates", _certificate),
    Check("coordinator-key", "acks are believed by this key and no other", _pinned),
)
