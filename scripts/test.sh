#!/usr/bin/env bash
# Everything that must be green: lint, format, types, layers, tests. Arguments go to pytest instead of the whole run.
#   ./scripts/test.sh                      all of it
#   ./scripts/test.sh tests/unit -k frame  only these tests
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
. scripts/lib/debian-tools.sh
. scripts/lib/gammu.sh
ensure_venv requirements/dev.lock
ensure_debian_tool promtool prometheus
ensure_gammu
ensure_debian_library faketime/libfaketimeMT.so.1 libfaketime

step() { printf '\n== %s\n' "$*"; }

if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest "$@"
fi
step "ruff";          "$PYTHON" -m ruff check .
step "ruff format";   "$PYTHON" -m ruff format --check .
step "mypy --strict"; "$PYTHON" -m mypy gateway drivers simulators benchmarks tests
step "import-linter"; .venv/bin/lint-imports
step "pytest";        "$PYTHON" -m pytest -q -n 2 --dist loadgroup
