"""Bundles of the own log written, bundles and acks of others taken and handed on."""

from __future__ import annotations

from gateway.services.carrying.bundling import Author, export, verify_file
from gateway.services.carrying.delivery import Delivery
from gateway.services.carrying.desk import Carrying, Surroundings, acts, commands

__all__ = ["Author", "Carrying", "Delivery", "Surroundings", "acts", "commands", "export", "verify_file"]
