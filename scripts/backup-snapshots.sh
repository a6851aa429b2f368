#!/usr/bin/env bash
# Backs up what the log has new, at once, and verifies it; the daemon does so by itself every few minutes.
#   ./scripts/backup-snapshots.sh [--config FILE]
# Without --config: config.yml of this checkout, else /etc/offgrid/config.yml. It installs nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${OFFGRID_CONFIG:-}" ] && [ -f "$root/config.yml" ]; then
    export OFFGRID_CONFIG="$root/config.yml"
fi
for program in "$root/.venv/bin/offgrid-gateway" /opt/offgrid-gateway/current/bin/offgrid-gateway offgrid-gateway; do
    if command -v "$program" >/dev/null; then
        exec "$program" backup now "$@"
    fi
done
echo "no gateway is installed here: ./scripts/install.sh installs one" >&2
exit 1
