# For units.sh: the package installed, a stand-in for the service that leaves plans, and a few words to check with.
# shellcheck shell=bash disable=SC2034,SC2154
key=vm.min_free_kbytes
failed=0

expect() {  # what, pattern, text
    if grep -qE -- "$2" <<<"$3"; then echo "ok    $1"; else echo "FAIL  $1: expected /$2/, found: $3"; failed=1; fi
}

install_pagewarden() {
    useradd -r -s /usr/sbin/nologin mallory
    cat >/etc/systemd/system/pagewarden.service <<'U'
[Service]
Type=oneshot
RemainAfterExit=yes
User=pagewarden
RuntimeDirectory=pagewarden
RuntimeDirectoryMode=0755
ExecStart=/bin/true
U
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends ./pagewarden.deb >/tmp/apt 2>&1 || cat /tmp/apt
    systemctl daemon-reload
    systemctl restart pagewarden.service
}

configure() {
    echo '[apply]' >/etc/pagewarden/pagewarden.toml
    printf '%s\n' "$@" >>/etc/pagewarden/pagewarden.toml
}

plan() {  # value, value now, owner [, Python that spoils the document d]
    BOOT=$boot python3 - "$@" <<'P'
import datetime, json, os, pwd, sys
value, current, owner, *spoil = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc)
stamp = lambda hours: (now - datetime.timedelta(hours=hours)).isoformat(timespec="seconds")
change = dict(key="vm.min_free_kbytes", current=current, value=value, risk="low", confidence="high", identifier="x",
              why="a test", evidence=["x: 1 (y)"], evidence_since=stamp(48), evidence_latest=stamp(1), promised=None)
d = dict(schema="pagewarden.plan/1", created_at=stamp(0), boot_id=os.environ["BOOT"], changes=[change])
exec("".join(spoil))
with open("/run/pagewarden/.new", "w") as file:
    json.dump(d, file)
user = pwd.getpwnam(owner)
os.chown("/run/pagewarden/.new", user.pw_uid, user.pw_gid)
os.chmod("/run/pagewarden/.new", 0o644)
os.rename("/run/pagewarden/.new", "/run/pagewarden/plan.json")
P
}

# What the unit says to a plan, once it has come to an end.
answer() {
    sleep 1
    while [ "$(systemctl show -p ActiveState --value pagewarden-apply.service)" = activating ]; do sleep 0.2; done
    journalctl --sync
    journalctl -u pagewarden-apply.service -o cat --no-pager --cursor-file=/tmp/cursor |
        grep -E '^(pagewarden apply:|vm\.)' | tail -n 3
    systemctl reset-failed pagewarden-apply.service 2>/dev/null
}
