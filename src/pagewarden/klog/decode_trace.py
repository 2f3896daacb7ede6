"""Call traces of every architecture, and the lines around them that say where the trace comes from.

[<ffffffff810fcd27>] __alloc_pages_slowpath+0x4a7/0x590          x86 to 4.8, mips, s390, arm64 of old
 ? kmem_cache_alloc+0x6d/0xe5                                      since 4.9
[c000000000386958] [c000000000385534] oom_kill_process+0x284/0x290 powerpc
[<c0053230>] (unwind_backtrace+0x0/0xf0) from [<c0109a88>] (dump_header.clone.1+0x50/0x84)    arm
 unwind_backtrace from show_stack+0x10/0x14                        arm since 5.18
vb2_dc_alloc (drivers/media/a.c:184 (discriminator 4)) videobuf2   through scripts/decode_stacktrace.sh
<ffffffff8015a2c1>{__alloc_pages+713}                              x86-64 to 2.6.17
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pagewarden.klog.types import Frame

_NAME = r"[A-Za-z_.$][\w.$]{0,127}"
_SPOT = r"\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8})"
_MODULE = r"(?: \[([\w-]{1,64})(?: [^\]]{0,80})?\])?"
# `:module:function` on x86-64 from 2.6.18 to 2.6.25.
_FRAME = re.compile(rf"(\? )?(?::([\w-]{{1,64}}):)?({_NAME}){_SPOT}{_MODULE}")
_BEFORE = re.compile(
    r"(?:[(\[<]{0,3}(?:0x)?[0-9a-f]{8,16}[>\])]{0,3} {0,4}){0,2}(?:\[[\w.]{1,128}\+\d{1,8}/\d{1,8}\] )?$"
)
_AFTER = re.compile(r" {0,4}(?:\((?:unreliable|[A-Z]{1,3})\))?[ )]{0,2}$")
_PLACE = r" \([\w./+~-]{0,200}/[\w.+~-]{1,100}\.(?:[chS]|rs):\d{1,7}[\w ./:()+~-]{0,400}?\)"
_PLACE_END = r"(?: \([A-Z]{1,3}\))? {0,2}$"
PLACED = rf"(?:\? )?{_NAME}{_PLACE}(?: \[?[\w-]{{1,64}}\]?)?{_PLACE_END}"
"""A function and its place in the source, as scripts/decode_stacktrace.sh writes them: to the end of the line, as
drivers begin their messages so as well."""
_PLACED = re.compile(rf"(\? )?({_NAME}){_PLACE}(?: \[?([\w-]{{1,64}})\]?)?{_PLACE_END}")
_ARM_TOKEN = re.compile(rf"\(({_NAME})(?:{_SPOT})?{_MODULE}\)")
_ARM_PLAIN = re.compile(rf"({_NAME})(?: \[([\w-]{{1,64}})[^\]]{{0,80}}\])? from ({_NAME}){_SPOT}{_MODULE}$")
_ARM_ADDRESS = re.compile(r"\[<[0-9a-f]{8}>\]")
_OLD_X86_64 = re.compile(r"<[0-9a-f]{16}>\{(?::([\w-]{1,64}):)?([\w.]{1,128})\+(\d{1,8})\}")
_SECTION = re.compile(r"<(/?)(IRQ|NMI|SOFTIRQ|HARDIRQ|TASK|EOI|EOE|#[A-Z]{2}|ENTRY_TRAMPOLINE|[A-Z]{2,10})>")

_CPU = re.compile(
    r"^(?:CPU: (?P<cpu>\d{1,6}) (?:UID: \d{1,10} )?)?(?:PID|Pid): ?(?P<pid>\d{1,10}),? (?:Comm|comm): ?(?P<rest>.*)$"
)
_CPU_LOST_START = re.compile(r"^CPU: \d{1,6} (?:UID: \d{1,10} )?PID: ?\d{1,10}$")
_TAINT = re.compile(r"(?:^| )(?:Kdump: loaded )?(?:Not ?tainted|Tainted:)")
_TAINT_BEGUN = re.compile(r"(?: Kdump:(?: loaded)?)?(?: Not)?$")
_RELEASE = re.compile(r"(?:^|[ (d])(\d{1,2}\.\d{1,3}[\w.+~:-]{0,120})(?=[ )]|$)")
_BANNER = re.compile(r"^Linux version (\d{1,2}\.\d{1,3}\S{0,160}) ")
_HARDWARE = re.compile(r"^Hardware name: (.{0,400})")
_WORKQUEUE = re.compile(r"^Workqueue: (.{0,200})")


@dataclass(frozen=True, slots=True)
class CpuLine:
    """`CPU: 0 PID: 1 Comm: x Not tainted 6.1.0 #1`, in 2.6 and early 3.x `Pid: 0, comm: swapper Not tainted 3.4.24 #1`.

    :ivar comm_text: everything up to the taint words: it may be cut where the line was wrapped.
    :ivar complete: the release was there.
    """

    comm_text: str
    pid: int
    cpu: int | None
    release: str | None
    complete: bool


def parse_cpu_line(text: str) -> CpuLine | None:
    """Read the line that names processor, task and kernel."""
    if "omm:" not in text:
        return None
    match = _CPU.match(text)
    if match is None:
        return None
    rest = match["rest"]
    taint = _TAINT.search(rest)
    if taint is None:
        comm = _TAINT_BEGUN.sub("", rest).strip()
        return CpuLine(comm, int(match["pid"]), _optional(match["cpu"]), None, False)
    release = _RELEASE.search(rest, taint.end() - 1)
    comm = rest[: taint.start()].removesuffix(" Kdump: loaded")
    return CpuLine(
        comm.strip(), int(match["pid"]), _optional(match["cpu"]), release[1] if release else None, release is not None
    )


def is_lost_start(text: str) -> bool:
    """Whether the line that names processor, task and kernel was wrapped before the task's name."""
    return _CPU_LOST_START.match(text) is not None


