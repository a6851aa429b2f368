# shellcheck shell=bash
# Makes .venv from a lock file with hashes; sourced by the scripts. Needs python3 >= 3.11 with venv.
# Usage: ensure_venv requirements/NAME.lock   -> sets PYTHON to the interpreter inside .venv

ensure_venv() {
    local lock=$1 stamp root
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    stamp="$root/.venv/.stamp-$(basename "$lock")"
    PYTHON="$root/.venv/bin/python"
    if [ -x "$PYTHON" ] && [ -f "$stamp" ] && cmp -s "$root/$lock" "$stamp" \
        && [ -e "$root/.venv/bin/offgrid-gateway" ]; then
        return 0
    fi
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "python3 3.11 or newer is needed (seen: $(python3 --version 2>&1))" >&2
        return 2
    fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "python3 has no venv here; on Debian: sudo apt install python3-venv" >&2
        return 2
    fi
    echo "Preparing .venv from $lock (once; a minute or two) ..." >&2
    [ -x "$PYTHON" ] || python3 -m venv "$root/.venv" || return 2
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/$lock" || return 2
    PYTHONWARNINGS=ignore "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --editable "$root" || return 2
    cp "$root/$lock" "$stamp"
}
