"""The order of sysctl.d files as we compute it, against the programs themselves.

The table `CASES` pins what the programs were seen to do (systemd 252 and 257, procps 4.0.2 and 4.0.4), so that it is
checked everywhere. Where a program is at hand (this machine's, or in a root named in PAGEWARDEN_SYSCTL_ROOTS) the
same table and random layouts are run through it.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.differential.sysctl_programs import KEYS, Layout, Link, Program, find_programs

from pagewarden.procfs.sysctl_files import SYSCTL_CONF, SYSCTL_FOLDERS, writes_of
from pagewarden.procfs.sysctl_lines import Program as Name
from pagewarden.procfs.types import SysctlFile

A, Z, CONF = "/etc/sysctl.d/a.conf", "/etc/sysctl.d/z.conf", "/etc/sysctl.conf"
LINK = "/etc/sysctl.d/99-sysctl.conf"
MIN, SWAP, BOOST, SCALE = KEYS[0], KEYS[1], KEYS[2], KEYS[3]
ALL = {MIN: "1", SWAP: "1", BOOST: "1", SCALE: "1"}
BUT_MIN = {key: "1" for key in KEYS if key != MIN}
BUT_SWAP = {key: "1" for key in KEYS if key != SWAP}

# name -> files, what systemd-sysctl leaves, what `sysctl --system` leaves (None: the same).
CASES: dict[str, tuple[Layout, dict[str, str], dict[str, str] | None]] = {
    "dots": ({A: f"{MIN}=1\n"}, {MIN: "1"}, None),
    "slashes": ({A: "vm/min_free_kbytes=1\n"}, {MIN: "1"}, None),
    "slash in front": ({A: "/vm/min_free_kbytes=1\n"}, {MIN: "1"}, None),
    "dot in front": ({A: f".{MIN}=1\n"}, {MIN: "1"}, None),
    "doubled separators": ({A: "vm//min_free_kbytes=1\nvm..swappiness=3\n"}, {MIN: "1", SWAP: "3"}, None),
    "slash behind": ({A: "vm/watermark_scale_factor/=3\n"}, {SCALE: "3"}, {}),
    "dot as a part": ({A: "./vm/min_free_kbytes=1\n"}, {}, None),
    "parent as a part": ({A: "vm/../vm/min_free_kbytes=1\n"}, {}, {MIN: "1"}),
    "absolute path": ({A: "/proc/sys/vm/min_free_kbytes=1\n"}, {}, None),
    "upper case": ({A: "VM.min_free_kbytes=1\n"}, {}, None),
    "blanks in the key": ({A: "vm. min_free_kbytes=1\nvm .swappiness=1\n"}, {}, None),
    "byte order mark": ({A: f"\ufeff{MIN}=1\n{SWAP}=1\n"}, {SWAP: "1"}, None),
    "no newline at the end": ({A: f"{MIN}=1"}, {MIN: "1"}, None),
    "CRLF": ({A: f"{MIN}=1\r\n{SWAP} = 2\r\n"}, {MIN: "1", SWAP: "2"}, None),
    "CR alone": ({A: f"{MIN}=1\r{SWAP}=2\n"}, {MIN: "1", SWAP: "2"}, {MIN: f"1 {SWAP}=2"}),
    "NUL": ({A: f"{MIN}=1\0{SWAP}=2\n{SCALE}=3\n"}, {MIN: "1", SWAP: "2", SCALE: "3"}, {MIN: "1", SCALE: "3"}),
    "tabs": ({A: f"\t {MIN}\t=\t 1 \t\n"}, {MIN: "1"}, None),
    "vertical tab, form feed": ({A: f"\v{MIN}=1\n\f{SWAP}=2\f\n"}, {}, {MIN: "1", SWAP: "2"}),
    "blanks in the value": ({A: f"{MIN} = 1  2\t 3\n"}, {MIN: "1 2 3"}, None),
    "comments": ({A: f"  # {SWAP}=1\n ;x\n{MIN}=1 # c\n"}, {MIN: "1 # c"}, None),
    "several equal signs": ({A: f"{MIN}==1\n{SWAP}=a=b\n"}, {MIN: "=1", SWAP: "a=b"}, None),
    "quotes": ({A: f'{MIN}="1"\n'}, {MIN: '"1"'}, None),
    "negative": ({A: f"{SWAP}=-1\n"}, {SWAP: "-1"}, None),
    "nothing as value": ({A: f"{MIN}=1\n{MIN}=\n"}, {MIN: ""}, None),
    "blanks as value": ({A: f"{MIN}=1\n{MIN}=  \n"}, {MIN: ""}, None),
    "no equal sign": ({A: f"{MIN} 1\n{SWAP}=2\n"}, {SWAP: "2"}, None),
    "no key": ({A: f"=1\n  = 2\n-=1\n-\n{SWAP}=2\n"}, {SWAP: "2"}, None),
    "backslash at the end": ({A: f"{MIN} = 1\\\n2\n"}, {MIN: "1\\"}, None),
    "bytes that are no UTF-8": ({A: f"# \udcff\n{SWAP}=2\n"}, {SWAP: "2"}, None),
    "later line": ({A: f"{MIN}=1\n{MIN}=2\n"}, {MIN: "2"}, None),
    "dash: failures ignored": ({A: f"-{MIN}=1\n"}, {MIN: "1"}, None),
    "dash and blank": ({A: f"- {SWAP}=2\n"}, {SWAP: "2"}, {}),
    "two dashes": ({A: f"--{SCALE}=3\n"}, {}, {SCALE: "3"}),
    "dash and hash": ({A: f"-#{SWAP}=1\n{SWAP}=2\n"}, {SWAP: "2"}, None),
    "excluded after its value": ({A: f"{MIN}=1\n", Z: f"-{MIN}\n"}, {}, {MIN: "1"}),
    "excluded before its value": ({A: f"-{MIN}\n", Z: f"{MIN}=1\n"}, {MIN: "1"}, None),
    "excluded from a glob": ({A: f"-{MIN}\n", Z: "vm.*=1\n"}, BUT_MIN, None),
    "excluded from a glob before": ({A: "vm.*=1\n", Z: f"-{MIN}\n"}, BUT_MIN, None),
    "excluded with slashes": ({A: "vm/*=1\n", Z: "-vm/min_free_kbytes\n"}, BUT_MIN, None),
    "excluded by a glob": ({A: "vm.*=1\n", Z: "-vm.min*\n"}, ALL, None),
    "excluded by the same glob": ({A: "vm.*=1\n", Z: "-vm.*\n"}, {}, ALL),
    "excluded by a wider glob": ({A: "vm.min*=1\n", Z: "-vm.*\n"}, {MIN: "1"}, None),
    "the glob after its exclusion": ({A: "-vm.*\n", Z: "vm.*=1\n"}, ALL, None),
    "excluded with a blank": ({A: f"vm.*=1\n- {SWAP}\n"}, BUT_SWAP, ALL),
    "excluded with a slash in front": ({A: "vm.*=1\n-/vm/swappiness\n"}, BUT_SWAP, ALL),
    "dash and nothing as value": ({A: f"vm.*=1\n-{SWAP}=\n"}, ALL | {SWAP: ""}, None),
    "explicit beats a later glob": ({A: f"{MIN}=7\n", Z: "vm.*=1\n"}, ALL | {MIN: "7"}, None),
    "explicit, excluded, then a glob": ({A: f"{MIN}=7\n-{MIN}\n", Z: "vm.*=1\n"}, BUT_MIN, ALL | {MIN: "7"}),
    "explicit with a slash in front": ({A: "/vm/swappiness=2\nvm.*=1\n"}, ALL | {SWAP: "2"}, ALL),
    "globs in order": ({A: "vm.*=1\nvm.min*=2\n"}, ALL | {MIN: "2"}, None),
    "the same glob and value again": ({A: "vm.*=1\n", Z: "vm.min*=2\nvm.*=1\n"}, ALL | {MIN: "2"}, ALL),
    "the same glob, another value": ({A: "vm.*=3\n", Z: "vm.min*=2\nvm.*=1\n"}, ALL, None),
    "question mark and set": ({A: "vm.min_free_kbyte?=1\nvm.[sw]*s=2\n"}, {MIN: "1", SWAP: "2"}, None),
    "set turned round": ({A: "vm.[!m]*=1\n"}, BUT_MIN, None),
    "set turned round by a caret": ({A: "vm.[^m]*=1\n"}, BUT_MIN, None),
    "set without an end": ({A: f"vm.[s=1\n{SWAP}=2\n"}, {SWAP: "2"}, None),
    "braces": ({A: "vm.{min_free_kbytes,swappiness}=1\n"}, {}, None),
    "glob for the folder": ({A: "*=1\n"}, {}, None),
    "glob as the folder": ({A: "*.swappiness=1\n*/min_free_kbytes=2\n"}, {MIN: "2", SWAP: "1"}, None),
    "glob with a slash in front": ({A: "/vm/*=1\n"}, ALL, None),
    "glob with nothing as value": ({A: "vm.min*=\n"}, {MIN: ""}, None),
    "hidden file": ({"/etc/sysctl.d/.a.conf": f"{MIN}=1\n"}, {}, {MIN: "1"}),
    "no name before the suffix": ({"/etc/sysctl.d/.conf": f"{MIN}=1\n"}, {}, {MIN: "1"}),
    "other suffixes": ({f"{A}{end}": f"{MIN}=1\n" for end in ("~", ".bak", ".dpkg-old", "f")}, {}, None),
    "suffix in capitals": ({"/etc/sysctl.d/a.CONF": f"{MIN}=1\n"}, {}, None),
    "names by bytes": ({"/etc/sysctl.d/B.conf": f"{MIN}=1\n", A: f"{MIN}=2\n"}, {MIN: "2"}, None),
    "names beyond ASCII": ({"/etc/sysctl.d/\u00e4.conf": f"{MIN}=1\n", Z: f"{MIN}=2\n"}, {MIN: "1"}, None),
    "numbers as text": (
        {"/etc/sysctl.d/9.conf": f"{MIN}=1\n", "/etc/sysctl.d/10.conf": f"{MIN}=2\n"},
        {MIN: "1"},
        None,
    ),
    "dash before dot": (
        {"/etc/sysctl.d/60-a.conf": f"{MIN}=1\n", "/etc/sysctl.d/60.conf": f"{MIN}=2\n"},
        {MIN: "2"},
        None,
    ),
    "masked by /dev/null": ({A: Link("/dev/null"), "/usr/lib/sysctl.d/a.conf": f"{MIN}=1\n"}, {}, None),
    "masked by an empty file": ({A: "", "/usr/lib/sysctl.d/a.conf": f"{MIN}=1\n"}, {}, None),
    "masked by a link to nowhere": ({A: Link("/nowhere"), "/usr/lib/sysctl.d/a.conf": f"{MIN}=1\n"}, {}, None),
    "masked by a link to itself": ({A: Link("a.conf"), "/usr/lib/sysctl.d/a.conf": f"{MIN}=1\n"}, {}, None),
    "masked by a folder": ({f"{A}/x": "", "/usr/lib/sysctl.d/a.conf": f"{MIN}=1\n"}, {}, None),
    "all folders": ({f"{d}/a.conf": f"{MIN}={n}\n" for n, d in enumerate(SYSCTL_FOLDERS[:4])}, {MIN: "0"}, None),
    "without /etc": ({f"{d}/a.conf": f"{MIN}={n}\n" for n, d in enumerate(SYSCTL_FOLDERS[1:4])}, {MIN: "0"}, None),
    "under /usr": ({f"{d}/a.conf": f"{MIN}={n}\n" for n, d in enumerate(SYSCTL_FOLDERS[2:4])}, {MIN: "0"}, None),
    "name before folder": ({"/usr/lib/sysctl.d/b.conf": f"{MIN}=1\n", A: f"{MIN}=2\n"}, {MIN: "1"}, None),
    "sysctl.conf alone": ({CONF: f"{MIN}=1\n"}, {}, {MIN: "1"}),
    "sysctl.conf is last": ({CONF: f"{MIN}=1\n", Z: f"{MIN}=2\n"}, {MIN: "2"}, {MIN: "1"}),
    "sysctl.conf linked": ({CONF: f"{MIN}=1\n", LINK: Link("../sysctl.conf")}, {MIN: "1"}, None),
    "sysctl.conf linked, and a later file": (
        {CONF: f"{MIN}=1\n", LINK: Link("../sysctl.conf"), Z: f"{MIN}=2\n"},
        {MIN: "2"},
        {MIN: "1"},
    ),
    "sysctl.conf excludes": ({CONF: f"-{MIN}\n", A: "vm.*=1\n"}, ALL, BUT_MIN),
    "sysctl.conf has a glob": ({CONF: "vm.*=1\n", A: f"{MIN}=2\n"}, {MIN: "2"}, ALL | {MIN: "2"}),
}


def files_of(layout: Layout) -> list[SysctlFile]:
    """Read a layout as `procfs.snapshot` reads a machine."""
    files = []
    for path, content in layout.items():
        if isinstance(content, Link):
            target = CONF if content.target == "../sysctl.conf" else content.target
            followed = layout.get(target)
            files.append(SysctlFile(path, followed if isinstance(followed, str) else None, target))
        elif path == SYSCTL_CONF or path.rpartition("/")[0] in SYSCTL_FOLDERS:
            files.append(SysctlFile(path, content))
        else:
            files.append(SysctlFile(path.rpartition("/")[0], None))
    return [file for file in files if file.path.endswith(".conf")]


def computed(layout: Layout, name: str) -> dict[str, str]:
    program = Name.SYSTEMD if name == "systemd" else Name.PROCPS
    writes = [write.assignment for write in writes_of(files_of(layout), program, KEYS)]
    return {each.key: each.value for each in writes if each.key in KEYS}


@pytest.mark.parametrize(("layout", "systemd", "procps"), CASES.values(), ids=CASES)
def test_what_the_programs_were_seen_to_do(
    layout: Layout, systemd: dict[str, str], procps: dict[str, str] | None
) -> None:
    assert computed(layout, "systemd") == systemd
    assert computed(layout, "procps") == (systemd if procps is None else procps)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> list[Program]:
    found = list(find_programs(tmp_path_factory.mktemp("programs")))
    if not found:
        pytest.skip("no sysctl programs that can be run in a root of their own")
    return found


@pytest.mark.thorough
def test_the_programs_still_do_it(programs: list[Program]) -> None:
    for program in programs:
        for name, (layout, systemd, procps) in CASES.items():
            expected = procps if program.name == "procps" and procps is not None else systemd
            assert program.apply(layout) == expected, f"{program.name} {program.version}: {name}"


@pytest.mark.thorough
def test_random_layouts(programs: list[Program]) -> None:
    for number, layout in enumerate(random_layouts(random.Random(20261125), 40)):
        for program in programs:
            done = program.apply(layout)
            assert computed(layout, program.name) == done, f"{program.name} {program.version}: {number}: {layout}"


def random_layouts(chance: random.Random, count: int) -> Iterator[Layout]:
    """Make layouts in which files collide: few names, few keys, every kind of line."""
    for _ in range(count):
        layout: dict[str, str | Link] = {}
        for _ in range(chance.randint(1, 5)):
            path = f"{chance.choice(SYSCTL_FOLDERS[:4])}/{chance.choice(('10-a', '60-b', '99-sysctl', 'z', '.h'))}.conf"
            link = chance.choice((Link("/dev/null"), Link("../sysctl.conf"), Link("/nowhere")))
            layout[path] = link if chance.random() < 0.15 and path.startswith("/etc") else random_text(chance)
        if chance.random() < 0.5:
            layout[CONF] = random_text(chance)
        yield layout


def random_text(chance: random.Random) -> str:
    return "".join(random_line(chance) for _ in range(chance.randint(0, 5)))


SPELLINGS = (*KEYS[:3], "vm/min_free_kbytes", "/vm/swappiness", "vm.*", "vm.min*", "vm.[!m]*", "vm..swappiness")
LINES = ("{k}{e}{v}",) * 6 + ("-{k}{e}{v}", "-{k}", "-{k}", "- {k}", "# {k}={v}", " {k}{e}{v} ", "{v}", "--{k}={v}")


def random_line(chance: random.Random) -> str:
    value = chance.choice(("1", "2", "3", "", "2 # no", "1\t2"))
    equals = chance.choice(("=", " = ", "=\t", " "))
    line = chance.choice(LINES).format(k=chance.choice(SPELLINGS), v=value, e=equals)
    return line + chance.choice(("\n", "\n", "\n", "\r\n", "\n\n", "\r"))


def test_a_missing_program_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGEWARDEN_SYSCTL_ROOTS", str(tmp_path))
    assert all(program.root.is_dir() for program in find_programs(tmp_path / "roots"))
