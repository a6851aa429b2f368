# shellcheck shell=bash
# Releases of the program, each a virtual environment of its own:
#
#   /opt/offgrid-gateway/releases/0.1.0-3f2a9c1d/   one release; .complete is written last
#   /opt/offgrid-gateway/current  -> releases/…     what runs
#   /opt/offgrid-gateway/previous -> releases/…     the way back
#
# A power cut leaves a release without .complete, which the next run makes anew, and `current` as it was.

HOME_FOLDER=/opt/offgrid-gateway
RELEASE="" # the one that add_release made or found

# add_release CHECKOUT [WHEELS]: from WHEELS without any network, else from the lock file.
add_release() {
    local checkout=$1 wheels=${2:-} folder
    _require_python
    [ -z "$wheels" ] || _wheels_lock "$wheels" >/dev/null
    RELEASE=$(_release_name "$checkout" "$wheels")
    folder=$HOME_FOLDER/releases/$RELEASE
    if [ -f "$ROOT$folder/.complete" ]; then
        say "program: $RELEASE is there"
        return 0
    fi
    say "program: installing $RELEASE ${wheels:+without network }(a minute or two on a Pi) ..."
    _remove "$folder"
    install -d "$ROOT$HOME_FOLDER/releases"
    if [ -n "$wheels" ]; then _from_wheels "$folder" "$wheels"; else _from_checkout "$folder" "$checkout"; fi
    inside "$folder/bin/offgrid-gateway" --version >/dev/null || die "$folder does not run" "look above for why"
    # The service may not write here, and without bytecode it would start slowly for ever.
    inside "$folder/bin/python" -m compileall -q -j 0 "$folder/lib" >/dev/null || true # a package's own tests may not compile
    sync -f "$ROOT$folder"
    echo "$RELEASE" >"$ROOT$folder/.complete"
}

# switch_to RELEASE: `current` and `previous` change, each at one stroke.
switch_to() {
    local now
    now=$(current_release)
    [ "$now" != "$1" ] || return 0
    [ -z "$now" ] || _point previous "$now"
    _point current "$1"
}

current_release() { _pointed current; }
previous_release() { _pointed previous; }

# forget_other_releases: all but these two.
forget_other_releases() {
    local folder name
    for folder in "$ROOT$HOME_FOLDER"/releases/*/; do
        name=$(basename "$folder")
        case $name in "$(current_release)" | "$(previous_release)") ;; *) rm -rf "$folder" ;; esac
    done
}

_point() {
    ln -sfn "releases/$2" "$ROOT$HOME_FOLDER/$1.new"
    mv -fT "$ROOT$HOME_FOLDER/$1.new" "$ROOT$HOME_FOLDER/$1"
    sync "$ROOT$HOME_FOLDER"
}

_pointed() {
    [ ! -L "$ROOT$HOME_FOLDER/$1" ] || basename "$(readlink "$ROOT$HOME_FOLDER/$1")"
}

_require_python() {
    inside python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
        || die "python3 3.11 or newer is needed (seen: $(inside python3 --version 2>&1))" \
            "use Raspberry Pi OS Bookworm or newer, 64-bit"
    case $(inside uname -m) in
        armv*) die "this system is 32-bit; some of what is needed exists for 64-bit only" "flash Raspberry Pi OS (64-bit)" ;;
    esac
}

# The version, and what it was made of, so that the same again is known to be the same.
_release_name() {
    local checkout=$1 wheels=$2 digest
    if [ -n "$wheels" ]; then
        digest=$(sha256sum <"$(_wheels_lock "$wheels")")
    else
        digest=$(cd "$checkout" && find gateway drivers simulators benchmarks pyproject.toml "$(_lock)" -type f \
            ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
    fi
    echo "$(_version "$checkout")-${digest:0:8}"
}

_version() { sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$1/gateway/__init__.py" 2>/dev/null || cat "$1/VERSION"; }

_lock() { if [ -n "$(pi_model)" ]; then echo requirements/pi.lock; else echo requirements/core.lock; fi; }

# One for each Python, written by scripts/build-wheels.sh.
_wheels_lock() {
    local lock
    lock=$1/python$(inside python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])').lock
    [ -f "$lock" ] || die "$1 has nothing for $(inside python3 --version)" \
        "make it anew: ./scripts/build-wheels.sh --arch $(inside uname -m) --python '3.11 3.13' DIR"
    echo "$lock"
}

_remove() { rm -rf "$ROOT${1:?}"; }

_from_wheels() {
    local folder=$1 wheels=$2 lock seen
    lock=$(basename "$(_wheels_lock "$wheels")")
    inside python3 -m venv --without-pip "$folder"
    # Inside another root the wheels have to be within reach.
    seen=$wheels
    if [ -n "$ROOT" ]; then seen=$folder/.wheels; cp -r "$wheels" "$ROOT$seen"; fi
    # pip runs out of its own wheel: Debian has it in a package of its own, which a bare system lacks.
    inside "$folder/bin/python" "$seen/$(basename "$ROOT$seen"/pip-*.whl)/pip" --isolated install --quiet \
        --disable-pip-version-check --no-compile --no-index --find-links "$seen" --require-hashes \
        --requirement "$seen/$lock" \
        || die "the wheels in $wheels do not fit this machine ($(inside uname -m)) or are damaged" \
            "make them anew: ./scripts/build-wheels.sh --arch $(inside uname -m) DIR"
    [ "$seen" = "$wheels" ] || _remove "$seen"
}

_from_checkout() {
    local folder=$1 checkout=$2 copy
    inside python3 -c 'import ensurepip' 2>/dev/null || die "python3 has no ensurepip here" "sudo apt install python3-venv"
    inside python3 -m venv "$folder"
    copy=$folder/.source # pip builds where it stands; the checkout stays clean
    install -d "$ROOT$copy"
    (cd "$checkout" && cp -r gateway drivers simulators benchmarks pyproject.toml README.md requirements "$ROOT$copy/")
    inside "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$copy/$(_lock)" \
        || die "what $(_lock) names cannot be installed" \
            "is the network up? without one, use --wheels (docs/install.md); for a compiler: sudo apt install gcc python3-dev"
    inside env PYTHONWARNINGS=ignore "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation "$copy"
    _remove "$copy"
}
