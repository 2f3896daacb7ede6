import json

import pytest
from tests.unit.klog.samples import lines_of

from pagewarden.klog import prefix
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.types import LogLine

TEXT = "cat: page allocation failure. order:1, mode:0x20"


def read(raw: bytes | str) -> LogLine:
    (line,) = PrefixReader().read(7, raw.encode() if isinstance(raw, str) else raw)
    return line


@pytest.mark.parametrize(
    ("raw", "timestamp", "seconds"),
    [
        (f"[ 12.345]{TEXT}", "12.345", 12.345),
        (f"[12345.678901] {TEXT}", "12345.678901", 12345.678901),
        (f"[12345.678901] kernel: {TEXT}", "12345.678901", 12345.678901),
        (f"[12345.678901][  T12] kernel: {TEXT}", "12345.678901", 12345.678901),
        (f"[   12.345678,5] {TEXT}", "12.345678", 12.345678),
        (f"[    1.234567@[0]] {TEXT}", "1.234567", 1.234567),
        (f"[    1.234567@1]  {TEXT}", "1.234567", 1.234567),
        (f"<6>[  123.456789]  (0)[1234:kworker/0:1]{TEXT}", "123.456789", 123.456789),
        (f"<4>[  123.456789] [0:  swapper/0:    0] {TEXT}", "123.456789", 123.456789),
        (f"<4>[  123.456789][c0][swapper/0] {TEXT}", "123.456789", 123.456789),
        (f"[  123.456789 / 01-01 10:11:12.345] {TEXT}", "123.456789", 123.456789),
        (f"[May 4 12:31] {TEXT}", "May 4 12:31", None),
        (f"[  +0.000010] {TEXT}", None, None),
        (f"[  123s] [  120.123456] {TEXT}", "120.123456", 120.123456),
        (f" 1234s [  120.123456] {TEXT}", "120.123456", 120.123456),
        (f"10:11:12.123 [  120.123456] {TEXT}", "10:11:12.123", 120.123456),
        (f"[10:11:12] [  120.123456] {TEXT}", "10:11:12", 120.123456),
        (f"<pre>[  120.123456] {TEXT}", "120.123456", 120.123456),
        (f"| [  120.123456] {TEXT}", "120.123456", 120.123456),
        (f"> > | > [  120.123456] {TEXT}", "120.123456", 120.123456),
        (f"+ [  120.123456] {TEXT}", "120.123456", 120.123456),
        (f"2026 Nov 21 01:30:07 box kernel: {TEXT}", "2026 Nov 21 01:30:07", None),
        (f"Nov 21 01:30:07 kernel: {TEXT}", "Nov 21 01:30:07", None),
        (f"Nov 21 01:30:07 10.0.0.1 kernel: {TEXT}", "Nov 21 01:30:07", None),
        (f"Nov 21 01:30:07 fe80::1 kernel: {TEXT}", "Nov 21 01:30:07", None),
        (f"Jan  1 00:00:00 box user.warn kernel: {TEXT}", "Jan  1 00:00:00", None),
        (
            f"Nov 21 01:30:07 box kernel: message repeated 3 times: [ [   12.345678] {TEXT}]",
            "Nov 21 01:30:07",
            12.345678,
        ),
        (f"W/kernel  (  123): {TEXT}", None, None),
        (f"Nov 21 01:30:07 2026 kernel: : [   12.345678] {TEXT}", "Nov 21 01:30:07 2026", 12.345678),
        (f"[2-12.3456] {TEXT}", "12.3456", 12.3456),
        (f"kernel:[   12.345678] {TEXT}", "12.345678", 12.345678),
    ],
)
def test_prefixes_go(raw: str, timestamp: str | None, seconds: float | None) -> None:
    line = read(raw)
    assert (line.text, line.timestamp, line.seconds, line.number) == (TEXT, timestamp, seconds, 7)
    assert line.prefixed or raw.startswith(("|", ">", "<pre>"))


