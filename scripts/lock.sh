#!/usr/bin/env bash
# Resolves the lock files anew from pyproject.toml: with hashes, for x86_64 and aarch64, Python 3.11 to 3.13.
#   ./scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
ensure_venv requirements/dev.lock
"$PYTHON" -m pip install --quiet uv
compile() {
    local output=$1; shift
    "$PYTHON" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-annotate "$@" pyproject.toml --output-file "requirements/$output"
}
compile core.lock "$@" --extra build
compile dev.lock "$@" --extra build --extra dev --extra ble --constraint requirements/core.lock
compile pi.lock "$@" --extra build --extra pi --extra ble --extra backup --constraint requirements/core.lock
