"""The prefixes that log lines carry, and how each is taken off.

Every expression here is anchored (but for one bounded search) and free of nested repetition.
"""

import json
import re
from dataclasses import dataclass

MAX_JOINED = 256
_MAX_PREFIXES = 8

_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
_LEVELS = {"emerg": 0, "alert": 1, "crit": 2, "err": 3, "error": 3, "warn": 4, "warning": 4, "notice": 5}
_LEVELS |= {"info": 6, "debug": 7}

_ANSI = re.compile(r"\x1b(?:\[[0-9;:<=>?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|[ -/]{0,2}[0-~])")
_BLANKS = dict.fromkeys([0x09, 0x0B, 0x0C, 0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_INVISIBLE = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F)])
_INVISIBLE |= dict.fromkeys(
    [*range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), 0xAD, 0x061C, *range(0xD800, 0xE000)]
)
_CLEAN = {**_INVISIBLE, **_BLANKS, 0xFF0C: ",", 0xFF1A: ":", 0xFF08: "(", 0xFF09: ")"}
_NOT_PLAIN = re.compile(r"[^ -~]")

_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " ", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))

_QUOTE = re.compile(r"[ ]*(?:[>|│#*•][>|│#*• ]*|[A-Z]{1,3}>[> ]*|[-+] (?=[<\[A-Z ])|[-+](?=\[))")

_MARKUP = re.compile(r"(?:</?(?:pre|code|p|br|div|span|td|tt)\b[^<>]{0,80}>){1,4} ?")

# The number that grep or nl gave a line, or the host that pdsh had it from, where a date follows.
_LABEL = re.compile(
    r" {0,20}(?:\d{1,9}[:-]|(?!(?:19|20)\d\d )\d{1,9} {1,8}|[\w.-]{1,64}: )"
    r"(?=[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d |\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"
)

