# shellcheck shell=bash
# How the installer speaks, and the one prefix that all its paths go through.
# ROOT is "" for this machine, or the folder where another system's tree stands.

ROOT=${ROOT:-}

say() { printf '%s\n' "$*"; }

warn() { printf 'WARN  %s\n' "$*" >&2; }

# die WHAT_WAS_SEEN [WHAT_MENDS_IT]
die() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '       %s\n' "$2" >&2
    exit 1
}

# True where services, udev and the kernel are those of the tree that is being changed.
on_this_machine() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }

# Runs a program of the tree inside the tree.
inside() {
    if [ -n "$ROOT" ]; then chroot "$ROOT" "$@"; else "$@"; fi
}

# Whether a file was put anew, so that what runs with it has to be started anew.
CHANGED=no

# shellcheck disable=SC2034 # service.sh reads it
mark_changed() { CHANGED=yes; }

# put MODE SOURCE DESTINATION: a file written whole or not at all; says nothing and does nothing if it is so already.
put() {
    local mode=$1 source=$2 target=$ROOT$3
    if [ -f "$target" ] && cmp -s "$source" "$target" && [ "$(stat -c %a "$target")" = "$mode" ]; then
        return 0
    fi
    install -d -m 755 "$(dirname "$target")"
    install -m "$mode" "$source" "$target.new"
    sync "$target.new"
    mv -f "$target.new" "$target"
    mark_changed
}
