#!/usr/bin/env bash
# Gathers everything the program is installed from, so that a gateway needs no network and no compiler:
# wheels of what requirements/pi.lock names, by its hashes, our own, and for each Python a lock over them.
#   ./scripts/build-wheels.sh [--arch x86_64|aarch64] [--python "3.11 3.13"] DIR
# Default: this machine's architecture, the Pythons of Debian 12 and 13. Then: sudo ./scripts/install.sh --wheels DIR
set -euo pipefail
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1  # the machine's authorities, as pip and apt take them
cd "$(dirname "$0")/.."
. scripts/lib/venv.sh
arch=$(uname -m) pythons="3.11 3.13" target=""
while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=$2; shift ;;
        --python) pythons=$2; shift ;;
        -*) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *) target=$1 ;;
    esac
    shift
done
[ -n "$target" ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
ensure_venv requirements/dev.lock
mkdir -p "$target"
target=$(cd "$target" && pwd)
exec 8>"$target/.lock" # one at a time
flock 8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip() { "$PYTHON" -m pip "$1" --quiet --disable-pip-version-check --no-deps "${@:2}"; }

# The lock without its markers, as it applies to one Python on one machine.
resolve() { # PYTHON FILE
    "$PYTHON" -m uv pip compile --quiet --no-deps --generate-hashes --no-header --no-annotate --no-emit-index-url \
        --python-version "$1" --python-platform "$arch-manylinux_2_28" requirements/pi.lock --output-file "$2"
}

fetch() { # PYTHON FILE: only wheels, of a C library no newer than Debian 12's
    local glibc platforms=()
    for glibc in _2_36 _2_35 _2_34 _2_31 _2_28 _2_27 _2_24 _2_17 2014 _2_12 2010 _2_5 1; do
        platforms+=(--platform "manylinux${glibc}_$arch")
    done
    pip download --require-hashes --only-binary :all: --python-version "$1" --implementation cp \
        --abi "cp${1/./}" --abi abi3 --abi none "${platforms[@]}" --requirement "$2" --dest "$target"
}

own_wheel() { # the same sources give the same bytes, and with them the same name of a release
    cp -r gateway drivers simulators benchmarks pyproject.toml README.md "$work/"
    find "$work" -name __pycache__ -type d -prune -exec rm -rf {} +
    SOURCE_DATE_EPOCH=1704067200 PYTHONWARNINGS=ignore pip wheel --no-build-isolation --wheel-dir "$work/own" "$work"
}

# Each "NAME==VERSION" of standard input with the hashes of its wheels that lie here.
lock() {
    local name version wheel line
    shopt -s nocaseglob
    while IFS="=" read -r name _ version; do
        line="$name==$version"
        for wheel in "$target/${name//-/_}-$version"-*.whl; do
            line+=" --hash=sha256:$(sha256sum <"$wheel" | cut -d' ' -f1)"
        done
        echo "$line"
    done
}

# Whoever copies from here meanwhile finds the old or the new file, never none.
place() { # FILE NAME
    cp "$1" "$target/.new" && mv "$target/.new" "$target/$2"
}

own_wheel
wheel=$(basename "$work"/own/offgrid_gateway-*.whl)
place "$work/own/$wheel" "$wheel"
find "$target" -maxdepth 1 -name 'offgrid_gateway-*.whl' ! -name "$wheel" -delete
own=$(cut -d- -f2 <<<"$wheel")
digest=$(sha256sum <requirements/pi.lock)
for python in $pythons; do
    resolved=$target/.python$python-${digest:0:12} # there once all it names is there
    if [ ! -f "$resolved" ]; then
        resolve "$python" "$work/lock"
        fetch "$python" "$work/lock"
        mv "$work/lock" "$resolved"
    fi
    { sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' "$resolved"; echo "offgrid-gateway==$own"; } | lock >"$work/wheels.lock"
    place "$work/wheels.lock" "python$python.lock"
done
echo "$target: $(find "$target" -name '*.whl' | wc -l) wheels for $arch, Python $pythons"
