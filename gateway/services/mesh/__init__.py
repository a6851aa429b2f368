"""The relay over links that exist: Bluetooth's, and TCP on the local network."""

from __future__ import annotations

from gateway.services.mesh.lan import Lan
from gateway.services.mesh.service import Mesh, MeshSettings

__all__ = ["Lan", "Mesh", "MeshSettings"]