_PRIORITY = re.compile(r"<(\d{1,3})>")
_STAMP = re.compile(r"\[(?: {0,12}|\d{1,3}-)(\d{1,10}\.\d{1,9})(?:,\d)?(?:@\[?\d{1,4}\]?)?(?: *[/<][^\]]{0,60})?\]")
_CALLER = re.compile(r" ?\[ {0,12}([TC]\d{1,10})\]")
_VENDOR_CALLER = re.compile(
    r" {0,3}(?:\(\d{1,3}\)\[\d{1,10}:[^\]]{1,32}\]|\[ ?\d{1,3}: {0,20}[^\]]{1,32}: {0,10}\d{1,10}\]|"
    r"\[c\d{1,3}\]\[[^\]]{1,32}\]|\[pid:\d{1,10},cpu\d{1,4},[^\]]{1,32}\])"
)
_WALL_STAMP = re.compile(r"\[(\S{2,6} \S{2,6} {1,2}\d{1,2} \d\d:\d\d:\d\d \d{4})\]")
_DELTA_STAMP = re.compile(r"\[(?:<|\+| {1,8}\+| {1,8}<) {0,8}\d{1,10}\.\d{1,9}>?\]|\[ {0,8}\d{1,10}s\]")
_SHORT_STAMP = re.compile(r"\[(\S{3} {1,2}\d{1,2} ?\d\d:\d\d)\]")
_CLOCK_STAMP = re.compile(
    r"\[((?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(?:[.,:]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?)\](?: |(?=\[))"
)
_SYSLOG = re.compile(
    r"((?:[A-Z][a-z]{2} )?(?:\d{4} )?[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?"
    r"\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4})?)(?: |$)"
)
_HOST = re.compile(r"(?!kernel:|klogd:|vmunix:)([\w.:@/\[\]-]{0,254}\w\]?) +")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?) +")
_FULL = re.compile(r"([A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? [A-Za-z0-9+:-]{1,8}) +")
_UNIX = re.compile(r"(\d{9,11}\.\d{3,9}) +")
_HOST_TAG = re.compile(r"((?=\S{0,63}\w)[\w.:@/-]{1,255}) (?:kernel|klogd|vmunix)(?:\[\S{0,10}\])?:(?: |$)")
# A host that was blanked or hidden (`<host>`, `***`, nothing at all), a facility perhaps, and the kernel's tag. Nothing
# before it ends in a colon: that would be the tag of another program.
_HIDDEN_HOST_TAG = re.compile(
    r" {0,8}((?:\S{0,63}[^\s:] {1,8}){0,3}?)(?:kernel|klogd|vmunix)(?:\[\S{0,10}\])?:(?: |$|(?=[\[<]))"
)
_HOST_FACILITY = re.compile(r"([\w.:@/-]{1,255}) +[a-z]{3,8}[0-7]?\.[a-z]{3,7} +$")
_HOST_STAMP = re.compile(r"([\w.:@/-]{0,254}\w) (?=\[ {0,12}\d{1,10}\.\d{6}\])")
# Words that stand before "kernel:" in prose.
_NO_HOSTS = frozenset(("a", "and", "for", "in", "is", "linux", "my", "new", "of", "old", "our", "the", "this", "your"))
_TAG = re.compile(r"(?:kernel|klogd|vmunix)(?:\[\S{0,10}\])?:(?: |$|(?=[\[<]))")
# The old daemon of the kernel's log asks for memory itself; a report about it looks as if tagged by it.
_KLOGD = re.compile(r"klogd: page allocation (?:failure|stall)")
_REPEATED = re.compile(r"message repeated \d{1,9} times: \[ ")
_CRI = re.compile(r"(?:stdout|stderr) [FP] ")
_FACILITY_LEVEL = re.compile(r"([a-z]{3,8}[0-7]?) {0,2}[.:]([a-z]{3,7}) {0,2}:? {0,2}")
# Talos: `10.1.1.2: kern:    info: [2022-01-25T10:35:59.111934566Z]: text`.
_TALOS = re.compile(
    r"(?:([\w.:-]{1,255}): )?([a-z]{3,8}[0-7]?): {1,8}([a-z]{3,7}): "
    r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)\]: "
)
_RFC5424 = re.compile(r"1 (\S{1,64}) (\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} (?:-|\[[^\]]{0,1024}\]) ?")
_KMSG = re.compile(r"(\d{1,6}),(\d{1,20}),(\d{1,20}),([^;]{1,400});")
_NETCONSOLE_RELEASE = re.compile(r"(\d{1,2}\.\d{1,3}[^,;\s]{0,120}),(?=\d{1,6},\d{1,20},)")
_CALLER_FIELD = re.compile(r"(?:^|,)caller=([TC]\d{1,10})(?:,|$)")
_FRAGMENT = re.compile(r"(?:^|,)ncfrag=([1-9]\d{0,9})/")
_LOGCAT = re.compile(
    r"(?:(\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6}) +(?:\d{1,7} +\d{1,7} +)?)?[VDIWEF][/ ]kernel {0,12}(?:\( *\d{1,7}\))?: ?"
)
_CONSOLE_CLOCK = re.compile(r"(\d\d:\d\d:\d\d(?:[.,]\d{1,9})?) (?:> )?(?=[\[<]|kernel: )|\d{1,8}s (?=\[ )")
_GREP = re.compile(
    r"(?:(?:[\w.+-]{0,64}/){1,8}[\w.+-]{0,40}(?:log|messages|dmesg|kern|syslog)[\w.-]{0,40}|"
    r"(?:messages|dmesg|syslog|[\w+-]{1,40}\.log)[\w.-]{0,40}):(?:\d{1,12}[:-])?(?=[\[<A-Z\d])"
)
_EMBEDDED = re.compile(r"(?:<(\d{1,3})>)?[\[ ]\d{1,9}\.\d{6}\](?:\[ {0,8}([TC]\d{1,10})\])?(?: |$)")
# What keeps words before a stamp from being a collector's: another program's tag, the end of a line, also escaped.
_NO_COLLECTOR = re.compile(r"[\w.-]{1,64}\[\d{1,10}\]: |[\n\\]|#0")

_ARRAY_START = re.compile(r' *(?:"[^"]{0,64}" *: *)?\[ *$')
_ARRAY_ENTRY = re.compile(r' *"((?:[^"\\]|\\.)*)",? *$')
KMSG_PROPERTY = re.compile(r" (?:SUBSYSTEM|DEVICE|[A-Z][A-Z0-9_]{1,32})=\S")
_JSON_MESSAGE = re.compile(r'"(?:MESSAGE|log|message|msg)" ?: ?"((?:[^"\\]|\\.)*)')


