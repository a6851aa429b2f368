# shellcheck shell=bash
# What is put beside the program: account, udev rules, units, limits. The Debian package carries the same files
# below /usr/lib; the installer puts them below /etc, where an administrator's files belong.

# place_files SOURCE LIB: SOURCE is the checkout's systemd/ folder, LIB /etc or /usr/lib.
place_files() {
    local source=$1 lib=$2 unit
    put 644 "$source/sysusers.conf" "$lib/sysusers.d/offgrid.conf"
    put 644 "$source/modules-load.conf" "$lib/modules-load.d/offgrid.conf"
    for unit in "$source"/offgrid-*.service "$source"/offgrid-*.timer; do
        [ ! -f "$unit" ] || put 644 "$unit" "$lib/systemd/system/$(basename "$unit")"
    done
    # Below /etc in both: a site may want other names and other limits.
    put 644 "$source/udev.rules" /etc/udev/rules.d/70-offgrid.rules
    put 644 "$source/journal.conf" /etc/systemd/journald.conf.d/offgrid.conf
    put 644 "$source/hardware-watchdog.conf" /etc/systemd/system.conf.d/offgrid.conf
}

# remove_files LIB
remove_files() {
    local lib=$ROOT$1
    rm -f "$lib/sysusers.d/offgrid.conf" "$lib/modules-load.d/offgrid.conf" "$lib"/systemd/system/offgrid-*.service \
        "$lib"/systemd/system/offgrid-*.timer \
        "$ROOT/etc/udev/rules.d/70-offgrid.rules" "$ROOT/etc/systemd/journald.conf.d/offgrid.conf" \
        "$ROOT/etc/systemd/system.conf.d/offgrid.conf" "$ROOT/usr/local/bin/offgrid-gateway" \
        "$ROOT/usr/local/sbin/offgrid-gateway-setup"
    rm -rf "$ROOT/etc/systemd/system/offgrid-gateway.service.d" "$ROOT/usr/local/share/offgrid-gateway"
}

# keep_installer CHECKOUT: for the way back and the first boot, when the checkout is long gone.
keep_installer() {
    local checkout=$1 share=$ROOT/usr/local/share/offgrid-gateway
    rm -rf "$share"
    install -d "$share/scripts/lib" "$ROOT/usr/local/bin" "$ROOT/usr/local/sbin"
    cp "$checkout/scripts/install.sh" "$checkout/scripts/uninstall.sh" "$share/scripts/"
    cp -r "$checkout/scripts/lib/install" "$share/scripts/lib/"
    cp -r "$checkout/systemd" "$share/"
    ln -sfn "$HOME_FOLDER/current/bin/offgrid-gateway" "$ROOT/usr/local/bin/offgrid-gateway"
    ln -sfn /usr/local/share/offgrid-gateway/scripts/install.sh "$ROOT/usr/local/sbin/offgrid-gateway-setup"
}

# make_account: the service's user, its groups, and the folders that outlive the program.
make_account() {
    systemd-sysusers ${ROOT:+"--root=$ROOT"} offgrid.conf
    local group
    group=$(awk -F: '$1 == "offgrid" { print $3 }' "$ROOT/etc/group")
    install -d -m 750 -g "$group" "$ROOT/etc/offgrid"
    local user
    user=$(awk -F: '$1 == "offgrid" { print $3 }' "$ROOT/etc/passwd")
    install -d -m 750 -o "$user" -g "$group" "$ROOT/var/lib/offgrid"
}

remove_account() {
    userdel ${ROOT:+--prefix "$ROOT"} offgrid 2>/dev/null || warn "the account offgrid is left; sudo userdel offgrid"
}

# drop_in NAME yes|no: one of systemd/available/, for the service.
drop_in() {
    local name=$1 wanted=$2 source=$3 target=/etc/systemd/system/offgrid-gateway.service.d/$1.conf
    if [ "$wanted" = yes ]; then put 644 "$source/available/$name.conf" "$target"; else rm -f "$ROOT$target"; fi
}

# choose_drop_ins SOURCE RAW_HCI(yes|no)
choose_drop_ins() {
    [ "$2" != yes ] || drop_in bluetooth-hci yes "$1"
    if [ "$(_systemd_version)" -ge 254 ]; then drop_in restart-steps yes "$1"; fi
}

_systemd_version() { inside systemctl --version | awk 'NR == 1 { print int($2) }'; }

# tell_the_system: what runs takes the new files; the hardware watchdog and the journal's cap too.
tell_the_system() {
    on_this_machine || return 0
    systemctl daemon-reload
    systemctl try-restart systemd-journald.service
    modprobe --all --quiet spidev usbserial cdc_acm 2>/dev/null || true # built in, or not of this kernel
    if command -v udevadm >/dev/null && udevadm control --reload 2>/dev/null; then
        udevadm trigger --subsystem-match=tty --subsystem-match=spidev --subsystem-match=gpio --subsystem-match=usb \
            --subsystem-match=pps --action=change
    fi
}
