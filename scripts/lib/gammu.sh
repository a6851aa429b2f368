# shellcheck shell=bash
# Unpacks Debian's gammu and gammu-smsd, with the libraries they link, into .tools/gammu (no service is started,
# nothing is installed) and puts wrappers on PATH; sourced by the scripts. Says why when it cannot.
# Usage: ensure_gammu

GAMMU_PACKAGES="gammu gammu-smsd libgammu8 libgsmsd8 libbluetooth3 libusb-1.0-0 libgudev-1.0-0 libdbi1 libodbc2
    libltdl7 libmariadb3 libpq5"

ensure_gammu() {
    local root tools program archive
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    tools="$root/.tools/gammu"
    export PATH="$root/.tools/usr/bin:$PATH"
    command -v gammu >/dev/null 2>&1 && command -v gammu-smsd >/dev/null 2>&1 && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "gammu is missing and this is no Debian; tests that need it will say so" >&2
        return 0
    fi
    echo "Fetching gammu and gammu-smsd (Debian packages) into .tools/gammu/ ..." >&2
    mkdir -p "$tools/packages" "$root/.tools/usr/bin"
    if ! _fetch_gammu "$tools/packages" 2>/dev/null; then
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2
        _fetch_gammu "$tools/packages" || {
            echo "gammu cannot be downloaded; tests that need it will say so" >&2
            return 0
        }
    fi
    for archive in "$tools"/packages/*.deb; do
        dpkg-deb -x "$archive" "$tools"
    done
    for program in gammu gammu-smsd; do
        printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@"\n' \
            "$tools/usr/lib:$tools/usr/lib/$(uname -m)-linux-gnu:$tools/lib/$(uname -m)-linux-gnu" \
            "$tools/usr/bin/$program" >"$root/.tools/usr/bin/$program"
        chmod +x "$root/.tools/usr/bin/$program"
    done
}

_fetch_gammu() (
    cd "$1" || return 1
    # shellcheck disable=SC2086
    apt-get download -qq -o APT::Sandbox::User=root $GAMMU_PACKAGES
)
