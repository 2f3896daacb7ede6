#!/bin/bash
# In a fresh Debian: the package installed as a user does it, its commands, its files, its removal.
# Beside this script: pagewarden.deb, a log. What is measured goes to $OUT/measured, a NAME=VALUE a line.
# shellcheck disable=SC2329  # functions are called through check
set -u
failures=0

check() {
    local what=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        echo "ok: $what"
    else
        echo "FAILED: $what: $* (status $?)"
        sed 's/^/    /' /tmp/said | head -n 60
        failures=$((failures + 1))
    fi
}

measured() { echo "$1=$2" | tee -a "$OUT/measured"; }
now() { cut -d' ' -f1 /proc/uptime; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
says() { local text=$1; shift; "$@" | grep -q -- "$text"; }
status_is() { local wanted=$1; shift; "$@"; [ $? -eq "$wanted" ]; }
missing() { ! command -v "$1"; }
left_over() { find / -xdev -name '*pagewarden*' -not -path '/var/lib/job/*' -not -path '/var/cache/apt/*' -not -path '/var/log/*' -not -path '/tmp/*' 2>/dev/null; }
nothing_left() { [ -z "$(left_over)" ] || { left_over; return 1; }; }

check 'nothing is there before' nothing_left
began=$(now)
check 'apt install' apt-get install -y -q ./pagewarden.deb
measured install_seconds "$(since "$began")"
check 'the first report' says 'Normal' pagewarden status
measured install_to_report_seconds "$(since "$began")"
began=$(now)
check 'the second report' pagewarden status
measured status_seconds "$(since "$began")"
measured installed_kb "$(dpkg-query -W -f '${Installed-Size}' pagewarden)"
measured disk_bytes "$(dpkg -L pagewarden | while read -r path; do [ -f "$path" ] && stat -c %s "$path"; done | awk '{ s += $1 } END { print s }')"
pulled=$(dpkg-query -W -f '${Installed-Size}\n' | awk '{ s += $1 } END { print s }')
measured all_packages_kb "$pulled"

check 'the model fits this kernel' says '"exact":true' pagewarden status --format json
check 'advise has nothing against a fresh machine' pagewarden advise --check
check 'simulate' says '"vm.min_free_kbytes"' pagewarden simulate --format json vm.min_free_kbytes=20000
check 'explain a log' says 'page allocation failure' pagewarden explain ./log
check 'explain the journal' pagewarden explain --journal
check 'gfp' says GFP_ATOMIC pagewarden gfp 0x820
check 'schemas (pydantic works)' says '"properties"' pagewarden schema advice
check 'wrong usage' status_is 2 pagewarden no-such-command
check 'as nobody' setpriv --reuid 65534 --regid 65534 --clear-groups pagewarden status
check 'a capture' pagewarden capture /tmp/made.tar.gz
check 'and what it holds' pagewarden advise --root /tmp/made.tar.gz

for page in pagewarden pagewarden-advise pagewarden-explain pagewarden-simulate; do
    check "man $page" test -s "/usr/share/man/man1/$page.1.gz"
done
check 'bash completes' bash -c 'source /usr/share/bash-completion/completions/pagewarden && complete -p pagewarden'
for unit in /usr/lib/systemd/system/pagewarden*; do
    if [ -e "$unit" ]; then
        check "systemd-analyze verify ${unit##*/}" systemd-analyze verify --man=no "$unit"
    fi
done
if [ -e /usr/lib/systemd/system/pagewarden.service ]; then
    measured security "$(systemd-analyze security --no-pager pagewarden.service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')"
    check 'not started by itself' status_is 3 systemctl is-active pagewarden
    began=$(now)
    check 'enable --now' systemctl enable --now pagewarden
    measured service_ready_seconds "$(since "$began")"
    check 'up' systemctl is-active pagewarden
    check 'in the journal' says . journalctl -q -u pagewarden
fi

check 'installing again' apt-get install -y -q --reinstall ./pagewarden.deb
if [ -e /usr/lib/systemd/system/pagewarden.service ]; then
    check 'still up after an upgrade' systemctl is-active pagewarden
fi

# A setting that pagewarden changed: kept on remove, put back on purge.
first=$(cat /proc/sys/vm/min_free_kbytes) wanted=$(($(cat /proc/sys/vm/min_free_kbytes) + 512))
mkdir -p /var/lib/pagewarden/apply
printf 'vm.min_free_kbytes = %s\n' "$wanted" >/etc/sysctl.d/60-pagewarden.conf
echo "$wanted" >/proc/sys/vm/min_free_kbytes
sha=$(sha256sum </etc/sysctl.d/60-pagewarden.conf | cut -d' ' -f1)
sed -e "s/@VALUE@/$wanted/; s/@ORIGINAL@/$first/; s/@SHA256@/$sha/" ./record.json >/var/lib/pagewarden/apply/record.json
check 'apt remove' apt-get remove -y -q pagewarden
cp /tmp/said /tmp/removed
check 'says that the settings stay' grep 'stay in force' /tmp/removed
check 'no command any more' missing pagewarden
check 'the setting is kept' test "$(cat /proc/sys/vm/min_free_kbytes)" = "$wanted"
check 'apt purge' apt-get purge -y -q pagewarden
cp /tmp/said /tmp/purged
check 'says what it puts back' grep "vm.min_free_kbytes: $wanted -> $first" /tmp/purged
check 'the setting is put back' test "$(cat /proc/sys/vm/min_free_kbytes)" = "$first"
check 'nothing is left' nothing_left
check 'no unit failed meanwhile' test -z "$(systemctl --failed --quiet --no-legend)"
echo "failures: $failures"
exit $((failures > 0))
