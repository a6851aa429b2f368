#!/usr/bin/env bash
# How the running gateway fares, on one screen.
#   ./scripts/status.sh [--config FILE] [--watch] [--json]
# Without --config: config.yml of this checkout, else /etc/offgrid/config.yml. It installs nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${OFFGRID_CONFIG:-}" ] && [ -f "$root/config.yml" ]; then
    export OFFGRID_CONFIG="$root/config.yml"
fi
for program in "$root/.venv/bin/offgrid-gateway" /opt/offgrid-gateway/current/bin/offgrid-gateway offgrid-gateway; do
    if command -v "$program" >/dev/null; then
        exec "$program" status "$@"
    fi
done
echo "no gateway is installed here: ./scripts/install.sh installs one, ./scripts/demo.sh shows one on simulators." >&2
echo "One that runs elsewhere answers too: curl http://ADDRESS:8080/status" >&2
exit 1
