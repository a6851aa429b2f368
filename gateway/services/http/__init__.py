"""HTTP on the local network: uploads by phones, and the pages that tell how the daemon fares.

Imported only when a server is to run: aiohttp takes 12 MiB and a tenth of a second.
"""

from __future__ import annotations