@pytest.mark.parametrize(
    "text",
    [
        "[<c0123456>] do_something+0x10/0x20",
        "[ 1243]     0  1243    29143      850      13        0             0 bash",
        "[c00000023de972e0] [c000000000927e00] dump_stack+0xc4/0x114 (unreliable)",
        "kernel_misc_reclaimable:0",
        "kernel_stack:2210kB pagetables:3300kB",
        "DMA32 free:16820kB min:1808kB low:2260kB high:2712kB",
        "protections[]: 0 0 0",
        "Total swap = 0kB",
        "321 pages RAM",
        "0 pages in swap cache",
        "--- interrupt: 500 at BIT_flushBits+0x1c/0x58",
        "usb 1-1: new high-speed USB device",
        "",
    ],
)
def test_text_that_only_resembles_a_prefix_stays(text: str) -> None:
    assert read(f"  {text}").text == text
    assert read(f"[   12.345678] {text}").text == text


def test_a_host_without_a_tag() -> None:
    line = read("Oct 29 15:25:19 sleepy protections[]: 0 0 0")
    assert (line.host, line.text) == ("sleepy", "protections[]: 0 0 0")


def test_another_programs_tag_stays_in_the_text() -> None:
    assert read(f"Nov 21 01:30:07 box app[12]: {TEXT}").text == f"app[12]: {TEXT}"


def test_caller_levels_and_facilities() -> None:
    line = read("<12>[   12.345678][  C11] x")
    assert (line.caller_id, line.level, line.facility) == ("C11", 4, 1)
    assert read("daemon:info  : [ 1.5] x").facility == 3
    assert read("<99999999>x").text == "<99999999>x"


def test_a_programs_unfinished_line_in_front_goes() -> None:
    line = read("pty04.c:328:    26.860015]  ? zone_watermark_ok_safe+0x270/0x270")
    assert (line.text, line.seconds) == ("? zone_watermark_ok_safe+0x270/0x270", 26.860015)
    assert read("Creating journal (1 block): [   34.739137][ T12] mkfs").caller_id == "T12"


def test_nothing_that_steers_a_terminal_is_kept() -> None:
    hostile = "\x1b]0;title\x07\x1b[2J\x9b31mred\u202e\u200b\x00\x08\x7f\u2066 plain\x1b"
    text = read(f"[   12.345678] {hostile}").text
    assert text == "31mred plain"
    assert text.isprintable()


def test_bytes_that_are_not_utf_8_become_replacement_characters() -> None:
    assert read(b"[ 1.5] caf\xe9").text == "caf\ufffd"


def test_carriage_returns_part_what_was_overwritten() -> None:
    lines = lines_of(b"10%\r20%\r[    1.500000] x\r")
    assert [line.text for line in lines] == ["10%", "20%", "x"]


def test_a_line_too_long_is_cut_and_says_so() -> None:
    line = read("[ 1.5] " + "x" * 100_000)
    assert line.cut
    assert len(line.text) < prefix.MAX_LINE


@pytest.mark.parametrize("joint", ["#012", "\\n", "\\x0a"])
def test_joined_records_are_parted(joint: str) -> None:
    lines = PrefixReader().read(3, f"Nov 21 01:30:07 box kernel: a{joint} b#011c{joint}".encode())
    assert [line.text for line in lines] == ["a", "b c", ""]
    assert {(line.number, line.host) for line in lines} == {(3, "box")}


def test_records_with_absurdly_many_lines_are_bounded() -> None:
    assert len(PrefixReader().read(1, b"a#012" * 3000)) <= 256


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"4,1,2,-;caf\xc3\xa9", "café"),
        (r"4,1,2,-;a\xffb", "a\ufffdb"),
        (r"4,1,2,-;a\xe2\x80\xaeb\xc2\x9bc\x1b[31m\x00", "abc[31m"),
        (r"4,1,2,-;C:\x5cdir", "C:\\dir"),
        (r"kernel: a#011b\tc", "a b c"),
    ],
)
def test_escaped_bytes(raw: str, text: str) -> None:
    assert read(raw).text == text


def test_properties_of_a_kmsg_record_are_no_lines() -> None:
    lines = lines_of(b"6,1,2000000,-;usb 1-1: new device\n SUBSYSTEM=usb\n DEVICE=c189:1\n4,2,2000001,c;rest")
    assert [line.text for line in lines if line.text] == ["usb 1-1: new device", "rest"]


