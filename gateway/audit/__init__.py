"""The audit log's files: every act on the running gateway, for ever as far as the bound allows."""

from __future__ import annotations

from gateway.audit.files import AuditLog, AuditUnwritten

__all__ = ["AuditLog", "AuditUnwritten"]
