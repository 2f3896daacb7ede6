#!/bin/bash
# shellcheck shell=bash disable=SC2034,SC2154
# For units.sh: a plan is applied, verified and watched; harm takes it back; what a person does is watched as well.
more=$((now + 256))
configure 'boot_grace_minutes = 5' 'probation_minutes = 5' 'changes_per_day = 10' 'max_pressure_percent = 20.0' 'max_held_back_percent = 20.0'
in_force() { echo "$(sysctl -n "$key") $(grep -s "^$key" /etc/sysctl.d/60-pagewarden.conf)"; }
ended() { for _ in $(seq 120); do [ -e /var/lib/pagewarden/apply/probation.json ] || return; sleep 1; done; }

plan $more "$now" pagewarden
expect "applied" "$now -> $more, verified in every zone" "$(answer)"
expect "value and file" "^$more $key = $more\$" "$(in_force)"
expect "file of root, readable" '^-rw-r--r-- root' "$(stat -c '%A %U' /etc/sysctl.d/60-pagewarden.conf)"
expect "the model agrees with the kernel" '"exact":true' "$(pagewarden status --format json)"
sleep 5
expect "watched" '^active' "$(systemctl is-active pagewarden-probation.service)"
expect "on probation" "On probation: $key: $now -> $more" "$(pagewarden probation)"
plan $((more + 256)) $more pagewarden
expect "no second change meanwhile" 'an earlier change is still on probation' "$(answer)"

systemd-run -q --scope -p MemoryMax=40M -p MemorySwapMax=0 python3 -c 'bytearray(200 << 20)'
ended
expect "harm takes it back" "^$now \$" "$(in_force)"
expect "and says so" 'was taken back at once: [0-9]+ OOM kill' "$(journalctl -u pagewarden-probation.service -o cat --no-pager)"
expect "the watching ends" '^inactive' "$(systemctl is-active pagewarden-probation.service)"
expect "the path unit waits again" '^active' "$(systemctl is-active pagewarden-probation.path)"
plan $more "$now" pagewarden
expect "not tried again" 'it was tried .*there is no evidence since' "$(answer)"

expect "by hand" 'pagewarden-probation.service watches it' "$(pagewarden apply "$key=$more" 2>&1 </dev/null)"
sleep 5
expect "watched as well" '^active' "$(systemctl is-active pagewarden-probation.service)"
pagewarden revert >/dev/null
ended
expect "reverted" "^$now \$" "$(in_force)"
expect "no unit failed" '^0$' "$(systemctl --failed --no-legend | grep -c pagewarden)"
