#!/usr/bin/env bash
# Writes the manual page, made from the commands themselves.
#   ./scripts/man-page.sh [FILE]     FILE: offgrid-gateway.1 unless named; read it with: man -l FILE
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-offgrid-gateway.1}
. "$root/scripts/lib/venv.sh"
(cd "$root" && ensure_venv requirements/core.lock && "$PYTHON" -m gateway.cli.manual) >"$out.new"
mv "$out.new" "$out"
echo "$out"
