#!/usr/bin/env bash
# Takes the gateway off this machine. Configuration, keys and what it keeps for wallets stay, unless --purge.
#   sudo ./scripts/uninstall.sh [--purge] [--root DIR]
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
purge=no
while [ $# -gt 0 ]; do
    case $1 in
        --purge) purge=yes ;;
        --root) ROOT=$(cd "$2" && pwd); shift ;;
        *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift
done
for room in words boot files software service; do
    # shellcheck source=/dev/null
    . "$here/scripts/lib/install/$room.sh"
done
[ "$(id -u)" = 0 ] || [ -n "$ROOT" ] || die "this needs root" "sudo $0 $*"
disable_units "$here/systemd"
remove_files /etc
undo_boot
rm -rf "$ROOT/opt/offgrid-gateway" "$ROOT/run/offgrid"
tell_the_system
if [ "$purge" = yes ]; then
    rm -rf "$ROOT/etc/offgrid" "$ROOT/var/lib/offgrid" "$ROOT"/var/lib/systemd/timers/stamp-offgrid-*
    remove_account
    say "uninstalled; configuration, keys and data are deleted"
else
    say "uninstalled; /etc/offgrid and /var/lib/offgrid stay (sudo $0 --purge deletes them)"
fi
if reboot_is_due; then say "REBOOT NEEDED: sudo reboot"; fi