@dataclass(slots=True)
class Found:
    """The prefixes found on one line so far, and the text that is left.

    :ivar tagged: the kernel's tag was among them: what is left is its own text.
    """

    text: str
    wall: str | None = None
    stamp: str | None = None
    host: str | None = None
    caller_id: str | None = None
    priority: int | None = None
    release: str | None = None
    prefixed: bool = False
    tagged: bool = False
    kmsg: bool = False

    def take(self, end: int) -> None:
        """Drop a prefix of that length."""
        self.text = self.text[end:]
        self.prefixed = True

    def take_tag(self, end: int) -> None:
        """Drop a prefix that ends in the kernel's tag."""
        self.take(end)
        self.tagged = True
        if self.text.startswith(": ["):  # a daemon that found a tag without a name put one of its own before it
            self.text = self.text[2:]


def clean_text(text: str) -> str:
    """Remove escape sequences and characters that steer a terminal or cannot be seen; all blanks become spaces.

    Sequences whose first byte a syslog server (`#033[`) or a viewer (`^[[`) spelled out are meant as well.
    """
    if "#033[" in text or "^[[" in text:
        text = text.replace("#033[", "\x1b[").replace("^[[", "\x1b[")
    if _NOT_PLAIN.search(text) is None:
        return text
    return _ANSI.sub("", text).translate(_CLEAN)


def microseconds(value: str) -> str | None:
    """Seconds with six decimals from a count of microseconds (the journal's clocks)."""
    if not value.isascii() or not value.isdigit() or len(value) > 20:
        return None
    return f"{int(value) // 1_000_000}.{int(value) % 1_000_000:06d}"


def strip_prefixes(text: str) -> Found:
    """Take every prefix off one cleaned line."""
    for pattern in (_QUOTE, _MARKUP, _LABEL):
        match = pattern.match(text)
        if match is not None:
            text = text[match.end() :]
    text = text.lstrip(" ")
    if text.startswith("`"):
        # Marks of code in markdown. In prose they stand around other things, too: only a time tells a line of a log.
        marked = _strip_all(text.lstrip("`"))
        if marked.wall is not None or marked.stamp is not None:
            marked.text = marked.text.rstrip("`")
            return marked
    return _strip_all(text)


def _strip_all(text: str) -> Found:
    found = Found(text)
    if found.text.startswith("{"):
        found = _unwrap_json(found)
    for _ in range(_MAX_PREFIXES):
        if not _strip_one(found):
            break
    if not found.prefixed or (found.wall is not None and found.stamp is None and not found.tagged):
        _strip_embedded(found)
    return found


def unescape_entities(text: str) -> str:
    """Undo the escapes of HTML that pasted logs carry."""
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], text) if "&" in text else text


def starts_array(text: str) -> bool:
    """Whether an array of lines may begin in a JSON document, one entry a line."""
    return text.endswith("[") and _ARRAY_START.match(text) is not None


def array_entry(text: str) -> str | None:
    """The text inside a line that is one entry of an array in a JSON document; None where it is none."""
    entry = _ARRAY_ENTRY.match(text)
    return clean_text(_unescape(entry[1])) if entry is not None else None


