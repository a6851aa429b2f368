#!/usr/bin/env bash
# Installs, upgrades or takes back the gateway on this machine; run again, it changes only what is not so yet.
#   sudo ./scripts/install.sh                  from this checkout, packages from the network
#   sudo ./scripts/install.sh --wheels DIR     without a network: DIR made by scripts/build-wheels.sh
#   sudo ./scripts/install.sh --rollback       back to the release before; configuration and data stay
#   sudo ./scripts/install.sh --boot-only      only SPI, UART and serial console of a Raspberry Pi
#   sudo ./scripts/install.sh --first-boot     that, and the set-up from offgrid.yml on the boot partition
# Once installed it is also there as offgrid-gateway-setup.
# Options: --no-boot                leave the boot partition alone
#          --no-onboard-bluetooth   Pi 3 and 4: switch the built-in Bluetooth off instead of moving it to the mini UART
#          --raw-hci                let the service use an adapter that the kernel drives (hci-socket:)
#          --no-start               do not start the service
#          --root DIR               another system's tree instead of this machine's
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
wheels="" action=install boot=yes bluetooth=yes raw_hci=keep start=yes packaged=no
for room in words boot files software service; do
    # shellcheck source=/dev/null
    . "$here/scripts/lib/install/$room.sh"
done
# In the Debian package, dpkg has put the files, and the boot partition is touched only where that is asked for.
case $here in /usr/share/*) packaged=yes boot=no; mark_changed ;; esac
usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; }
while [ $# -gt 0 ]; do
    case $1 in
        --wheels) wheels=$(cd "$2" && pwd); shift ;;
        --root) ROOT=$(cd "$2" && pwd); shift ;;
        --rollback) action=rollback ;;
        --boot-only) action=boot ;;
        --first-boot) action=first_boot ;;
        --no-boot) boot=no ;;
        --no-onboard-bluetooth) bluetooth=no ;;
        --raw-hci) raw_hci=yes ;;
        --no-start) start=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || [ -n "$ROOT" ] || die "this needs root" "sudo $0 $*"
[ "$action" != install ] || [ -n "$wheels" ] || [ -d "$here/wheels" ] || [ -f "$here/pyproject.toml" ] \
    || die "neither a checkout nor wheels are here" "run scripts/install.sh of a checkout, or give --wheels DIR"
[ "$action" = boot ] || [ -z "$ROOT" ] || [ -x "$ROOT/usr/bin/python3" ] || die "$ROOT has no python3" "is it a system's root?"

case $action in
    boot) configure_boot "$bluetooth" ;;
    first_boot)
        configure_boot "$bluetooth"
        reboot_once_for_radios
        exec "$HOME_FOLDER/current/bin/offgrid-gateway" first-boot
        ;;
    rollback) go_back ;;
    install)
        [ -n "$wheels" ] || [ ! -d "$here/wheels" ] || wheels=$here/wheels
        add_release "$here" "$wheels"
        judge_configuration "$RELEASE"
        if [ "$packaged" = no ]; then
            place_files "$here/systemd" /etc
            keep_installer "$here"
        fi
        make_account
        choose_drop_ins "$here/systemd" "$raw_hci"
        [ "$boot" = no ] || configure_boot "$bluetooth"
        tell_the_system
        enable_units "$here/systemd"
        if [ "$start" = yes ]; then change_to "$RELEASE"; else switch_to "$RELEASE"; fi
        forget_other_releases
        if ! is_set_up; then say "next: sudo offgrid-gateway init"; fi
        ;;
esac
if reboot_is_due; then say "REBOOT NEEDED before the radios are found: sudo reboot"; fi
