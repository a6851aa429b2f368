# shellcheck shell=bash
# The running service: started, tried with a new release, taken back when that does not stand.

UNIT=offgrid-gateway.service

is_set_up() { [ -f "$ROOT/etc/offgrid/config.yml" ] && [ -f "$ROOT/etc/offgrid/gateway.key" ]; }

# What starts at boot, of the units in FOLDER: the shipped ones, by the names they have there.
units_at_boot() { # FOLDER
    local unit
    for unit in "$1"/offgrid-*.service "$1"/offgrid-*.timer; do
        if grep -qsx '\[Install\]' "$unit"; then basename "$unit"; fi
    done
}

# enable_units FOLDER: for the next boot; systemctl writes only links for that and needs no running systemd.
enable_units() {
    units_at_boot "$1" | xargs systemctl ${ROOT:+"--root=$ROOT"} --quiet enable
    if on_this_machine; then units_at_boot "$1" | sed -n '/\.timer$/p' | xargs --no-run-if-empty systemctl --quiet start; fi
}

# disable_units FOLDER
disable_units() {
    if on_this_machine; then
        units_at_boot "$1" | xargs systemctl --quiet stop || true # not all need be there
    fi
    units_at_boot "$1" | xargs systemctl ${ROOT:+"--root=$ROOT"} --quiet disable 2>/dev/null || true # likewise
}

# judge_configuration RELEASE: a configuration that the release would not take stops us before anything changes.
judge_configuration() {
    [ -f "$ROOT/etc/offgrid/config.yml" ] || return 0
    inside "$HOME_FOLDER/releases/$1/bin/offgrid-gateway" check-config /etc/offgrid/config.yml >/dev/null \
        || die "/etc/offgrid/config.yml is not what $1 expects, see above" \
            "mend these lines and run this again; nothing was changed, the gateway runs as before"
}

# change_to RELEASE: switched, started, waited for; what does not come up gives way to what ran before.
change_to() {
    local new=$1 before
    before=$(current_release)
    switch_to "$new"
    on_this_machine && is_set_up || return 0
    if [ "$new" = "$before" ] && [ "$CHANGED" = no ] && systemctl --quiet is-active "$UNIT"; then
        say "service: $new runs, as it did"
        return 0
    fi
    # `start` returns when the daemon says READY: store open, HTTP up.
    if systemctl restart "$UNIT"; then
        say "service: $new runs"
        return 0
    fi
    journalctl --unit "$UNIT" --lines 5 --no-pager --output cat >&2
    if [ -z "$before" ] || [ "$before" = "$new" ]; then
        die "the gateway does not start, see above" "sudo offgrid-gateway doctor"
    fi
    switch_to "$before"
    systemctl restart "$UNIT" || warn "$before does not start either"
    die "$new does not start, see above; back to $before" "sudo offgrid-gateway doctor"
}

# go_back: to the release before. Configuration, keys and database stay: what was promised since stays promised.
go_back() {
    local previous
    previous=$(previous_release)
    [ -f "$ROOT$HOME_FOLDER/releases/${previous:-none}/.complete" ] \
        || die "there is no previous release here" "install the one you want: sudo ./scripts/install.sh"
    judge_configuration "$previous"
    change_to "$previous"
    say "back to $previous; forward again with the same command"
}
