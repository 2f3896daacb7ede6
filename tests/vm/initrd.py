"""An initial RAM disk of one program, busybox, that makes writes and prints what the kernel says after each.

What goes over the serial line, in lines: `@@F PATH`, the file, `@@E STATUS`; and for a step `@@S KEY`, `@@V VALUE`,
`@@X ERROR`, the zones, `@@Y KEY=VALUE` for settings, `@@T` the switch of huge pages, `@@Z`.
"""

import gzip
import shlex
from collections.abc import Sequence

Step = tuple[str, str]
"""What is written and where: a setting below /proc/sys/vm, or a whole path. The value `@` is the one at boot."""

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
echo 1 > /proc/sys/kernel/printk
sleep 1
vm=/proc/sys/vm
huge=/sys/kernel/mm/transparent_hugepage/enabled
settings="min_free_kbytes watermark_scale_factor watermark_boost_factor lowmem_reserve_ratio zone_reclaim_mode
percpu_pagelist_high_fraction percpu_pagelist_fraction min_unmapped_ratio min_slab_ratio"
file() {
  [ -e "$1" ] || return
  echo "@@F $1"; cat "$1" 2>/dev/null; echo "@@E $?"
}
value() { tr '\t' ' ' < $vm/$1; }
state() {
  # Zones first: reading lowmem_reserve_ratio makes the kernel compute the protection anew.
  grep -E '^Node|^ +(pages free|boost|min|low|high|promo|spanned|present|managed|cma) +[0-9]|protection:' /proc/zoneinfo
  for name in $settings; do [ -e $vm/$name ] && echo "@@Y $name=$(cat $vm/$name)"; done
  [ -e $huge ] && echo "@@T $(cat $huge)"
  echo "@@Z"
}
step() {
  text=$2
  case $1 in /*) path=$1 ;; *) path=$vm/$1 ;; esac
  if [ "$text" = @ ]; then
    case $1 in "$huge") text=$first_huge ;; *) eval "text=\$first_$1" ;; esac
  fi
  echo "@@S $1"; echo "@@V $text"
  if [ ! -e "$path" ]; then echo "@@X missing"; echo "@@Z"; return; fi
  ( echo "$text" > "$path" ) 2>/error
  echo "@@X $(cat /error)"
  state
}
read_ratio() {
  file $vm/lowmem_reserve_ratio
  first_lowmem_reserve_ratio=$(value lowmem_reserve_ratio)
  echo "@@S -"; echo "@@V lowmem_reserve_ratio"; echo "@@X "
  state
}
echo "@@BEGIN"
for path in zoneinfo buddyinfo pagetypeinfo vmstat meminfo version cmdline uptime; do file /proc/$path; done
for path in $vm/*; do
  case $path in */compact_memory | */stat_refresh | */drop_caches | */lowmem_reserve_ratio) ;; *) file $path ;; esac
done
for path in enabled defrag hpage_pmd_size khugepaged/defrag; do file /sys/kernel/mm/transparent_hugepage/$path; done
for path in online possible has_memory has_normal_memory has_high_memory has_cpu; do
  file /sys/devices/system/node/$path
done
for path in /sys/devices/system/node/node[0-9]*; do file $path/distance; file $path/meminfo; file $path/cpulist; done
for name in $settings; do
  [ $name != lowmem_reserve_ratio ] && [ -e $vm/$name ] && eval "first_$name=\"$(value $name)\""
done
[ -e $huge ] && first_huge=$(sed 's/.*\[\(.*\)\].*/\1/' $huge)
. /steps
file /proc/uptime
echo "@@F dmesg"; dmesg; echo "@@E 0"
echo "@@END"
sleep 1
poweroff -f
"""


Files = dict[str, tuple[int, bytes]]
"""Files and folders of an archive: name -> mode with the kind of file, content."""
FOLDER = (0o40755, b"")
PROGRAM, TEXT = 0o100755, 0o100644


def initrd(busybox: bytes, steps: Sequence[Step]) -> bytes:
    """Give the archive, compressed. The first write comes before lowmem_reserve_ratio was read even once."""
    lines = [f"step {shlex.quote(key)} {shlex.quote(text)}\n" for key, text in steps]
    script = "".join([*lines[:1], "read_ratio\n", *lines[1:]])
    files: Files = dict.fromkeys(("bin", "dev", "proc", "sys"), FOLDER)
    files |= {
        "bin/busybox": (PROGRAM, busybox),
        "init": (PROGRAM, INIT.encode()),
        "steps": (TEXT, script.encode()),
    }
    return archive_of(files)


def archive_of(files: Files) -> bytes:
    """Give these files, and the two devices that an initial RAM disk needs, as a compressed archive."""
    entries = [_entry(name, mode, data) for name, (mode, data) in files.items()]
    entries += [_entry("dev/console", 0o20600, device=(5, 1)), _entry("dev/null", 0o20666, device=(1, 3))]
    return gzip.compress(b"".join([*entries, _entry("TRAILER!!!", 0)]), 1)


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive in the "new ASCII" form. Numbers of inodes do not matter where nothing is linked."""
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
