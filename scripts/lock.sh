#!/usr/bin/env bash
# Resolves the lock files anew from pyproject.toml: with hashes, for x86_64 and aarch64, Python 3.11 to 3.13.
#   ./scripts/lock.sh [--upgrade]
#   ./scripts/lock.sh --check      does a 64-bit Pi find wheels for all of it, on Debian 12 and on 13?
set -euo pipefail
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1  # the machine's authorities, as pip and apt take them
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
ensure_venv requirements/dev.lock
if [ "${1:-}" = --check ]; then
    for lock in core pi; do
        for python in 3.11 3.13; do
            "$PYTHON" -m uv pip install --quiet --dry-run --target /nowhere --only-binary :all: --require-hashes \
                --python-platform aarch64-manylinux_2_28 --python-version "$python" -r "requirements/$lock.lock"
            echo "$lock.lock: aarch64, Python $python: fine"
        done
    done
    exit 0
fi
compile() {
    local output=$1; shift
    "$PYTHON" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-annotate "$@" pyproject.toml --output-file "requirements/$output"
}
compile core.lock "$@" --extra build --extra ble
compile dev.lock "$@" --extra build --extra dev --extra ble --extra backup --constraint requirements/core.lock
compile pi.lock "$@" --extra build --extra pi --extra ble --extra backup --constraint requirements/core.lock
# Apart from all others, for what it needs contradicts sqlite-utils: tests run it in an environment of its own.
"$PYTHON" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-emit-index-url --no-annotate requirements/moto.in --output-file requirements/moto.lock
