"""Every kind of entry that the service writes to the journal: its MESSAGE_ID, and what `journalctl -x` says of it.

`python -m pagewarden.report.journal_kinds` makes `systemd/pagewarden.catalog` of this table; a test keeps them equal.
A MESSAGE_ID never changes its meaning.
"""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JournalKind:
    """One kind of entry.

    :ivar name: the cause of a finding, or "service-..." for what the service says of itself.
    :ivar message_id: 128 bits in hexadecimal, without dashes.
    :ivar subject: one line.
    :ivar body: what it means and what to do, in paragraphs; `@FIELD@` is filled in from the entry.
    """

    name: str
    message_id: str
    subject: str
    body: str


_FOOT = (
    "\n\nSince @PAGEWARDEN_SINCE@, seen @PAGEWARDEN_COUNT@ time(s). More: pagewarden status, pagewarden history, "
    "journalctl PAGEWARDEN_ID=@PAGEWARDEN_ID@"
)
_WIDTH = 100

KINDS = (
    JournalKind(
        "atomic-reserve-exhausted",
        "0f2d8191155048b7bf968c879b532055",
        "A request that could not wait found the reserve used up",
        "A caller that cannot sleep (an interrupt, a network driver) asked for memory, and every zone it may "
        "use was below the mark down to which such callers may go. As a rule a packet is dropped and the "
        "driver tries again.\n\n"
        "If it repeats: let pagewarden propose a value for vm.min_free_kbytes (pagewarden advise), or make "
        "the bursts of the driver smaller (ring size, MTU). Once in a while it does no harm.",
    ),
    JournalKind(
        "fragmented",
        "5691491bc0a740acb7f1c0d77c611549",
        "Memory was free, but not in one piece of the size asked for",
        "There were enough free pages, but no free block of the order that was asked for. More free memory "
        "does not help by itself.\n\n"
        "Ask why so large a block is wanted (a newer driver often does without), write 1 to "
        "/proc/sys/vm/compact_memory before the work that needs it, or raise vm.compaction_proactiveness (5.9"
        " and later).",
    ),
    JournalKind(
        "lowmem-reserve",
        "61700c54ef23481f954194a615fe79b1",
        "The zones with free memory keep it for lower requests",
        "The only zones with room hold their free pages back for requests that can go nowhere else.\n\n"
        "pagewarden advise says whether vm.lowmem_reserve_ratio holds back too much on this machine.",
    ),
    JournalKind(
        "zone-restricted",
        "999eb5a5b5634a7fb82b8928934d8542",
        "The request may use only zones that were short",
        "The mask of the request allows only some zones (DMA, DMA32, or none of Movable), and those were "
        "short while others had room. No watermark helps against that; see which driver asks, and whether its"
        " device can address more memory.",
    ),
    JournalKind(
        "node-restricted",
        "1b21f1fecc064145ab31720909f52328",
        "The request may use only nodes that were short",
        "A memory policy, a cpuset or the request itself bars the nodes that had room.\n\n"
        "Look at the cpuset or the numactl policy of the task, and at vm.zone_reclaim_mode.",
    ),
    JournalKind(
        "reserved-for-others",
        "19d184244431435498442c7b534e839a",
        "Only memory that is reserved for others was left",
        "The pages that were free are set apart (high-atomic reserve, CMA) and the request may not use them.\n\n"
        "pagewarden explain --journal shows which reserve it was.",
    ),
    JournalKind(
        "memory-exhausted",
        "16295d919a004728927c9bfaacc87c7d",
        "Memory is used up",
        "Nothing was left to reclaim in any zone that matters. No vm.* setting makes memory.\n\n"
        "Reduce what runs on the machine, add memory or swap, or give the largest consumers limits of their "
        "own (MemoryMax=).",
    ),
    JournalKind(
        "reclaim-too-slow",
        "5ac3ab07f3b34d16bf21e988937326be",
        "Memory could have been reclaimed, but not fast enough",
        "Much was reclaimable while a request failed or waited: kswapd starts too late for this load.\n\n"
        "pagewarden advise proposes a value for vm.watermark_scale_factor where the counters bear it out.",
    ),
    JournalKind(
        "request-too-large",
        "3ef13b3d3dcc4490a3fb993af89287c5",
        "A request that no zone of this machine can meet",
        "So large a block can never be free here. The caller is at fault; look for a newer version of it.",
    ),
    JournalKind(
        "memcg-limit",
        "8ba5352b52e94c95b74b6d4c084195d8",
        "A control group reached its memory limit",
        "The machine itself was not short. Raise the limit of the group (MemoryMax=, memory.max) or use less "
        "in it. vm.* settings have no part in this.",
    ),
    JournalKind(
        "address-space",
        "39c9415418eb4fd5be80d02a7708eb48",
        "Kernel addresses ran out, not memory",
        "The area for kernel mappings is full. vmalloc= on the kernel command line enlarges it on 32-bit kernels.",
    ),
    JournalKind(
        "recovered",
        "e22fb2a07a2540199fce7651c3231793",
        "A request failed, and memory was there again when the kernel wrote about it",
        "The zones as printed would grant the request: memory was freed between the refusal and the report. "
        "If it repeats, it is best treated like atomic-reserve-exhausted (callers that cannot wait) or "
        "reclaim-too-slow (callers that can).",
    ),
    JournalKind(
        "incomplete",
        "1a8dfc64de724f3c9a43a73fb675c70e",
        "Something failed for want of memory, and why is not known",
        "The kernel's report lacks what a verdict needs, was not decoded because too many came at once, or "
        "cannot be read here.\n\n"
        "journalctl -k -g 'page allocation|oom-killer|Killed process' shows the kernel's own words.",
    ),
    JournalKind(
        "below-kernel-default",
        "8cfd283cd10d426aabf1008caf47abca",
        "A setting is below what the kernel itself would have chosen",
        "Something lowered it; the machine fails requests earlier than it has to.\n\n"
        "pagewarden status shows who set it, pagewarden advise what to set instead and what it costs.",
    ),
    JournalKind(
        "too-high",
        "f5502698e5c1451faf97c51d07bd2a6f",
        "A setting withholds more memory than it can be worth",
        "The kernel keeps so much free that ordinary use is short of it; at the extreme, processes are killed"
        " for it.\n\n"
        "pagewarden advise says what to set instead and what that gives back.",
    ),
    JournalKind(
        "stranded",
        "892d35abf7734278a1b3e97d6447f835",
        "A lower zone keeps memory that hardly anything may use",
        "The reserve of the zone reaches its own size, so its memory lies idle.\n\n"
        "pagewarden advise proposes a value for vm.lowmem_reserve_ratio and says how many bytes it frees.",
    ),
    JournalKind(
        "squeezed",
        "d3c5857265784c64b63a9f717a737314",
        "A lower zone is used up by requests that could have gone higher",
        "Requests that have a choice take what others have no choice but to use.\n\n"
        "pagewarden advise proposes a value for vm.lowmem_reserve_ratio.",
    ),
    JournalKind(
        "stale-watermarks",
        "96d48c48c8cd4344a169e31290208c73",
        "Marks or reserves date from an earlier size of the zones",
        "Memory was plugged or freed since the kernel computed them. Writing the value in force again renews "
        "them:\n\n"
        "    sysctl -w vm.watermark_scale_factor=$(sysctl -n vm.watermark_scale_factor)\n\n"
        "Before Linux 4.6 there is none: vm.min_free_kbytes does it there. Elsewhere a written vm.min_free_kbytes "
        "counts as yours from then on, and the kernel no longer chooses it.",
    ),
    JournalKind(
        "boost-hidden",
        "b26b5a2a72a543249ef085219efaddfa",
        "The marks are raised by a watermark boost that this kernel does not print",
        "After mixing page types the kernel raises the marks for a while (vm.watermark_boost_factor). Known "
        "and harmless; numbers taken from /proc/zoneinfo meanwhile are too high.",
    ),
    JournalKind(
        "direct-reclaim-stalls",
        "5ae3f43292f64b24bdead9b586bc6969",
        "Tasks wait while they reclaim memory themselves",
        "Memory is handed out faster than kswapd frees it, so those who ask must free some first, and wait.\n\n"
        "A larger gap between the low and the min mark lets kswapd start earlier: pagewarden advise computes "
        "vm.watermark_scale_factor from what was seen. Where there is none (before Linux 4.6), and as the weaker "
        "remedy elsewhere, more free memory (vm.min_free_kbytes) widens it too.",
    ),
    JournalKind(
        "fragmentation-rising",
        "43488671107948d9aa879d7b7f4b27bf",
        "Free memory is in ever smaller pieces",
        "Tasks compact memory by themselves and mostly in vain.\n\n"
        "vm.compaction_proactiveness (5.9 and later) lets the kernel do it in the background; "
        "/proc/sys/vm/compact_memory does it once; huge pages on demand (transparent_hugepage=madvise) lower "
        "the demand.",
    ),
    JournalKind(
        "zone-reclaim-harm",
        "0817087828a34b6dbc9d4050c3266cc6",
        "vm.zone_reclaim_mode makes the machine reclaim while other nodes have memory",
        "With a mode other than 0 a node reclaims its own cache before it asks its neighbours.\n\n"
        "Unless the load is partitioned by node, set it to 0; pagewarden advise says what the counters tell.",
    ),
    JournalKind(
        "zone-reclaim-pointless",
        "412579dd5ce248e3b4278b99564f3814",
        "vm.zone_reclaim_mode is set on a machine where it cannot help",
        "There is one node, or all are near. Set it to 0.",
    ),
    JournalKind(
        "reclaimable-slab-heavy",
        "ec35adaec4f94794b4b906062a228ee0",
        "Much memory is in reclaimable slabs",
        "Names and attributes of files fill memory that page cache could use. vm.vfs_cache_pressure above 100"
        " shrinks them sooner.",
    ),
    JournalKind(
        "huge-page-reserve-large",
        "732725b7ddcd4ee7a00a349d5e257099",
        "Huge pages make the kernel keep much memory free",
        "khugepaged raised vm.min_free_kbytes to keep large pieces free.\n\n"
        "pagewarden advise says what it costs here and which huge-page setting gives it back.",
    ),
    JournalKind(
        "log-mismatch",
        "cbbf1da20cf84f1091e7025fde900fdd",
        "A log is of another machine than this one",
        "Host, kernel or zones do not agree with this machine, so it was not used as evidence.",
    ),
    JournalKind(
        "evidence-outdated",
        "6ba06bf1740e4d499f1e8f7476ab99da",
        "Evidence is older than the last change of the setting it speaks of",
        "What was seen before the change says nothing about the value in force; it was not used.",
    ),
    JournalKind(
        "model-misfit",
        "7c8d42f1f1514d2e8d245814e44a64a7",
        "The kernel's marks follow none of the formulas known",
        "What would be predicted cannot be trusted here, so no change is recommended.\n\n"
        "Please report it with the archive that pagewarden capture makes.",
    ),
    JournalKind(
        "foreign-setting",
        "070aecc9686e405a988984deee939435",
        "A setting in force is not what the files ask for",
        "It will change at the next boot or the next run of sysctl --system. pagewarden status shows which "
        "file asks for what.",
    ),
    JournalKind(
        "low-mark-near",
        "05376fa69527447aa7a57bf856eb0b6c",
        "Free memory heads for the low mark of a zone",
        "Where it goes on like this, kswapd starts soon, and tasks that ask faster than it frees must wait.\n\n"
        "pagewarden history shows how it came; pagewarden advise says whether a setting helps.",
    ),
    JournalKind(
        "remote-allocations",
        "7e69b8afd96e424783d54f6b615df841",
        "Much memory is taken from other nodes than the one that asked",
        "Tasks run where their memory is not. Bind them to the node of their memory (numactl, cpuset) or let the "
        "kernel move pages (kernel.numa_balancing); vm.zone_reclaim_mode is seldom the answer.",
    ),
    JournalKind(
        "service-degraded",
        "f33f45bc85e14d03874b957326fcc678",
        "One function of pagewarden does not work",
        "The rest goes on. The entry says which function and why; it is tried again by itself, and its return is told.",
    ),
    JournalKind(
        "service-recovered",
        "b73378fd2e0b476b8f8eef05fec56311",
        "A function of pagewarden works again",
        "See the earlier entry of PAGEWARDEN_FUNCTION=@PAGEWARDEN_FUNCTION@.",
    ),
    JournalKind(
        "service-config",
        "3ebe7acf2ce543c0a2c21fca7f5e2708",
        "The configuration of pagewarden was read again",
        "A configuration that is wrong is refused, and the one in force stays; the entry says what is wrong "
        "in which file and line. pagewarden config shows what is in force.",
    ),
    JournalKind(
        "service-summary",
        "fd84fade0cdf4ddd9f95ace01ba5004b",
        "What pagewarden saw in a day",
        "One line a day; daily_summary = false in the section [service] of /etc/pagewarden/pagewarden.toml "
        "switches it off.",
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}


def catalog_text() -> str:
    """Write the catalog as systemd reads it (man journalctl, --catalog)."""
    parts = ["# Made from src/pagewarden/report/journal_kinds.py; do not edit.\n"]
    for kind in KINDS:
        body = kind.body if kind.name.startswith("service-") else kind.body + _FOOT
        parts.append(f"-- {kind.message_id}\nSubject: {kind.subject}\nDefined-By: pagewarden\n\n{_wrap(body)}\n")
    return "\n".join(parts)


def _wrap(body: str) -> str:
    from textwrap import fill  # only for making the file: the service keeps this module loaded

    paragraphs = body.split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else fill(text, _WIDTH) for text in paragraphs)


if __name__ == "__main__":
    sys.stdout.write(catalog_text())
