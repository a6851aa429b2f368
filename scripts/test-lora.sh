#!/usr/bin/env bash
# Tests the concentrator from SPI to antenna, and the GPS; the gateway must be stopped.
#   ./scripts/test-lora.sh [--config FILE] [--seconds N] [--yes] [--json]
# Without --config: config.yml of this checkout, else /etc/offgrid/config.yml.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${OFFGRID_CONFIG:-}" ] && [ -f "$root/config.yml" ]; then
    export OFFGRID_CONFIG="$root/config.yml"
fi
if [ -x "$root/.venv/bin/offgrid-gateway" ]; then
    exec "$root/.venv/bin/offgrid-gateway" test-lora "$@"
elif command -v offgrid-gateway >/dev/null; then
    exec offgrid-gateway test-lora "$@"
fi
. "$root/scripts/lib/venv.sh"
lock=requirements/core.lock
[ -e /proc/device-tree/model ] && lock=requirements/pi.lock # a Raspberry Pi: SPI and GPIO
ensure_venv "$lock"
exec "$PYTHON" -m gateway test-lora "$@"