@pytest.mark.parametrize("flag", ["c", "+", "c,caller=T1"])
def test_a_fragment_of_a_kmsg_record_continues(flag: str) -> None:
    assert [line.prefixed for line in lines_of(f"4,5,2000000,-;first\n4,6,2000001,{flag};second".encode())] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("raw", "host", "text"),
    [
        (f"thales kernel: {TEXT}", "thales", TEXT),
        (f"10.1.2.3 kernel: {TEXT}", "10.1.2.3", TEXT),
        (f"the kernel: {TEXT}", None, f"the kernel: {TEXT}"),
        (f"I see in my kernel: {TEXT}", None, f"I see in my kernel: {TEXT}"),
    ],
)
def test_a_host_without_a_time(raw: str, host: str | None, text: str) -> None:
    line = read(raw)
    assert (line.host, line.text, line.prefixed) == (host, text, host is not None)


TIMES = ("Feb 18 17:34:47", "2024-01-01T10:00:00Z", "Sat 2026-11-21 01:30:07 CET", "1795224607.123456")


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("", None),
        (" ", None),
        ("<host> ", None),
        ("*** ", None),
        ("(none) ", None),
        ("$HOST ", None),
        ("{{host}} ", None),
        ("\u2026 ", None),
        ("... ", None),
        ("-- ", None),
        ("n4.c1.*** ", None),
        ("<the host> ", None),
        ("<host> kern.warning ", None),
        ("box kern.warning ", "box"),
        ("box ", "box"),
    ],
)
def test_a_host_that_was_hidden(time: str, host: str, known: str | None) -> None:
    line = read(f"{time} {host}kernel: [   12.345678] {TEXT}")
    assert (line.text, line.timestamp, line.seconds, line.host) == (TEXT, time, 12.345678, known)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    "text",
    [
        "<host> app[12]: kernel: x",
        "<host> app: kernel: x",
        "(I) saw this in my kernel: x",
        "*I* have an old kernel: x",
        "*see* my kernel: x",
        "<host> systemd[1]: x",
        "<one> two three four kernel: x",
        "<host> kernels: x",
    ],
)
def test_no_hidden_host(time: str, text: str) -> None:
    assert read(f"{time} {text}").text == text


@pytest.mark.parametrize(
    ("raw", "host", "priority"),
    [
        (f"kern: warning: [2026-01-12T20:27:31.913975631Z]: {TEXT}", None, (0, 4)),
        (f" kern:    info: [2026-01-12T20:27:31.913975631Z]:   {TEXT}  ", None, (0, 6)),
        (f"172.20.0.2: kern:     err: [2026-01-12T20:27:31Z]: {TEXT}", "172.20.0.2", (0, 3)),
        (f"fe80::1: user: notice: [2026-01-12T20:27:31Z]: {TEXT}", "fe80::1", (1, 5)),
        (f"mc-pt1-pkp-srv-1a: kern: warning: [2026-01-12T20:27:31Z]: {TEXT}", "mc-pt1-pkp-srv-1a", (0, 4)),
    ],
)
def test_talos(raw: str, host: str | None, priority: tuple[int, int]) -> None:
    line = read(raw)
    assert (line.text, line.host, (line.facility, line.level)) == (TEXT, host, priority)
    assert line.timestamp is not None
    assert line.timestamp.startswith("2026-01-12T20:27:31")
    assert line.prefixed


@pytest.mark.parametrize(
    "text",
    [
        "kern: remark: [2026-01-12T20:27:31Z]: x",
        "news: warning: [yesterday]: x",
        "kernel: warning: [2026-01-12T20:27:31Z]: x",
        "see this: kern: warning: [2026-01-12T20:27:31Z]: x",
    ],
)
def test_what_only_looks_like_talos(text: str) -> None:
    assert read(text).text == text.removeprefix("kernel: ")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (f"`[   12.345678] {TEXT}`", TEXT),
        (f"`[   12.345678] {TEXT}", TEXT),
        (f"```[   12.345678] {TEXT}```", TEXT),
        (f"> `Jan 25 15:25:20 es14 kernel: {TEXT}`", TEXT),
        (f"`2024-01-01T10:00:00Z es14 kernel: {TEXT}`", TEXT),
        (f"[   12.345678] {TEXT}`", f"{TEXT}`"),
        (f"`[   12.345678] {TEXT}` is in my log", f"{TEXT}` is in my log"),
        (f"`{TEXT}`", f"`{TEXT}`"),
        (f"`kernel: {TEXT}`", f"`kernel: {TEXT}`"),
        (f"`<4>{TEXT}`", f"`<4>{TEXT}`"),
        ("```", "```"),
    ],
)
def test_marks_of_code(raw: str, text: str) -> None:
    assert read(raw).text == text


