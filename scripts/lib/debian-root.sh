# shellcheck shell=bash
# Makes .tools/roots/RELEASE, a clean Debian with systemd and python3, for tests that install the gateway and boot it
# in a container; nothing is installed here. Needs root; says why when it cannot. Sourced by the scripts.
# Usage: ensure_debian_root [RELEASE]     (bookworm)

DEBIAN_ROOT_PACKAGES=systemd,systemd-sysv,udev,dbus,python3

ensure_debian_root() {
    local tools release=${1:-bookworm}
    tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.tools
    mkdir -p "$tools/roots"
    (flock 7; _make_debian_root "$tools" "$release") 7>"$tools/roots/.lock" # tests wait for this lock
}

_make_debian_root() {
    local tools=$1 release=$2 root=$1/roots/$2
    [ ! -f "$root/.complete" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "a Debian root needs root to be made; tests that need it will say so" >&2
        return 0
    fi
    ensure_debian_tool debootstrap debootstrap
    ensure_debian_tool systemd-nspawn systemd-container
    PATH="$tools/usr/sbin:$PATH"
    command -v debootstrap >/dev/null || return 0
    echo "Fetching a Debian root into .tools/roots/$release (once; a minute) ..." >&2
    rm -rf "$root"
    mkdir -p "$root"
    DEBOOTSTRAP_DIR=$tools/usr/share/debootstrap debootstrap --variant=minbase --include="$DEBIAN_ROOT_PACKAGES" \
        "$release" "$root" http://deb.debian.org/debian >"$tools/roots/debootstrap.log" 2>&1 || {
        echo "debootstrap failed ($tools/roots/debootstrap.log); tests that need the root will say so" >&2
        return 0
    }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    touch "$root/.complete"
}
