# shellcheck shell=bash
# Unpacks a Debian package's programs into .tools/ without installing it (no service is started, no root needed
# beyond reading the package lists); sourced by the scripts.
# Usage: ensure_debian_tool PROGRAM PACKAGE  -> puts .tools/usr/bin on PATH; says why when it cannot

ensure_debian_tool() {
    local program=$1 package=$2 root
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    export PATH="$root/.tools/usr/bin:$PATH"
    command -v "$program" >/dev/null 2>&1 && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "$program is missing and this is no Debian; tests that need it will say so" >&2
        return 0
    fi
    echo "Fetching $program (Debian package $package) into .tools/ ..." >&2
    mkdir -p "$root/.tools/packages"
    # As root the package lists may be refreshed; as a user they are used as they stand.
    if ! (cd "$root/.tools/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package") 2>/dev/null; then
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2
        (cd "$root/.tools/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package") || {
            echo "$package cannot be downloaded; tests that need $program will say so" >&2
            return 0
        }
    fi
    local archive
    archive=$(ls -t "$root/.tools/packages/${package}"_*.deb | head -n 1)
    dpkg-deb -x "$archive" "$root/.tools"
}