def _unwrap_json(found: Found) -> Found:
    """The message inside a JSON record: `journalctl -o json`, docker's json-file, and the like."""
    try:
        record = json.loads(found.text)
    except (ValueError, RecursionError):
        partial = _JSON_MESSAGE.search(found.text)
        return found if partial is None else Found(clean_text(_unescape(partial[1])), prefixed=True)
    if not isinstance(record, dict):
        return found
    message = next((record[key] for key in ("MESSAGE", "log", "message", "msg") if key in record), None)
    if isinstance(message, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        return found
    joined = "\n".join(clean_text(part) for part in message.split("\n")[:MAX_JOINED])
    inner = Found(joined.rstrip("\n"), prefixed=True)
    inner.wall = _text_of(record, "time") or microseconds(_text_of(record, "__REALTIME_TIMESTAMP") or "")
    inner.stamp = microseconds(
        _text_of(record, "_SOURCE_MONOTONIC_TIMESTAMP") or _text_of(record, "__MONOTONIC_TIMESTAMP") or ""
    )
    inner.host = _text_of(record, "_HOSTNAME")
    priority = _text_of(record, "PRIORITY") or ""
    inner.priority = int(priority) if priority in {"0", "1", "2", "3", "4", "5", "6", "7"} else None
    return inner


def _text_of(record: dict[str, object], key: str) -> str | None:
    value = record.get(key)
    return clean_text(value)[:255] if isinstance(value, str) else None


def _unescape(text: str) -> str:
    try:
        value = json.loads(f'"{text}"')
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _strip_one(found: Found) -> bool:
    """Take one prefix off; False where none is recognised."""
    text = found.text
    first = text[:1]
    if first == "[":
        return _strip_bracket(found)
    if first == "<":
        match = _PRIORITY.match(text)
        if match is None:
            return False
        found.priority = int(match[1])
        found.take(match.end())
        return True
    if first == " ":
        rest = text.lstrip(" ")
        if found.prefixed and rest[:1] == "[" and (_STAMP.match(rest) or _WALL_STAMP.match(rest)):
            found.text = rest
            return True
        return False
    if first.isdigit():
        return _strip_digits(found)
    return (first.isalpha() and _strip_word(found)) or (first in "/." and _strip_grep(found))


def _strip_bracket(found: Found) -> bool:
    text = found.text
    match = _STAMP.match(text)
    if match is not None:
        found.stamp = found.stamp or match[1]
        found.take(match.end())
        _strip_callers(found)
        return True
    match = _WALL_STAMP.match(text) or _CLOCK_STAMP.match(text) or _SHORT_STAMP.match(text)
    if match is not None:
        found.wall = found.wall or match[1]
        found.take(match.end())
        found.text = found.text.removeprefix(" ") if found.text[1:2] in "[<" else found.text
        return True
    match = _DELTA_STAMP.match(text)
    if match is not None:
        found.take(match.end())
        found.text = found.text.removeprefix(" ")
        return True
    return False


def _strip_callers(found: Found) -> None:
    caller = _CALLER.match(found.text)
    if caller is not None:
        found.caller_id = caller[1]
        found.take(caller.end())
    vendor = _VENDOR_CALLER.match(found.text)
    if vendor is not None:
        found.take(vendor.end())
    if found.text.startswith(" "):
        host = _HOST_TAG.match(found.text, 1)
        tag = host or _TAG.match(found.text, 1)
        if tag is not None and _KLOGD.match(found.text, 1) is None:
            found.host = host[1] if host is not None else found.host
            found.take_tag(tag.end())


def _strip_digits(found: Found) -> bool:
    text = found.text
    match = _KMSG.match(text)
    if match is not None:
        found.priority = int(match[1])
        found.stamp = microseconds(match[3])
        caller = _CALLER_FIELD.search(match[4])
        found.caller_id = caller[1] if caller else None
        found.take(match.end())
        found.prefixed = match[4][0] not in "c+" and _FRAGMENT.search(match[4]) is None
        found.kmsg = True
        return True
    match = _NETCONSOLE_RELEASE.match(text)
    if match is not None:
        found.release = match[1]
        found.take(match.end())
        return True
    if text.startswith("1 ") and found.priority is not None:
        match = _RFC5424.match(text)
        if match is not None:
            found.wall, found.host = match[1], match[2]
            found.take(match.end())
            return True
    match = _ISO.match(text) or _UNIX.match(text)
    if match is not None:
        found.wall = found.wall or match[1]
        found.take(match.end())
        _strip_host_tag(found)
        return True
    return (
        _strip_logcat(found)
        or _strip_console_clock(found)
        or _strip_syslog(found)
        or _strip_lone_host(found)
        or _strip_talos(found)
    )


def _strip_lone_host(found: Found) -> bool:
    """`box kernel: `, the time cut off."""
    match = _HOST_TAG.match(found.text)
    if match is None or match[1].lower() in _NO_HOSTS:
        return False
    found.host = match[1]
    found.take_tag(match.end())
    return True


def _strip_console_clock(found: Found) -> bool:
    match = _CONSOLE_CLOCK.match(found.text)
    if match is not None:
        found.wall = found.wall or match[1]
        found.take(match.end())
    return match is not None


def _strip_host_tag(found: Found) -> None:
    tag = _HOST_TAG.match(found.text)
    if tag is not None:
        found.host = tag[1]
        found.take_tag(tag.end())
    elif not (_strip_hidden_host(found) or _strip_bare_host(found)):
        match = _CRI.match(found.text)
        if match is not None:
            found.take(match.end())


def strip_known_host(found: Found, host: str) -> None:
    """Take off a host behind a time, without a tag, that another line named: pieces of lines have no stamp after it."""
    if found.wall is not None and found.host is None and found.text.startswith(f"{host} "):
        found.host = host
        found.take(len(host) + 1)


def _strip_bare_host(found: Found) -> bool:
    """`box [   12.345678] `: a network console's lines, as a syslog server writes them."""
    match = _HOST_STAMP.match(found.text)
    if match is None or match[1].lower() in _LEVELS:
        return False
    found.host = match[1]
    found.take(match.end())
    return True


def _strip_hidden_host(found: Found) -> bool:
    """What stands between a time and the kernel's tag in place of a host's name: the host is not known."""
    match = _HIDDEN_HOST_TAG.match(found.text)
    if match is None or not _NO_HOSTS.isdisjoint(match[1].lower().split()[-1:]):
        return False
    host = _HOST_FACILITY.match(match[1])
    if host is not None:
        found.host = host[1]
    found.take_tag(match.end())
    return True


def _strip_logcat(found: Found) -> bool:
    match = _LOGCAT.match(found.text)
    if match is None or match.end() == 0:
        return False
    found.wall = found.wall or match[1]
    found.take(match.end())
    return True


def _strip_word(found: Found) -> bool:
    text = found.text
    match = _TAG.match(text)
    if match is not None and not _is_klogd(found):
        found.take_tag(match.end())
        return True
    match = _FULL.match(text)
    if match is not None:
        found.wall = found.wall or match[1]
        found.take(match.end())
        _strip_host_tag(found)
        return True
    if _strip_syslog(found):
        return True
    if _strip_talos(found) or _strip_facility(found):
        return True
    if text.startswith("MESSAGE="):
        found.take(len("MESSAGE="))
        return True
    match = _REPEATED.match(text)
    if match is not None:
        found.take(match.end())
        found.text = found.text.removesuffix("]")
        return True
    return _strip_logcat(found) or _strip_grep(found) or _strip_lone_host(found)


def _is_klogd(found: Found) -> bool:
    """Whether what looks like a tag is a task: a tag stands before it, or no time or host, after which one is due."""
    return (found.tagged or (found.wall is None and found.host is None)) and _KLOGD.match(found.text) is not None


def _strip_syslog(found: Found) -> bool:
    match = _SYSLOG.match(found.text)
    if match is None:
        return False
    found.wall = found.wall or match[1]
    found.take(match.end())
    if not _strip_facility(found):
        host = _HOST.match(found.text)
        if host is not None:
            found.host = host[1]
            found.take(host.end())
        else:
            _strip_hidden_host(found)
    return True


def _strip_facility(found: Found) -> bool:
    match = _FACILITY_LEVEL.match(found.text)
    if match is None or match[1] not in _FACILITIES or match[2] not in _LEVELS:
        return False
    found.priority = _FACILITIES.index(match[1]) * 8 + _LEVELS[match[2]]
    found.take(match.end())
    return True


def _strip_talos(found: Found) -> bool:
    match = _TALOS.match(found.text) if "Z]: " in found.text else None
    if match is None or match[2] not in _FACILITIES or match[3] not in _LEVELS:
        return False
    found.host = found.host or match[1]
    found.priority = _FACILITIES.index(match[2]) * 8 + _LEVELS[match[3]]
    found.wall = found.wall or match[4]
    found.take(match.end())
    return True


def _strip_grep(found: Found) -> bool:
    match = _GREP.match(found.text)
    if match is None:
        return False
    found.take(match.end())
    return True


def _strip_embedded(found: Found) -> None:
    """What a program put in front of the kernel's line: a line of its own without an end, a collector's fields.

    pty04.c:328:    26.860015]  ? func+0x1/0x2
    2023-12-04T10:49:30.112Z In(05) vcpu-5 - Guest: <6>[39262699.851810] kmem: usage 0kB
    """
    match = _EMBEDDED.search(found.text, 0, 300)
    if match is None or (found.prefixed and _NO_COLLECTOR.search(found.text, 0, match.start())):
        return
    found.priority = int(match[1]) if match[1] is not None else found.priority
    found.stamp = match[0].partition("]")[0].rpartition(">")[2].lstrip("[ ")
    found.caller_id = match[2]
    found.take(match.end())
