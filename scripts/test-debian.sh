#!/usr/bin/env bash
# The package and the unit in a clean Debian with its own systemd, also what takes longer than CI allows (30 failing
# starts at the shipped pace, an upgrade from another release, a refused upgrade). As root; ten minutes.
#   ./scripts/test-debian.sh [--debian bookworm|trixie] [--previous REVISION] [ARGUMENTS OF PYTEST]
# REVISION: the release to upgrade from is built from it (a tag, a commit) instead of from these sources.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
. scripts/lib/debian-tools.sh
. scripts/lib/debian-root.sh
ensure_venv requirements/dev.lock
while [ $# -gt 1 ]; do
    case $1 in
        --debian) export OFFGRID_DEBIAN=$2 ;;
        --previous) export OFFGRID_PREVIOUS=$2 ;;
        *) break ;;
    esac
    shift 2
done
ensure_debian_root "${OFFGRID_DEBIAN:-bookworm}"
exec "$PYTHON" -m pytest -q -m "long or not long" tests/e2e/test_debian_package.py tests/e2e/test_under_systemd.py \
    tests/e2e/test_first_boot_of_a_machine.py "$@"
