#!/bin/bash
# shellcheck disable=SC2034,SC2154,SC1091
# The units with a real systemd: what they refuse, then what they do.
. ./units_common.sh
install_pagewarden
boot=$(cat /proc/sys/kernel/random/boot_id)
now=$(sysctl -n "$key")
. ./units_refuse.sh
# What was tried in vain would not be tried again.
rm -rf /var/lib/pagewarden/apply
. ./units_apply.sh
exit "$failed"
