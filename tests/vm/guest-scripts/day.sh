#!/bin/bash
# A day of a small machine: the network driver is refused memory; what the service makes of it is made a setting, first
# by nobody, then by an administrator's leave; harm takes it back; and all of it goes again.
# Beside this script: pagewarden.deb, burst.py. Two network cards are wired to each other.
# Waits for states, never for times.
# shellcheck source=tests/vm/guest-scripts/common.sh disable=SC2329  # functions are called through check
. ./common.sh

reports() { journalctl -k -q --no-pager -o cat | grep -c 'page allocation failure'; }
refused() { [ "$(reports)" -ge "$1" ]; }
quiet_pressure() { [ "$(awk '/^some/ { sub("avg60=", "", $3); print int($3) }' /proc/pressure/memory)" -lt 5 ]; }
changed() { [ "$(in_force)" != "$1" ]; }
of_this_boot() { [ "$(seconds)" -ge "$1" ]; }
plan() { cat /run/pagewarden/plan.json; }

installs pagewarden.deb
check 'enable --now' systemctl enable --now pagewarden
wait_for 'it has no finding' says 'no finding is open' pagewarden status

# A burst of packets, and the driver is refused memory.
first=$(in_force)
began=$(now)
python3 ./burst.py >/tmp/burst 2>&1 &
load=$!
# An end of the load ends the waiting too.
refused_or_over() { refused 2 || ! kill -0 "$load" 2>/dev/null; }
PATIENCE=1500 wait_for 'the load goes on until then' refused_or_over
measured load_to_two_reports_seconds "$(since "$began")"
kill "$load"
wait "$load"
check 'the load did what it should' silent cat /tmp/burst
must_wait_for 'the kernel reports failures' refused 2
journalctl -k -q --no-pager -o cat | grep -m 1 -A 40 'page allocation failure' >"$OUT/report"
measured reports "$(reports)"
measured allocstall "$(awk '/^allocstall/ { s += $2 } END { print s }' /proc/vmstat)"

# Told once, with fields, and what to do.
# (That of the report itself; the recommendation has one with the same cause.)
told() { an_entry PAGEWARDEN_STATE=appeared PAGEWARDEN_CAUSE=atomic-reserve-exhausted | grep '"PAGEWARDEN_CALLER"'; }
must_wait_for 'a finding appears' told
cp /tmp/said "$OUT/entry.json"
for field in MESSAGE_ID PRIORITY PAGEWARDEN_ID PAGEWARDEN_SEVERITY PAGEWARDEN_COUNT PAGEWARDEN_SINCE PAGEWARDEN_CALLER PAGEWARDEN_ORDER; do
    check "with $field" grep -q "\"$field\"" "$OUT/entry.json"
done
check 'its catalog text' says 'A request that could not wait found the reserve used up' journalctl -q -x --no-pager -t pagewarden
check 'explained' says 'atomic-reserve-exhausted' pagewarden explain --journal
check 'remembered' says 'atomic-reserve-exhausted' pagewarden history
check 'advised' says "$key" pagewarden advise --journal
cp /tmp/said "$OUT/advice"
pagewarden advise --journal --format json >"$OUT/advice.json"
wanted=$(python3 -c 'import json, sys
for one in json.load(open(sys.argv[1]))["recommendations"]:
    if one["key"] == sys.argv[2]: print(one["recommended"])' "$OUT/advice.json" "$key")
check 'more than now' test "$wanted" -gt "$first"
check 'and nobody did it' is_in_force "$first"

# An administrator allows it, and the evidence has stood: the clock is moved on, as if two hours had gone by.
wait_for 'the machine has been up for five minutes' of_this_boot 301
wait_for 'it is calm again' quiet_pressure
mkdir -p /etc/pagewarden/pagewarden.toml.d
cat >/etc/pagewarden/pagewarden.toml.d/day.toml <<'T'
[apply]
max_risk = "medium"
min_confidence = "low"
evidence_age_hours = 1
boot_grace_minutes = 5
max_pressure_percent = 20.0
max_held_back_percent = 20.0
probation_minutes = 5
T
check 'the policy is understood' says 'evidence_age_hours = 1' pagewarden config
check 'the clock goes on' date -s '+2 hours'
check 'the path units' systemctl enable --now pagewarden-apply.path pagewarden-probation.path
check 'the new policy' systemctl restart pagewarden
must_wait_for 'it is made' changed "$first"
wait_for 'and verified' says 'verified in every zone' journalctl -q --no-pager -o cat -u pagewarden-apply
cp /tmp/said "$OUT/applied"
made=$(in_force)
check 'as advised' test "$made" = "$wanted"
check 'for the next boot too' grep "^$key = $made\$" /etc/sysctl.d/60-pagewarden.conf
check 'every zone as predicted' says '"exact":true' pagewarden status --format json
wait_for 'watched' systemctl is-active pagewarden-probation.service
check 'on probation' says "$key: $first -> $made" pagewarden probation

# Harm: the kernel kills a task, and the change is taken back.
systemd-run -q --scope -p MemoryMax=24M -p MemorySwapMax=0 python3 -c 'bytearray(200 << 20)'
wait_for 'harm takes it back' is_in_force "$first"
wait_for 'which is said' says 'taken back at once: [0-9]* OOM kill' journalctl -q --no-pager -o cat -u pagewarden-probation
wait_for 'and the watching ends' status_is 3 systemctl is-active pagewarden-probation.service
check 'what became of it' says 'given up' pagewarden probation

# A person does it all the same, and changes their mind.
check 'apply' pagewarden apply --no-watch "$key=$made"
check 'in force' is_in_force "$made"
check 'revert' pagewarden revert
check 'put back' is_in_force "$first"

# Gone again; what a person applied meanwhile stays until the purge.
check 'apply once more' pagewarden apply --no-watch "$key=$made"
check 'no unit failed meanwhile' none_failed
check 'apt remove' apt-get remove -y -q pagewarden
check 'kept' is_in_force "$made"
check 'apt purge' apt-get purge -y -q pagewarden
cp /tmp/said /tmp/purged
check 'said' grep "$key: $made -> $first" /tmp/purged
check 'put back by the purge' is_in_force "$first"
check 'nothing is left' nothing_left
check 'nor the account' status_is 2 getent passwd pagewarden
ends
