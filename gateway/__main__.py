"""``python -m gateway``: the same as ``offgrid-gateway``."""

from __future__ import annotations

from gateway.cli import main

main(prog_name="offgrid-gateway")
