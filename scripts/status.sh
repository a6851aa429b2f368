#!/usr/bin/env bash
# How the running gateway fares, on one screen.
#   ./scripts/status.sh [--config FILE] [--json]
# Without --config: config.yml of this checkout, else /etc/offgrid/config.yml.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${OFFGRID_CONFIG:-}" ] && [ -f "$root/config.yml" ]; then
    export OFFGRID_CONFIG="$root/config.yml"
fi
if [ -x "$root/.venv/bin/offgrid-gateway" ]; then
    exec "$root/.venv/bin/offgrid-gateway" status "$@"
elif command -v offgrid-gateway >/dev/null; then
    exec offgrid-gateway status "$@"
fi
. "$root/scripts/lib/venv.sh"
ensure_venv requirements/core.lock
exec "$PYTHON" -m gateway status "$@"
