"""HTTP on the local network: uploads by phones, and the pages that tell how the daemon fares."""

from __future__ import annotations
