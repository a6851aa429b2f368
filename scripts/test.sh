#!/usr/bin/env bash
# Everything that must be green: lint, format, types, layers, tests. Arguments go to pytest instead of the whole run.
#   ./scripts/test.sh                      all of it
#   ./scripts/test.sh tests/unit -k frame  only these tests
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
. scripts/lib/debian-tools.sh
. scripts/lib/gammu.sh
. scripts/lib/debian-root.sh
ensure_venv requirements/dev.lock
ensure_debian_tool promtool prometheus
./scripts/fetch-moto.sh || echo "no S3 server: the tests of buckets are skipped" >&2
ensure_gammu
ensure_debian_program chromium chromium
ensure_debian_library faketime/libfaketimeMT.so.1 libfaketime

step() { printf '\n== %s\n' "$*"; }

if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest "$@"
fi
# What the package's tests install, and where, is fetched beside all else; they wait for it.
# Both give way to the tests: some of those drive a radio in real time.
(renice -n 19 "$BASHPID" >/dev/null; ensure_debian_root; ./scripts/build-deb.sh --wheels-only) >/dev/null &
types_and_layers() {
    step "mypy --strict"; nice -n 19 "$PYTHON" -m mypy gateway drivers simulators benchmarks tests
    step "import-linter"; .venv/bin/lint-imports
}

# The tests wait more than they compute, so the types are looked at meanwhile.
step "ruff";          "$PYTHON" -m ruff check .
step "ruff format";   "$PYTHON" -m ruff format --check .
beside=$(mktemp)
types_and_layers >"$beside" 2>&1 &
types=$!
trap 'kill "$types" 2>/dev/null || true; rm -f "$beside"' EXIT

# A suite that hangs must not eat the whole of CI: interrupted, pytest says what had failed and what still ran.
step "pytest"
tested=0
timeout --foreground --signal=INT --kill-after=20 "${TESTS_WITHIN_S:-$([ -n "${CI:-}" ] && echo 1500 || echo 0)}" \
    "$PYTHON" -m pytest -q -n 3 --dist loadgroup || tested=$?
typed=0
wait "$types" || typed=$?
cat "$beside"
[ "$tested" = 0 ] && [ "$typed" = 0 ]