@pytest.mark.parametrize("start", ["", "Nov 21 01:30:07 box kernel: ", "<4>", "> ", "`"])
@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        (f"[   10.000001] ? page_[   10.000002] {TEXT}", [("? page_", 10.000001, None), (TEXT, 10.000002, None)]),
        (
            f"[   10.000001][  T1] a[   12.5][   10.000002][ C20] {TEXT}",
            [("a[   12.5]", 10.000001, "T1"), (TEXT, 10.000002, "C20")],
        ),
        (
            "[    9.900000] a [   10.000001] b[   10.000001] c",
            [("a", 9.9, None), ("b", 10.000001, None), ("c", 10.000001, None)],
        ),
        ("[   10.000001] a[   10.000000] b", [("a", 10.000001, None), ("b", 10.0, None)]),
        ("[   10.000001] a[   10.000002]  ? b+0x1/0x2", [("a", 10.000001, None), ("? b+0x1/0x2", 10.000002, None)]),
    ],
)
def test_two_records_on_one_line(start: str, raw: str, texts: list[tuple[str, float, str | None]]) -> None:
    lines = lines_of(f"{start}{raw}".encode())
    assert [(line.text, line.seconds, line.caller_id) for line in lines] == texts
    assert all(line.prefixed and line.number == 1 for line in lines)
    assert {line.host for line in lines} == {"box" if "box" in start else None}


@pytest.mark.parametrize(
    "text",
    [
        "pstore: [    8.000001] panic",
        "pstore: [  500.000001] panic",
        "took [   10.0001] seconds",
        "took [   10.000001 ] seconds",
        "took [   10.000001]seconds",
        "took <   10.000001> seconds",
        "took    10.000001] seconds",
        "took [   10.000001]",
    ],
)
def test_a_time_in_the_text_of_one_record(text: str) -> None:
    assert [line.text for line in lines_of(f"[   10.000001] {text}".encode())] == [text]


def test_records_of_absurd_number_on_one_line_are_bounded() -> None:
    assert len(lines_of(b"[   10.000001] a" * 3000)) <= 257


@pytest.mark.parametrize(
    ("between", "host", "level"),
    [
        ("box ", "box", None),
        ("10.0.0.1 ", "10.0.0.1", None),
        ("<host> ", None, None),
        ("In(05) vcpu-5 - Guest: <6>", None, 6),
        ("app: ", None, None),
        ("WARN ", None, None),
    ],
)
def test_a_time_the_collectors_words_and_the_kernels_stamp(between: str, host: str | None, level: int | None) -> None:
    line = read(f"2023-12-04T10:49:30.112Z {between}[39262699.851810][  T1] {TEXT}")
    assert (line.text, line.timestamp, line.host) == (TEXT, "2023-12-04T10:49:30.112Z", host)
    assert (line.seconds, line.caller_id, line.level) == (39262699.85181, "T1", level)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    "text",
    [
        f"<host> app[12]: [   12.345678] {TEXT}",
        f"(x) app[12]: saw <4>[   12.345678] {TEXT}",
        f"(x) one\\ttwo [   12.345678] {TEXT}",
        f"(x) took [   12.34] {TEXT}",
        "(x) took [   12.345678]s",
        f"(x) {'y' * 300} [   12.345678] {TEXT}",
    ],
)
def test_another_programs_line_that_holds_a_stamp(time: str, text: str) -> None:
    assert read(f"{time} {text}").text == text.replace("\\t", " ")


def test_the_kernels_own_text_before_a_stamp_stays() -> None:
    text = f"(x) took [   12.345678] {TEXT}"
    assert read(f"Nov 21 01:30:07 box kernel: {text}").text == text


@pytest.mark.parametrize(
    "rest", ["page allocation failure. order:0, mode:0x50", "page allocation stalls for 10001ms, order:0"]
)
@pytest.mark.parametrize(
    ("prefix", "is_task"),
    [
        ("", True),
        ("<4>", True),
        ("[   12.345678] ", True),
        ("<4>[   12.345678] ", True),
        ("kernel: ", True),
        ("Nov 21 01:30:07 box kernel: ", True),
        ("Nov 21 01:30:07 <host> kernel: ", True),
        ("2024-01-01T10:00:00Z box kernel: [   12.345678] ", True),
        ("klogd: ", True),
        ("Nov 21 01:30:07 box ", False),
        ("2024-01-01T10:00:00Z box ", False),
    ],
)
def test_a_task_that_is_called_like_a_tag(prefix: str, is_task: bool, rest: str) -> None:
    assert read(f"{prefix}klogd: {rest}").text == ("klogd: " if is_task else "") + rest
    assert read(f"{prefix}klogd: {TEXT}").text == TEXT
    assert read(f"{prefix}kernel: {rest}").text == rest