def parse_banner(text: str) -> str | None:
    """The release in a `Linux version ...` line."""
    match = _BANNER.match(f"{text} ")
    return match[1] if match else None


def parse_hardware(text: str) -> str | None:
    """The machine's name in a `Hardware name:` line."""
    match = _HARDWARE.match(text)
    return match[1].strip() if match else None


def parse_workqueue(text: str) -> str | None:
    """The work item in a `Workqueue:` line."""
    match = _WORKQUEUE.match(text)
    return match[1].strip() if match else None


def parse_sections(text: str) -> tuple[str | None, str] | None:
    """Read the stack markers on a line; None where there is none.

    :return: the section that begins (None: the task's own), the rest of the line.
    """
    if "<" not in text:
        return None
    matches = list(_SECTION.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    closes = last[1] == "/" or last[2] in ("EOI", "EOE", "TASK")
    return (None if closes else last[2]), _SECTION.sub("", text).strip()


def parse_frames(text: str, section: str | None = None) -> tuple[Frame, ...]:
    """Read the functions on one line of a trace, innermost first; empty where the line is none.

    On arm each line names a function and its caller: the caller comes again on the next line, so whoever collects
    frames drops the repetition (`add_frames`).
    """
    if "+0x" not in text:
        placed = _PLACED.match(text) if ":" in text else None
        if placed is not None:
            return (Frame(placed[2], None, None, placed[3], placed[1] is None, section),)
        return _old_frames(text, section) if "}" in text else _bare_arm(text, section)
    if _is_arm(text):
        return _arm_frames(text, section)
    if " from " in text:
        return _plain_arm_frames(text, section)
    match = _FRAME.search(text)
    if match is None or _BEFORE.match(text[: match.start()]) is None:
        return ()
    rest = text[match.end() :]
    if _AFTER.match(rest) is None and not rest.startswith((" [", " (")):
        return ()
    reliable = match[1] is None and "(unreliable)" not in rest
    return (_frame(match[3], match[4], match[5], match[6] or match[2], reliable, section),)


def add_frames(frames: list[Frame], text: str, section: str | None, limit: int) -> None:
    """Append the functions on one line of a trace to `frames`, which may grow to `limit`."""
    paired = " from" in text or _is_arm(text)
    for frame in parse_frames(text, section):
        repeated = paired and bool(frames) and frames[-1].function == frame.function
        if not repeated and len(frames) < limit:
            frames.append(frame)


def _is_arm(text: str) -> bool:
    return (
        "(" in text
        and (_ARM_ADDRESS.search(text) is not None or text[0] == "(")
        and _ARM_TOKEN.search(text) is not None
    )


def _arm_frames(text: str, section: str | None) -> tuple[Frame, ...]:
    return tuple(_frame(m[1], m[2], m[3], m[4], True, section) for m in _ARM_TOKEN.finditer(text))


def _plain_arm_frames(text: str, section: str | None) -> tuple[Frame, ...]:
    match = _ARM_PLAIN.match(text)
    if match is None:
        return ()
    inner = Frame(match[1], module=match[2], section=section)
    return inner, _frame(match[3], match[4], match[5], match[6], True, section)


def _bare_arm(text: str, section: str | None) -> tuple[Frame, ...]:
    """A wrapped arm line that holds only the function, or only half of its caller: `[<c01a>] (show_stack) from`."""
    return _arm_frames(text, section) if _ARM_ADDRESS.match(text) and " from" in text else ()


def _old_frames(text: str, section: str | None) -> tuple[Frame, ...]:
    return tuple(Frame(match[2], int(match[3]), None, match[1], True, section) for match in _OLD_X86_64.finditer(text))


def _frame(
    name: str, offset: str | None, size: str | None, module: str | None, reliable: bool, section: str | None
) -> Frame:
    where = int(offset, 16) if offset else None
    return Frame(name.lstrip("."), where, int(size, 16) if size else None, module, reliable, section)


def _optional(digits: str | None) -> int | None:
    return int(digits) if digits else None


def infer_arch(release: str | None, frames: Iterable[Frame], clues: set[str], zones: set[str]) -> str | None:
    """The architecture, where something printed settles it: the release's suffix, registers, entry functions.

    "ppc64" where the byte order cannot be told.

    :param clues: what `arch_clue` found on the report's other lines.
    :param zones: the names of the zones printed.
    """
    for suffix, arch in _RELEASE_ARCH:
        if release is not None and suffix.search(release):
            return arch
    for clue in ("x86_64", "i386", "s390x", "mips", "arm64", "arm", "ppc64le", "ppc64", "ppc"):
        if clue in clues:
            return clue
    for frame in frames:
        for pattern, arch in _FUNCTION_ARCH:
            if pattern.match(frame.function):
                return arch
    if X86 in clues and zones & {"DMA32", "HighMem"}:
        return "x86_64" if "DMA32" in zones else "i386"
    return None


def arch_clue(text: str) -> str | None:
    """What a register line or an address says about the architecture."""
    match = _LINE_CLUE.match(text)
    return _LINE_ARCH[(match.lastindex or 1) - 1][1] if match is not None else None


# The stack markers of x86, 32 or 64 bits.
X86 = "x86"

_RELEASE_ARCH = tuple(
    (re.compile(pattern), arch)
    for pattern, arch in (
        (r"[._-](?:x86_64|amd64)\b", "x86_64"),
        (r"[._-](?:aarch64|arm64)\b", "arm64"),
        (r"[._-](?:ppc64le|ppc64el|powerpc64le)\b", "ppc64le"),
        (r"[._-](?:ppc64|powerpc64)\b", "ppc64"),
        (r"[._-]s390x\b", "s390x"),
        (r"[._-](?:i[3456]86|[56]86|686-pae|PAE)\b", "i386"),
        (r"[._-](?:armv7hl|armv7l?|armhf|armmp|armel|armv6l?)\b", "arm"),
        (r"[._-]riscv64\b", "riscv"),
    )
)
_FUNCTION_ARCH = tuple(
    (re.compile(pattern), arch)
    for pattern, arch in (
        (r"__x64_sys_|entry_SYSCALL_64|x64_sys_call$|system_call_fastpath$|x86_64_start", "x86_64"),
        (r"sysenter_past_esp$|entry_SYSENTER_32$|entry_INT80_32$|i386_start_kernel$", "i386"),
        (r"__arm64_sys_|el0_svc|el0t_64_|el1h_64_|el1_irq$|el0_sync", "arm64"),
        (r"unwind_backtrace$|ret_fast_syscall$|__irq_svc$|arm_", "arm"),
        (r"__s390x?_sys_|system_call_ext$", "s390x"),
    )
)
_LINE_ARCH = (
    (r"RIP: [0-9a-f]{4}:|RAX: [0-9a-f]{16} RBX:|R1[03]: [0-9a-f]{16} ", "x86_64"),
    (r"EIP: |EAX: [0-9a-f]{8} EBX:", "i386"),
    (r"Krnl PSW|User PSW|\(\[<[0-9a-f]{16}>\]", "s390x"),
    (r"(?:\? )?</?(?:TASK|IRQ)>", X86),
    (r"Call trace:", "arm64"),
    (r"\[<ffffffff8[1-9a-f][0-9a-f]{6}>\]", "x86_64"),
    (r"MSR: .{1,40}<SF[A-Z,]{0,80},LE[A-Z,]{0,20}>", "ppc64le"),
    (r"epc   : |Stack : [0-9a-f]{8} [0-9a-f]{8} ", "mips"),
    (r"NIP: {1,2}[0-9a-f]{16} |\[c0000[0-9a-f]{11}\] \[[0-9a-f]{16}\] ", "ppc64"),
    (r"NIP: {1,2}[0-9a-f]{8} LR:|\[[0-9a-f]{8}\] \[[0-9a-f]{8}\] ", "ppc"),
    (r"\[<[0-9a-f]{8}>\] \([\w.]{1,128}(?:\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8})?\) from|unwind_backtrace from ", "arm"),
)
_LINE_CLUE = re.compile("|".join(f"({pattern})" for pattern, _ in _LINE_ARCH))
