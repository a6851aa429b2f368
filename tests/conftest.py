"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# No example is judged by how long it took: on a busy machine that fails at random.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