@pytest.mark.parametrize("label", ["  1234  ", "     7\t", "1234:", "1234-", "node1: ", "db-1.example.org: "])
@pytest.mark.parametrize("time", ["Nov 21 01:30:07", "2026-11-21T01:30:07.123456+01:00"])
def test_numbers_and_hosts_before_a_date(label: str, time: str) -> None:
    line = read(f"{label}{time} box kernel: {TEXT}")
    assert (line.text, line.timestamp, line.host, line.prefixed) == (TEXT, time, "box", True)


@pytest.mark.parametrize(
    "text",
    [
        "1234 lines later, Nov 21 01:30:07 box kernel: x",
        "my log: Nov 21 01:30:07 box kernel: x",
        "node1: Nov 21, box kernel: x",
        "node1: x",
        "1234: x",
        "1234 pages RAM",
    ],
)
def test_numbers_and_words_that_are_no_label(text: str) -> None:
    assert read(text).text == text


@pytest.mark.parametrize("escape", ["#033[", "^[["])
@pytest.mark.parametrize("start", ["", "Nov 21 01:30:07 box kernel: "])
def test_colours_that_were_spelled_out(start: str, escape: str) -> None:
    line = read(f"{start}{escape}32m[   12.345678] {escape}0m{TEXT}{escape}0m")
    assert (line.text, line.seconds) == (TEXT, 12.345678)
    assert read(f"[   12.345678] {escape}1;31m{TEXT}{escape}0m").text == TEXT


def test_an_array_of_lines_in_json() -> None:
    lines = lines_of(f'{{\n "log": [\n  "{TEXT}",\n\t"[   12.345678] \\"x\\"\\n"\n ],\n "{TEXT}",\n'.encode())
    texts = [line.text for line in lines]
    assert texts == ["{", '"log": [', TEXT, '"x"', "],", f'"{TEXT}",', ""]


@pytest.mark.parametrize(
    "before", ["", "He wrote:\n", "log = [\n", "[see below]\n", '"log": [\n[   12.345678] x\n', "[\nx\n"]
)
def test_a_quoted_line_that_is_of_no_array(before: str) -> None:
    assert lines_of(f'{before}"{TEXT}",'.encode())[-1].text == f'"{TEXT}",'


def test_a_netconsole_fragment_continues() -> None:
    lines = lines_of(b"6.4.0-rc1,4,5,2000000,-,ncfrag=0/20;first half \n6.4.0-rc1,4,5,2000000,-,ncfrag=11/20;second")
    assert [(line.text, line.prefixed) for line in lines] == [("first half", True), ("second", False)]
    assert lines[0].release == "6.4.0-rc1"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"MESSAGE": "x", "_SOURCE_MONOTONIC_TIMESTAMP": "1500000"}, "x"),
        ({"MESSAGE": [120, 121]}, "xy"),
        ({"log": "x\n", "time": "t"}, "x"),
        ({"msg": "x"}, "x"),
        ({"MESSAGE": "x\ud800z\udc80\x1b[1my\x07"}, "xzy"),
        ({"MESSAGE": [195, 188, 255]}, "ü\ufffd"),
        ({"MESSAGE": "\ud800\\xc3\\xbc"}, "ü"),
    ],
)
def test_messages_in_json(record: dict[str, object], expected: str) -> None:
    assert read(json.dumps(record)).text == expected


@pytest.mark.parametrize(
    "raw",
    [
        '{"MESSAGE": null}',
        '{"MESSAGE": [1, 300]}',
        '{"a": 1}',
        "{}",
        "{[",
        '{"MESSAGE": {"a": 1}}',
        "[" * 5000,
        "{" * 5000,
    ],
)
def test_json_without_a_message_is_only_text(raw: str) -> None:
    assert read(raw).text == raw


def test_json_cut_off_still_gives_its_message() -> None:
    assert read('{"_HOSTNAME":"box","MESSAGE":"a \\"b\\" c').text == 'a "b" c'


