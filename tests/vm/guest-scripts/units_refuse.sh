#!/bin/bash
# shellcheck shell=bash disable=SC2034,SC2154
# For units.sh: the units start and are confined, and refuse every bad plan; nothing is changed.
expect "systemd-analyze verify" '^0:$' "$(systemd-analyze verify --man=no pagewarden-{apply,probation}.{service,path} >/tmp/said 2>&1; echo "$?:$(cat /tmp/said)")"
for unit in apply probation; do
    said=$(systemd-analyze security --threshold=5 "pagewarden-$unit.service" 2>&1)
    expect "exposure of pagewarden-$unit.service" '0\.[0-5] SAFE' "$(grep Overall <<<"$said")"
done
now=$(sysctl -n "$key")
configure 'boot_grace_minutes = 1440'
systemctl enable -q --now pagewarden-apply.path pagewarden-probation.path
plan $((now + 256)) "$now" pagewarden
expect "too soon after boot" 'is not made: .*the machine has been up for' "$(answer)"
plan $((now + 256)) "$now" pagewarden 'd["changes"][0]["key"] = "kernel.core_pattern"'
expect "forged key" 'not a plan .*changes\.0\.key' "$(answer)"
plan $((now + 256)) "$now" pagewarden 'd["changes"][0]["value"] = "1\n2"'
expect "forged value" 'not a plan .*changes\.0\.value' "$(answer)"
plan 2000000000 "$now" pagewarden
expect "value out of bounds" 'the limit is' "$(answer)"
plan $((now + 256)) 1 pagewarden
expect "another value in force" 'not 1 as when the plan was made' "$(answer)"
plan $((now + 256)) "$now" pagewarden 'd["created_at"] = "2020-01-01T00:00:00+00:00"'
expect "stale" 'is stale' "$(answer)"
plan $((now + 256)) "$now" pagewarden 'd["created_at"] = "2099-01-01T00:00:00+00:00"'
expect "from the future" 'dated in the future' "$(answer)"
plan $((now + 256)) "$now" pagewarden 'd["boot_id"] = "11111111-2222-3333-4444-555555555555"'
expect "another boot" 'made in another boot' "$(answer)"
head -c 1000000 /dev/zero >/run/pagewarden/.huge
mv /run/pagewarden/.huge /run/pagewarden/plan.json
expect "huge" 'larger than 64 KiB' "$(answer)"
rm /run/pagewarden/plan.json
ln -s /etc/shadow /run/pagewarden/plan.json
systemctl start pagewarden-apply.service 2>/dev/null
expect "a link" 'a link' "$(answer)"
rm /run/pagewarden/plan.json
plan $((now + 256)) "$now" pagewarden
answer >/dev/null
chmod 666 /run/pagewarden/plan.json
systemctl start pagewarden-apply.service 2>/dev/null
expect "written by anybody" 'mode 0666' "$(answer)"
rm /run/pagewarden/plan.json
# In the unit's user namespace every other user looks the same; that nobody else can leave a plan is the folder's doing.
expect "left by somebody else" 'Permission denied' "$(runuser -u mallory -- sh -c 'echo {} >/run/pagewarden/plan.json' 2>&1)"
configure 'boot_grace_minutes = "soon"'
plan $((now + 256)) "$now" pagewarden
expect "bad configuration" 'boot_grace_minutes: expected' "$(answer)"
configure 'boot_grace_minutes = 5' 'max_pressure_percent = 20.0' 'max_held_back_percent = 20.0'
mkdir /etc/systemd/system/pagewarden-apply.service.d
printf '[Service]\nReadWritePaths=\nReadWritePaths=/etc/sysctl.d\n' >/etc/systemd/system/pagewarden-apply.service.d/test.conf
systemctl daemon-reload
while [ "$(cut -d. -f1 /proc/uptime)" -lt 301 ]; do sleep 2; done
plan $((now + 256)) "$now" pagewarden
expect "refused by the kernel, and undone" '(permission denied|read-only file system); undone' "$(answer)"
rm -r /etc/systemd/system/pagewarden-apply.service.d
systemctl daemon-reload
plan $((now + 256)) "$now" pagewarden
expect "not tried again" 'it was tried .*there is no evidence since' "$(answer)"
expect "nothing was changed" "^$now \$" "$(sysctl -n "$key") $(ls /etc/sysctl.d/60-pagewarden.conf 2>/dev/null)"
