#!/usr/bin/env bash
# A Wi-Fi of the gateway's own, so that a phone beside it reaches http://10.42.0.1:8080; off until asked for.
#   sudo ./scripts/access-point.sh on --country CC [--ssid NAME] [--interface wlan0] <passphrase
#   sudo ./scripts/access-point.sh off
# The passphrase (8 to 63 characters) is read from standard input. Needs NetworkManager, as Raspberry Pi OS has it.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
. "$here/scripts/lib/install/words.sh"
profile=/etc/NetworkManager/system-connections/offgrid-access-point.nmconnection
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -gt 0 ] || usage
action=$1; shift
ssid="" interface=wlan0 country=""
while [ $# -gt 0 ]; do
    case $1 in
        --ssid) ssid=$2; shift ;;
        --interface) interface=$2; shift ;;
        --country) country=$2; shift ;;
        --root) ROOT=$(cd "$2" && pwd); shift ;;
        *) usage ;;
    esac
    shift
done

tell_network_manager() {
    [ -z "$ROOT" ] && command -v nmcli >/dev/null || return 0
    nmcli connection reload
    if [ "$action" = on ]; then nmcli connection up offgrid-access-point; fi
}

turn_on() {
    local passphrase
    [[ $country =~ ^[A-Z]{2}$ ]] || die "the country is needed: Wi-Fi keeps its rules (--country DE)"
    read -r passphrase || true # a last line need not end
    [[ $passphrase =~ ^[[:print:]]{8,63}$ ]] || die "the passphrase has 8 to 63 letters, digits and signs (WPA2)" \
        "printf '%s' 'PASSPHRASE' | sudo $0 on --country $country"
    [ -n "$ssid" ] || ssid=offgrid-$(sed -n 's/^ *id: *\([a-z0-9_-]*\).*/\1/p' "$ROOT/etc/offgrid/config.yml" 2>/dev/null | head -n 1)
    [ "$(printf '%s' "$ssid" | wc -c)" -le 32 ] || die "the name $ssid has more than 32 bytes"
    install -d -m 755 "$(dirname "$ROOT$profile")"
    (umask 077; write_profile "$passphrase" >"$ROOT$profile.new")
    mv -f "$ROOT$profile.new" "$ROOT$profile"
    if [ -z "$ROOT" ] && command -v raspi-config >/dev/null; then raspi-config nonint do_wifi_country "$country"; fi
    tell_network_manager
    say "access point $ssid on $interface; the gateway is at http://10.42.0.1:8080"
}

write_profile() {
    cat <<PROFILE
[connection]
id=offgrid-access-point
type=wifi
interface-name=$interface
autoconnect=true

[wifi]
mode=ap
band=bg
ssid=$ssid

[wifi-security]
key-mgmt=wpa-psk
proto=rsn
pairwise=ccmp
psk=$(escaped "$1")

[ipv4]
method=shared
address1=10.42.0.1/24

[ipv6]
method=disabled
PROFILE
}

# GLib's key files know backslashes, and drop spaces at the front.
escaped() { sed -e 's/\\/\\\\/g; s/^ /\\s/' <<<"$1"; }

turn_off() {
    rm -f "$ROOT$profile"
    tell_network_manager
    say "no access point"
}

case $action in on) turn_on ;; off) turn_off ;; *) usage ;; esac
