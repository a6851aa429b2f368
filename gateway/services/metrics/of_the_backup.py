"""What stands of the copies off the device; absent where none are configured."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.vitals import BackupVitals, Vitals
from gateway.services.metrics.row import Row, Values, one


def _figure(read: Callable[[BackupVitals], float | None]) -> Callable[[Vitals], Values]:
    return one(lambda vitals: None if vitals.backup is None else read(vitals.backup))


def _passed(backup: BackupVitals) -> float | None:
    return None if backup.tested_at_s is None else float(backup.test_passed)


OF_THE_BACKUP = (
    Row(
        "gateway_backup_age_seconds",
        "Since all of the log was last off the device and verified there, or since the start.",
        _figure(lambda b: b.age_s),
    ),
    Row("gateway_backup_leaves", "Leaves of this epoch that are backed up.", _figure(lambda b: b.covered)),
    Row("gateway_backup_objects", "Objects of this epoch at the target.", _figure(lambda b: b.objects)),
    Row("gateway_backup_bytes", "Bytes of those objects.", _figure(lambda b: b.bytes)),
    Row("gateway_backup_uploaded_bytes_total", "Bytes uploaded.", _figure(lambda b: b.uploaded_bytes)),
    Row("gateway_backup_failures_total", "Rounds that failed.", _figure(lambda b: b.failures)),
    Row(
        "gateway_backup_test_timestamp_seconds",
        "When the last restore test ended, in seconds since 1970.",
        _figure(lambda b: b.tested_at_s),
    ),
    Row("gateway_backup_test_passed", "Whether the last restore test passed.", _figure(_passed)),
)
