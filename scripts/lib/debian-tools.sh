# shellcheck shell=bash
# Unpacks a Debian package into .tools/ without installing it (no service is started, no root needed beyond
# reading the package lists); sourced by the scripts.
# Usage: ensure_debian_tool PROGRAM PACKAGE  -> puts .tools/usr/bin on PATH; says why when it cannot
#        ensure_debian_program PROGRAM PACKAGE  -> installed on this machine, as root only
#        ensure_debian_library FILE PACKAGE  -> FILE below usr/lib/<machine>/, here or on the system

ensure_debian_tool() {
    local program=$1 package=$2
    export PATH="$(_checkout)/.tools/usr/bin:$PATH"
    command -v "$program" >/dev/null 2>&1 || _unpack_debian_package "$package" "$program"
}

# A browser needs a hundred libraries at their places: it is installed, where we may.
ensure_debian_program() {
    local program=$1 package=$2
    command -v "$program" >/dev/null 2>&1 && return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "$program is missing (Debian package $package); tests that need it will say so" >&2
        return 0
    fi
    echo "Installing $program (Debian package $package) ..." >&2
    _install_debian_package "$package" || { apt-get update -qq >&2 && _install_debian_package "$package"; } ||
        echo "$package cannot be installed; tests that need $program will say so" >&2
}

_install_debian_package() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null
}

ensure_debian_library() {
    local file=$1 package=$2 found
    for found in "$(_checkout)"/.tools/usr/lib/*/"$file" /usr/lib/*/"$file"; do
        [ -e "$found" ] && return 0
    done
    _unpack_debian_package "$package" "$file"
}

_checkout() {
    (cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
}

_unpack_debian_package() {
    local package=$1 wanted=$2 root archive
    root=$(_checkout)
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "$wanted is missing and this is no Debian; tests that need it will say so" >&2
        return 0
    fi
    echo "Fetching $wanted (Debian package $package) into .tools/ ..." >&2
    mkdir -p "$root/.tools/packages"
    # As root the package lists may be refreshed; as a user they are used as they stand.
    if ! (cd "$root/.tools/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package") 2>/dev/null; then
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2
        (cd "$root/.tools/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package") || {
            echo "$package cannot be downloaded; tests that need $wanted will say so" >&2
            return 0
        }
    fi
    archive=$(ls -t "$root/.tools/packages/${package}"_*.deb | head -n 1)
    dpkg-deb -x "$archive" "$root/.tools"
}
