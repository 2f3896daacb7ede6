# Sourced by what runs in a guest. What is measured goes to $OUT/measured, a NAME=VALUE a line.
# shellcheck shell=bash disable=SC2034  # used by those who source it
set -u
failures=0
key=vm.min_free_kbytes
export DEBIAN_FRONTEND=noninteractive
: >/etc/resolv.conf  # no network, and nobody to wait for

# $1 what, others: the command that must succeed; what it said is in /tmp/said.
check() {
    local what=$1 status=0
    shift
    "$@" >/tmp/said 2>&1 || status=$?
    if ((status == 0)); then
        echo "ok: $what [at $SECONDS s]"
    else
        echo "FAILED: $what: $* (status $status)"
        sed 's/^/    /' /tmp/said | head -n 60
        failures=$((failures + 1))
    fi
}

# $1 what, others: the command that must succeed sooner or later. Generous: a busy machine's guest may stand still.
wait_for() {
    local what=$1 until
    shift
    until=$(($(seconds) + ${PATIENCE:-600}))
    until "$@" >/tmp/said 2>&1 || (($(seconds) > until)); do sleep 1; done
    check "$what" "$@"
}

# Like wait_for; where it does not succeed, what follows has nothing to stand on.
must_wait_for() {
    local before=$failures
    wait_for "$@"
    ((failures == before)) || ends
}

measured() { echo "$1=$2" | tee -a "$OUT/measured"; }
now() { cut -d' ' -f1 /proc/uptime; }
seconds() { cut -d. -f1 /proc/uptime; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

# $1 text, others: a command that must succeed and print it. What it printed is shown where it does not.
says() {
    local text=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    printf '%s\n' "$said"
    ((status == 0)) && grep -q -- "$text" <<<"$said"
}
silent() { local said; said=$("$@" 2>&1) || { echo "$said"; return 1; }; echo "$said"; [ -z "$said" ]; }
status_is() { local wanted=$1; shift; "$@"; [ $? -eq "$wanted" ]; }
left_over() { find / -xdev -name '*pagewarden*' -not -path '/var/lib/job/*' -not -path '/var/cache/apt/*' -not -path '/var/log/*' -not -path '/tmp/*' 2>/dev/null; }
nothing_left() { [ -z "$(left_over)" ] || { left_over; return 1; }; }

in_force() { cat /proc/sys/vm/min_free_kbytes; }
is_in_force() { echo "in force: $(in_force), expected: $1"; [ "$(in_force)" = "$1" ]; }
pid_of() { systemctl show -p MainPID --value "${1:-pagewarden}"; }
restarted_after() { local pid; pid=$(pid_of); echo "$pid"; [ "$pid" != "$1" ] && [ "$pid" != 0 ] && systemctl is-active pagewarden; }
# An entry of the journal that matches; fields are given as journalctl takes them. (No --sync: journald notes each, which
# wakes the service for nothing, and it listens the less often for that.)
an_entry() { journalctl -q --no-pager -o json "$@" | grep .; }
exposure() { systemd-analyze security --no-pager "$1" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p'; }

# Without what is only recommended: the package must do with what it depends on, and an emulated machine takes minutes
# to compile the rest.
apt_install() { apt-get install -y -q --no-install-recommends "$@"; }

installs() {
    local began
    began=$(now)
    check "apt install $1" apt_install "./$1"
    measured install_seconds "$(since "$began")"
    check 'the first report' says 'Normal\|DMA32' pagewarden status
    measured install_to_report_seconds "$(since "$began")"
    check 'an account of its own' getent passwd pagewarden
}

none_failed() { silent systemctl list-units --failed --quiet --no-legend --plain 'pagewarden*'; }

ends() {
    check 'no unit is left failed' none_failed
    ((failures == 0)) || journalctl -q --no-pager -o short-monotonic -u 'pagewarden*' -n 60
    echo "failures: $failures"
    exit $((failures > 0))
}
