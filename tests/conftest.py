"""Settings for every test."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

# Rigs are shared: those of the integration tests serve the fault tests and the end-to-end tests too.
sys.path.insert(0, str(Path(__file__).parent / "integration"))

# No example is judged by how long it took: on a busy machine that fails at random.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
