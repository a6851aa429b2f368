# shellcheck shell=bash
# A Raspberry Pi's boot partition: SPI and the header's UART on, no console on that UART. Models 3, 4 and 5.
# What is written here holds after a reboot only, which is told in Debian's way, /run/reboot-required.

BEGIN_MARK='# offgrid-gateway: begin (scripts/install.sh writes from here to the end mark)'
END_MARK='# offgrid-gateway: end'

# What every model calls the UART on GPIO 14 and 15 once this is done.
HEADER_UART=/dev/ttyAMA0

pi_model() { # 3, 4, 5, "" where it is no Raspberry Pi, "other" for one that is not known
    local name=""
    [ -r "$ROOT/proc/device-tree/model" ] && name=$(tr -d '\0' <"$ROOT/proc/device-tree/model")
    case $name in
        'Raspberry Pi 3 '* | 'Raspberry Pi Compute Module 3'* | 'Raspberry Pi Zero 2 '*) echo 3 ;;
        'Raspberry Pi 4 '* | 'Raspberry Pi 400'* | 'Raspberry Pi Compute Module 4'*) echo 4 ;;
        'Raspberry Pi 5 '* | 'Raspberry Pi 500'* | 'Raspberry Pi Compute Module 5'*) echo 5 ;;
        'Raspberry Pi '*) echo other ;;
    esac
}

boot_folder() { # /boot/firmware since Bookworm, /boot before
    local folder
    for folder in /boot/firmware /boot; do
        [ -f "$ROOT$folder/config.txt" ] && { echo "$folder"; return 0; }
    done
    return 1
}

# configure_boot ONBOARD_BLUETOOTH(yes|no)
configure_boot() {
    local bluetooth=$1 model folder
    model=$(pi_model)
    case $model in
        '') say "boot: no Raspberry Pi, nothing to set"; return 0 ;;
        other) warn "boot: this Raspberry Pi is none of 3, 4, 5; turn SPI on and the serial console off with raspi-config"; return 0 ;;
    esac
    folder=$(boot_folder) || die "no config.txt in $ROOT/boot/firmware or $ROOT/boot" \
        "mount the boot partition, then run this again"
    _write_block "$ROOT$folder/config.txt" "$(_boot_lines "$model" "$bluetooth")"
    _drop_console "$ROOT$folder/cmdline.txt"
    _silence_getty
    say "boot: Raspberry Pi $model, SPI at /dev/spidev0.0, GPS at $HEADER_UART"
}

# undo_boot: takes our lines out again; what was there before them holds again after a reboot.
undo_boot() {
    local folder port
    folder=$(boot_folder) || return 0
    grep -qF "$END_MARK" "$ROOT$folder/config.txt" || return 0
    _write_block "$ROOT$folder/config.txt" ""
    rm -f "$ROOT$folder/config.txt.before-offgrid" "$ROOT$folder/cmdline.txt.before-offgrid"
    for port in ttyAMA0 ttyS0; do
        rm -f "$ROOT/etc/systemd/system/serial-getty@$port.service"
    done
    say "boot: our lines were taken out of $folder/config.txt; cmdline.txt stays without a serial console"
}

# True from the first change of the boot partition until the reboot.
reboot_is_due() { grep -qsx offgrid-gateway "$ROOT/run/reboot-required.pkgs"; }

# reboot_once_for_radios: for the first boot; never twice, whatever the boot partition makes of what is written.
reboot_once_for_radios() {
    local done_already=$ROOT/var/lib/offgrid/first-boot.rebooted
    reboot_is_due && [ ! -e "$done_already" ] || return 0
    touch "$done_already"
    sync "$done_already"
    say "restarting once, so that the radios are found"
    systemctl reboot
    exit 0
}

_boot_lines() {
    local model=$1 bluetooth=$2
    echo "[all]"
    echo "dtparam=spi=on"
    case $model in
        5) echo "dtparam=uart0=on" ;; # Bluetooth has a UART of its own there
        *)
            echo "enable_uart=1"
            # The good UART goes to the header. The mini UART, where Bluetooth then is, and SPI count from the
            # core clock; enable_uart=1 holds it.
            if [ "$bluetooth" = yes ]; then echo "dtoverlay=miniuart-bt"; else echo "dtoverlay=disable-bt"; fi
            if [ "$model" = 3 ]; then echo "core_freq=250"; fi
            ;;
    esac
}

# _write_block FILE LINES: puts LINES between our marks at the file's end; without LINES the marks go too.
_write_block() {
    local file=$1 lines=$2 rest
    rest=$(sed "/^${BEGIN_MARK%% (*}/,/^$END_MARK/d" "$file")
    {
        printf '%s\n' "$rest"
        [ -z "$lines" ] || printf '%s\n%s\n%s\n' "$BEGIN_MARK" "$lines" "$END_MARK"
    } >"$file.new"
    _replace_if_other "$file"
}

# The firmware writes serial0 itself, so every spelling has to go.
_drop_console() {
    local file=$1
    [ -f "$file" ] || return 0
    sed -E 's/(^| )console=(serial0|ttyAMA0|ttyS0)(,[^ ]*)?//g; s/^ //' "$file" >"$file.new"
    _replace_if_other "$file"
}

_replace_if_other() { # FILE.new becomes FILE; the first original is kept
    local file=$1
    if cmp -s "$file.new" "$file"; then rm "$file.new"; return 0; fi
    [ -e "$file.before-offgrid" ] || cp -p "$file" "$file.before-offgrid"
    sync "$file.new"
    mv -f "$file.new" "$file"
    sync "$(dirname "$file")"
    _want_reboot
}

_silence_getty() {
    local port
    for port in ttyAMA0 ttyS0; do
        install -d "$ROOT/etc/systemd/system"
        ln -sf /dev/null "$ROOT/etc/systemd/system/serial-getty@$port.service"
    done
    if on_this_machine; then systemctl stop 'serial-getty@*.service'; fi
}

_want_reboot() {
    install -d "$ROOT/run"
    touch "$ROOT/run/reboot-required"
    reboot_is_due || echo offgrid-gateway >>"$ROOT/run/reboot-required.pkgs"
}
