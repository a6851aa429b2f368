#!/usr/bin/env bash
# The main job on simulators: wallets, a packet forwarder, the daemon and a coordinator, with the backhaul cut midway.
#   ./scripts/demo.sh [--seconds N] [--json FILE]
#   ./scripts/demo.sh --mesh [--snapshots N]      three gateways in a line, only one with a backhaul
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
ensure_venv requirements/core.lock
exec "$PYTHON" -m simulators demo "$@"
