#!/usr/bin/env bash
# Makes the gateway's key and certificate where its configuration says; nothing is ever overwritten.
#   ./scripts/generate-keys.sh [--config FILE] [--owner USER[:GROUP]]
# Without --config: config.yml of this checkout, else /etc/offgrid/config.yml.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${OFFGRID_CONFIG:-}" ] && [ -f "$root/config.yml" ]; then
    export OFFGRID_CONFIG="$root/config.yml"
fi
if [ -x "$root/.venv/bin/offgrid-gateway" ]; then
    exec "$root/.venv/bin/offgrid-gateway" keygen "$@"
elif command -v offgrid-gateway >/dev/null; then
    exec offgrid-gateway keygen "$@"
fi
. "$root/scripts/lib/venv.sh"
ensure_venv requirements/core.lock
exec "$PYTHON" -m gateway keygen "$@"
