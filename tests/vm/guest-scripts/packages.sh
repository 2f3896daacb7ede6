#!/bin/bash
# In a fresh Debian: the package installed as a user does it, its commands, its files, its service, its removal.
# Beside this script: pagewarden.deb, a log.
# shellcheck source=tests/vm/guest-scripts/common.sh
. ./common.sh

check 'nothing is there before' nothing_left
installs pagewarden.deb
began=$(now)
check 'the second report' pagewarden status
measured status_seconds "$(since "$began")"
measured installed_kb "$(dpkg-query -W -f '${Installed-Size}' pagewarden)"
measured disk_bytes "$(dpkg -L pagewarden | while read -r path; do [ -f "$path" ] && stat -c %s "$path"; done | awk '{ s += $1 } END { print s }')"
pulled=$(dpkg-query -W -f '${Installed-Size}\n' | awk '{ s += $1 } END { print s }')
measured all_packages_kb "$pulled"

# Stale: the marks are from before the initial RAM disk was given back, which is so on most machines after boot.
check 'the model fits this kernel' says '"exact":true\|"stale":true' pagewarden status --format json
check 'advise has nothing against a fresh machine' pagewarden advise --check
check 'simulate' says '"vm.min_free_kbytes"' pagewarden simulate --format json vm.min_free_kbytes=20000
check 'explain a log' says 'page allocation failure' pagewarden explain ./log
check 'explain the journal' pagewarden explain --journal
check 'gfp' says GFP_ATOMIC pagewarden gfp 0x820
check 'schemas (pydantic works)' says '"properties"' pagewarden schema advice
check 'wrong usage' status_is 2 pagewarden no-such-command
check 'as nobody' setpriv --reuid 65534 --regid 65534 --clear-groups pagewarden status
check 'nobody may not apply' status_is 77 setpriv --reuid 65534 --regid 65534 --clear-groups pagewarden apply vm.min_free_kbytes=20000
check 'a capture' pagewarden capture /tmp/made.tar.gz
check 'and what it holds' pagewarden advise --root /tmp/made.tar.gz

for page in pagewarden pagewarden-advise pagewarden-explain pagewarden-simulate; do
    check "man $page" test -s "/usr/share/man/man1/$page.1.gz"
done
check 'bash completes' bash -c 'source /usr/share/bash-completion/completions/pagewarden && complete -p pagewarden'
for unit in /usr/lib/systemd/system/pagewarden*; do
    check "systemd-analyze verify ${unit##*/}" silent systemd-analyze verify --man=no "$unit"
done
for unit in pagewarden pagewarden-apply pagewarden-probation; do
    measured "security_of_$unit" "$(exposure "$unit.service")"
done

check 'not started by itself' status_is 3 systemctl is-active pagewarden
began=$(now)
check 'enable --now' systemctl enable --now pagewarden
measured service_ready_seconds "$(since "$began")"
check 'up' systemctl is-active pagewarden
wait_for 'its status is one line' says 'read every' systemctl show -p StatusText --value pagewarden
cat /tmp/said
check 'as its own account' says '^pagewarden$' ps -o user:20= -p "$(pid_of)"
check 'in the journal' says . journalctl -q -u pagewarden
check 'status ends with the service' says 'running since' pagewarden status
wait_for 'history of the first readings' says 'Free memory' pagewarden history

systemd-run -q --scope -p MemoryMax=24M -p MemorySwapMax=0 python3 -c 'bytearray(200 << 20)'
wait_for 'a killed task becomes a finding' an_entry PAGEWARDEN_STATE=appeared PAGEWARDEN_CAUSE=memcg-limit
check 'with its catalog text' says 'A control group reached its memory limit' journalctl -q -x --no-pager -t pagewarden
check 'explained from the journal' says 'memcg\|control group\|cgroup' pagewarden explain --journal
wait_for 'and in the history' says 'memcg-limit' pagewarden history

pid=$(pid_of)
mkdir -p /etc/pagewarden/pagewarden.toml.d
printf '[service]\npoll_max_seconds = 5\n' >/etc/pagewarden/pagewarden.toml.d/day.toml
check 'reload' systemctl reload pagewarden
wait_for 'and says so' says 'Configuration read again' journalctl -q --no-pager -t pagewarden
printf '[service]\npoll_max_seconds = "often"\n' >/etc/pagewarden/pagewarden.toml.d/day.toml
check 'reload of a wrong configuration' systemctl reload pagewarden
wait_for 'it is refused, with file and line' says 'Configuration refused, the old one stays: .*day.toml.*poll_max_seconds' journalctl -q --no-pager -t pagewarden
check 'config says the same' status_is 78 pagewarden config
check 'the same process goes on' test "$(pid_of)" = "$pid"
rm -r /etc/pagewarden/pagewarden.toml.d

# The watchdog of a service that hangs; with less than its three minutes, for the sake of the test's.
mkdir -p /run/systemd/system/pagewarden.service.d
printf '[Service]\nWatchdogSec=20\nRestartSec=1\n' >/run/systemd/system/pagewarden.service.d/day.conf
systemctl daemon-reload
check 'restart' systemctl restart pagewarden
pid=$(pid_of)
kill -STOP "$pid"
began=$(now)
wait_for 'a hanging service is ended and started anew' restarted_after "$pid"
measured watchdog_to_restart_seconds "$(since "$began")"
check 'by the watchdog' says 'Watchdog timeout' journalctl -q --no-pager -u pagewarden
rm -r /run/systemd/system/pagewarden.service.d
systemctl daemon-reload

check 'installing again' apt_install --reinstall ./pagewarden.deb
check 'still up afterwards' systemctl is-active pagewarden

# By hand: applied, verified, watched; taken back.
first=$(in_force) wanted=$(($(in_force) + 512))
check 'enable the path units' systemctl enable --now pagewarden-apply.path pagewarden-probation.path
check 'apply' says 'pagewarden-probation.service watches it' pagewarden apply "$key=$wanted"
check 'in force' is_in_force "$wanted"
check 'for the next boot too' grep "^$key = $wanted\$" /etc/sysctl.d/60-pagewarden.conf
check 'every zone as predicted' says '"exact":true' pagewarden status --format json
wait_for 'watched' systemctl is-active pagewarden-probation.service
check 'on probation' says "$key: $first -> $wanted" pagewarden probation
check 'revert' pagewarden revert
check 'put back' is_in_force "$first"
check 'no file is left' test ! -e /etc/sysctl.d/60-pagewarden.conf

# A setting that pagewarden changed: kept on remove, put back on purge.
check 'apply once more' pagewarden apply --no-watch "$key=$wanted"
check 'apt remove' apt-get remove -y -q pagewarden
cp /tmp/said /tmp/removed
check 'says that the settings stay' grep 'stay in force' /tmp/removed
check 'no command any more' test ! -e /usr/bin/pagewarden
check 'no process any more' status_is 1 pgrep -f /usr/bin/pagewarden
check 'the setting is kept' is_in_force "$wanted"
check 'apt purge' apt-get purge -y -q pagewarden
cp /tmp/said /tmp/purged
check 'says what it puts back' grep "$key: $wanted -> $first" /tmp/purged
check 'the setting is put back' is_in_force "$first"
check 'nothing is left' nothing_left
check 'nor the account' status_is 2 getent passwd pagewarden
ends
