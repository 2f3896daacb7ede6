#!/bin/bash
# In a fresh Debian: the package installed and upgraded as a user does it, its commands, its files, its service, its
# removal; and the same without a package.
# Beside this script: earlier.deb, pagewarden.deb, a log, and by-pip, what pip installs.
# shellcheck source=tests/vm/guest-scripts/common.sh disable=SC2329  # functions are called through check
. ./common.sh

version() { dpkg-query -W -f '${Version}' pagewarden; }
first_reading() { pagewarden history --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["samples"][0]["time"])'; }
status_text() { systemctl show -p StatusText --value pagewarden; }
polls() { python3 -c 'import json; print(json.load(open("/run/pagewarden/state.json"))["poll_count"])'; }
polled_since() { [ "$(polls)" -gt "$1" ]; }
kills() { awk '$1 == "oom_kill" { print $2 }' /proc/vmstat; }

check 'nothing is there before' nothing_left
# The version before, and an administrator who uses it.
installs earlier.deb
check 'not started by itself' status_is 3 systemctl is-active pagewarden
began=$(now)
check 'enable --now' systemctl enable --now pagewarden
measured service_ready_seconds "$(since "$began")"
before=$(version) first=$(in_force)
check 'the path units' systemctl enable --now pagewarden-apply.path pagewarden-probation.path
printf '\n# edited by an administrator\n' >>/etc/pagewarden/pagewarden.toml
mkdir -p /etc/pagewarden/pagewarden.toml.d
printf '[apply]\nprobation_minutes = 60\n' >/etc/pagewarden/pagewarden.toml.d/before.toml
check 'a change by hand' pagewarden apply "$key=$((first + 512))"
wait_for 'is watched' systemctl is-active pagewarden-probation.service
wait_for 'the service has read the machine' says 'Free memory' pagewarden history
pid=$(pid_of) watcher=$(pid_of pagewarden-probation) began=$(first_reading)
check 'it has a time' test -n "$began"

# The services are restarted by an upgrade; what there was stays: what the administrator made of it, a change that is
# being watched, what is remembered. The earlier version's own configuration file was another one, so dpkg has to choose.
check 'upgrade' apt_install -o Dpkg::Options::=--force-confold ./pagewarden.deb
check 'a newer version' dpkg --compare-versions "$(version)" gt "$before"
wait_for 'the new service runs' restarted_after "$pid"
for unit in pagewarden.service pagewarden-apply.path pagewarden-probation.path; do
    check "$unit is still enabled" systemctl is-enabled "$unit"
    check "$unit is still up" systemctl is-active "$unit"
done
check 'the edited configuration is kept' grep '^# edited by an administrator' /etc/pagewarden/pagewarden.toml
check 'the new one lies beside it' test -s /etc/pagewarden/pagewarden.toml.dpkg-dist
check 'the one beside it counts' says 'probation_minutes = 60' pagewarden config
check 'the change is in force' is_in_force $((first + 512))
check 'for the next boot too' grep "^$key = $((first + 512))\$" /etc/sysctl.d/60-pagewarden.conf
wait_for 'and watched by the new version' restarted_after "$watcher" pagewarden-probation
check 'still on probation' says "$key: $first -> $((first + 512))" pagewarden probation
check 'what was read before is remembered' test "$(first_reading)" = "$began"
check 'revert' pagewarden revert
check 'put back' is_in_force "$first"
wait_for 'the watching ends' status_is 3 systemctl is-active pagewarden-probation.service
rm /etc/pagewarden/pagewarden.toml.d/before.toml

# Its commands.
check 'a report' pagewarden status
began=$(now)
check 'the second report' pagewarden status
measured status_seconds "$(since "$began")"
measured installed_kb "$(dpkg-query -W -f '${Installed-Size}' pagewarden)"
measured disk_bytes "$(dpkg -L pagewarden | while read -r path; do [ -f "$path" ] && stat -c %s "$path"; done | awk '{ s += $1 } END { print s }')"
measured all_packages_kb "$(dpkg-query -W -f '${Installed-Size}\n' | awk '{ s += $1 } END { print s }')"

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
check 'modules of a home are not taken' grep '^#!/usr/bin/python3 -s$' /usr/bin/pagewarden
check 'bash completes' bash -c 'source /usr/share/bash-completion/completions/pagewarden && complete -p pagewarden'
for unit in /usr/lib/systemd/system/pagewarden*; do
    check "systemd-analyze verify ${unit##*/}" silent systemd-analyze verify --man=no "$unit"
done
for unit in pagewarden pagewarden-apply pagewarden-probation; do
    measured "security_of_$unit" "$(exposure "$unit.service")"
done