def test_quoted_printable_mail() -> None:
    lines = lines_of(
        b"Content-Transfer-Encoding: quoted-printable\n\n"
        b"[49689.294138] ip invoked oom-killer: gfp_mask=3D0xc2cc0(GFP_KERNEL|__GFP_N=\n"
        b"OWARN), order=3D3, oom_score_adj=3D0=20\n"
        b"[49689.294139] =C2=A0next=09one"
    )
    assert [line.text for line in lines[2:]] == [
        "ip invoked oom-killer: gfp_mask=0xc2cc0(GFP_KERNEL|__GFP_NOWARN), order=3, oom_score_adj=0",
        "next one",
    ]
    assert lines[2].number == 3


def test_a_soft_break_in_an_opening_line_tells_that_the_mail_is_encoded() -> None:
    text = "a: page allocation failure: order:0, mode:0x144dc2(GFP_HIGHUSER|__GFP_RET=\nRY_MAYFAIL|__GFP_COMP)"
    assert [line.text for line in lines_of(text.encode())] == [text.replace("=\n", "")]
    wrapped = b"a: page allocation failure: order:0, mode:0xd0(GFP_KERNEL), nodemask=\n(null)"
    assert [line.text for line in lines_of(wrapped)] == wrapped.decode().splitlines()


def test_a_soft_break_in_a_zones_line_tells_it_too() -> None:
    zone = "Node 0 DMA free:5700kB min:5752kB low:7188kB high:8628kB active_anon:816kB =\ninactive_anon:60kB dirty:0kB"
    assert [line.text for line in lines_of(zone.encode())] == [zone.replace("=\n", "")]
    blocks = "Node 0 DMA: 81*4kB 84*8kB 36*16kB 15*32kB 11*64kB 23*128kB 0*256kB 0*512kB =\n5700kB"
    assert [line.text for line in lines_of(blocks.encode())] == blocks.splitlines()


def test_full_width_punctuation() -> None:
    assert read("nginx invoked oom-killer：gfp_mask=0x200da，order=0").text.endswith(
        "oom-killer:gfp_mask=0x200da,order=0"
    )


def test_encoded_ends_of_lines() -> None:
    lines = lines_of(
        b"one:=0A=\n=0A=\n\tvmap allocation for size 33619968 failed: use vmalloc=3D<size> to incr=\nease=0D=0A=\r\n"
    )
    wanted = ["one:", "", "vmap allocation for size 33619968 failed: use vmalloc=<size> to increase", ""]
    assert [line.text for line in lines] == wanted


def test_an_encoded_mail_may_say_so_itself() -> None:
    lines = lines_of(b"Content-Transfer-Encoding: Quoted-Printable\n" + b"x" * 60 + b"=\nrest")
    assert [line.text for line in lines[1:]] == ["x" * 60 + "rest"]


def test_what_a_soft_break_held_back_is_given_at_the_end() -> None:
    text = "x" * 60
    assert [line.text for line in lines_of(f"a=3Db\n{text}=".encode())] == ["a=b", text]


def test_numbers_after_an_equals_sign_are_left_alone() -> None:
    assert read("x invoked oom-killer: gfp_mask=0xd0, order=20, oom_score_adj=300").text.endswith(
        "order=20, oom_score_adj=300"
    )


def test_an_export_gives_messages_only() -> None:
    message = "a\n b\nc"
    data = (
        b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795224607000000\n__MONOTONIC_TIMESTAMP=1500000\n_HOSTNAME=box\nMESSAGE\n"
        + len(message).to_bytes(8, "little")
        + message.encode()
        + b"\nPRIORITY=4\n\n__CURSOR=s=2\nMESSAGE=plain\n\n[    1.500000] not of it"
    )
    lines = lines_of(data)
    assert [line.text for line in lines] == ["a", "b", "c", "plain", "not of it"]
    assert (lines[0].timestamp, lines[0].seconds, lines[0].host) == ("1795224607.000000", 1.5, "box")
    assert lines[3].host is None


def test_an_export_whose_length_is_nonsense_goes_on() -> None:
    lines = lines_of(b"__CURSOR=s=1\nMESSAGE\n" + b"\xff" * 8 + b"x\n\n__CURSOR=s=2\nMESSAGE=plain\n")
    assert [line.text for line in lines if line.text] == ["x", "plain"]