check 'up' systemctl is-active pagewarden
wait_for 'its status is one line' says 'read every' status_text
cat /tmp/said
check 'as its own account' says '^pagewarden$' ps -o user:20= -p "$(pid_of)"
check 'in the journal' says . journalctl -q -u pagewarden
# Kernels let those without privilege set a trigger from 6.5 on, and some before; where this one does, the unit's sandbox
# must not stand in the way. (The kernel cuts the last character of what is written.)
triggers() { setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'printf "some 150000 2000000 " 1<>/proc/pressure/memory'; }
if triggers || printf '6.5\n%s\n' "$(uname -r)" | sort -V -C; then
    check 'memory pressure would wake it' status_is 1 says 'no wake-up' status_text
else
    check 'it says that memory pressure does not wake it' says 'no wake-up by memory pressure here' status_text
fi
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

wait_for 'ready' says 'read every' status_text
began=$(now)
check 'stop' systemctl stop pagewarden
measured stop_seconds "$(since "$began")"
check 'it ended by itself' says '^success$' systemctl show -p Result --value pagewarden
check 'with status 0' says '^0$' systemctl show -p ExecMainStatus --value pagewarden
check 'start' systemctl start pagewarden

# By hand: applied, verified, watched; taken back.
first=$(in_force) wanted=$(($(in_force) + 512))
check 'apply' says 'pagewarden-probation.service watches it' pagewarden apply "$key=$wanted"
check 'in force' is_in_force "$wanted"
check 'for the next boot too' grep "^$key = $wanted\$" /etc/sysctl.d/60-pagewarden.conf
check 'every zone as predicted' says '"exact":true' pagewarden status --format json
wait_for 'watched' systemctl is-active pagewarden-probation.service
check 'on probation' says "$key: $first -> $wanted" pagewarden probation
check 'revert' pagewarden revert
check 'put back' is_in_force "$first"
check 'no file is left' test ! -e /etc/sysctl.d/60-pagewarden.conf

# The machine at its edge: one task takes all memory, within no limit, until the kernel ends it. The service lives on.
pid=$(pid_of) before=$(polls) killed=$(kills)
began=$(now)
systemd-run -q --wait -p OOMPolicy=continue python3 -c 'all = []
while True: all.append(bytearray(1 << 20))'
measured memory_full_to_kill_seconds "$(since "$began")"
check 'the kernel killed' test "$(kills)" -gt "$killed"
wait_for 'for want of memory' says 'Out of memory: Killed process [0-9]* (python3)' journalctl -k -q --no-pager -o cat
check 'the service lives' test "$(pid_of)" = "$pid"
wait_for 'and reads on' polled_since "$before"
wait_for 'and tells it' an_entry PAGEWARDEN_STATE=appeared PAGEWARDEN_CAUSE=memory-exhausted
cp /tmp/said "$OUT/killed.json"
wait_for 'once it is over too' polled_since $(($(polls) + 1))
check 'without a restart' test "$(pid_of)" = "$pid"
systemctl reset-failed 'run-*'

# A setting that pagewarden changed: kept on remove, put back on purge.
check 'apply once more' pagewarden apply --no-watch "$key=$wanted"
check 'no unit failed meanwhile' none_failed
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

# Without a package: an environment as pip leaves it, and the units written by `install-service`.
check 'an environment' python3 -m venv --system-site-packages --without-pip /opt/warden
site=$(/opt/warden/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
dpkg-deb -x pagewarden.deb unpacked
for folder in by-pip/lib/python3*/site-packages unpacked/usr/lib/pagewarden/vendor; do
    [ ! -d "$folder" ] || cp -r "$folder/." "$site/"
done
cp -r by-pip/share /opt/warden/
sed '1s|.*|#!/opt/warden/bin/python|' by-pip/bin/pagewarden >/opt/warden/bin/pagewarden
chmod 755 /opt/warden/bin/pagewarden
check 'install-service' says 'start it with' /opt/warden/bin/pagewarden install-service
check 'enable --now' systemctl enable --now pagewarden
wait_for 'it is up' says 'read every' status_text
check 'as its own account' says '^pagewarden$' ps -o user:20= -p "$(pid_of)"
check 'from there' says '/opt/warden/bin/pagewarden daemon' ps -ww -o args= -p "$(pid_of)"
check 'status knows it' says 'running since' /opt/warden/bin/pagewarden status
check 'its path units' systemctl enable --now pagewarden-apply.path pagewarden-probation.path
check 'apply' says 'pagewarden-probation.service watches it' /opt/warden/bin/pagewarden apply "$key=$wanted"
wait_for 'watched' systemctl is-active pagewarden-probation.service
check 'revert' /opt/warden/bin/pagewarden revert
check 'put back' is_in_force "$first"
check 'install-service --uninstall' /opt/warden/bin/pagewarden install-service --uninstall
check 'nothing runs' status_is 1 pgrep -f /opt/warden/bin/pagewarden
check 'no unit is left' silent find /etc/systemd /usr/local -name '*pagewarden*'
ends
