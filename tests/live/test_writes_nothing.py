"""Nothing but apply, revert and the watching of a probation writes outside of what a command was told to write.

Every reading command runs under strace; each call that opens for writing, makes, renames, links, removes or changes a
file is looked at, of all its threads and children.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import PROJECT

from pagewarden.cli.main import COMMANDS

WRITERS = {"apply", "revert"}
# What each reading command is called with. A command that is in neither set fails the test: look at it.
READING: dict[str, list[list[str]]] = {
    "status": [[], ["--format", "json"]],
    "advise": [[], ["--format", "json"]],
    "simulate": [["vm.min_free_kbytes=131072"]],
    "explain": [["FILE"]],
    "gfp": [["0xcc0"]],
    "history": [[]],
    "config": [[], ["--check"]],
    "schema": [["advice"]],
    "rollback-status": [[]],
    "probation": [[], ["--format", "json"]],
    "capture": [["FOLDER/capture.tar.gz"]],
    "report": [["--html", "FOLDER/report.html"]],
    "metrics": [[]],
    "daemon": [["--once"], ["--once", "--state", "FOLDER", "--run", "FOLDER"]],
    "install-service": [["--dry-run"], ["--uninstall", "--dry-run"]],
}
# What the service opens for writing and no other command may: how it is judged itself when memory runs out, and a
# trigger for its own poll, which goes with the descriptor.
OF_THE_SERVICE = re.compile(r'"/proc/self/oom_score_adj"|"/proc/pressure/memory"')
DRY = [["apply", "--dry-run"], ["apply", "--dry-run", "vm.min_free_kbytes=131072"]]

CALLS = (
    "open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,"
    "mkdirat,truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,mknod,mknodat,setxattr,lsetxattr,"
    "fsetxattr,removexattr,lremovexattr,fremovexattr,utime,utimes,utimensat,futimesat,mount,umount2,sethostname"
)
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_WRITING = re.compile(r"O_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")
_HARMLESS = re.compile(r'"/dev/(?:null|tty|pts/\d+)"')


def cases() -> Iterator[list[str]]:
    for command in COMMANDS:
        yield from ([command, *arguments] for arguments in READING.get(command, [] if command in WRITERS else [["?"]]))
    yield from DRY


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("no strace")
    probe = subprocess.run([found, "-o", os.devnull, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no strace here: tracing is not allowed")
    return found


@pytest.mark.thorough
@pytest.mark.live
@pytest.mark.parametrize("words", list(cases()), ids=" ".join)
def test_reading_commands_write_nothing(strace: str, words: list[str], tmp_path: Path) -> None:
    assert words[1:] != ["?"], f"'{words[0]}' is a new command: does it only read? Say so in READING or WRITERS"
    log = tmp_path / "kernel.log"
    log.write_text("kworker: page allocation failure: order:0, mode:0x20\n")
    given = [word.replace("FILE", str(log)).replace("FOLDER", str(tmp_path)) for word in words]
    trace = tmp_path / "trace"
    command = [strace, "-f", "-qq", "-s", "300", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*command, sys.executable, "-m", "pagewarden", *given],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=PROJECT,
        timeout=120,
    )
    assert done.returncode in (0, 1, 2, 3), done.stderr
    assert "Traceback" not in done.stderr
    calls = trace.read_text(errors="replace").splitlines()
    assert any("proc/" in line or ".py" in line for line in calls), "the trace saw nothing"
    changes = [line for line in calls if changes_something(line, str(tmp_path))]
    assert [line for line in changes if words[0] != "daemon" or not OF_THE_SERVICE.search(line)] == []


def changes_something(line: str, allowed: str) -> bool:
    """Whether a traced call changed, or may have changed, a file elsewhere than below `allowed`."""
    match = _LINE.match(line)
    if match is None:
        # Another thread's call came in between; the name is printed all the same.
        return "unfinished" in line and _WRITING.search(line) is not None and f'"{allowed}/' not in line
    name, arguments, result = match[1], match[2], int(match[3])
    if name.startswith(("open", "creat")):
        if _WRITING.search(arguments) is None or _HARMLESS.search(arguments):
            return False
    elif result < 0:
        return False
    if name in ("ftruncate", "fchmod", "fchown", "fsetxattr", "fremovexattr"):
        return False  # of a file that it had to open for writing first
    return f'"{allowed}/' not in arguments


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3', False),
        ('12 openat(AT_FDCWD, "/etc/x", O_WRONLY|O_CREAT, 0644) = 3', True),
        ('openat(AT_FDCWD, "/etc/x", O_RDWR) = -1 EACCES (Permission denied)', True),  # it tried
        ('openat(AT_FDCWD, "/proc/sys/vm/min_free_kbytes", O_WRONLY|O_CLOEXEC) = 3', True),
        ('openat(AT_FDCWD, "/dev/null", O_RDWR) = 3', False),
        ('openat(AT_FDCWD, "/tmp/x/a", O_WRONLY|O_CREAT, 0600) = 3', False),
        ('openat(AT_FDCWD, "/tmp/xx/a", O_WRONLY|O_CREAT, 0600) = 3', True),
        ('rename("/etc/a", "/etc/b") = 0', True),
        ('unlink("/etc/a") = -1 ENOENT (No such file or directory)', False),
        ('unlinkat(AT_FDCWD, "/run/pagewarden/plan.json", 0) = 0', True),
        ('rename("/tmp/x/a", "/tmp/x/b") = 0', False),
        ('mkdir("/var/lib/pagewarden", 0755) = 0', True),
        ('7 openat(AT_FDCWD, "/etc/x", O_WRONLY|O_CREAT, 0644 <unfinished ...>', True),
        ('7 openat(AT_FDCWD, "/tmp/x/a", O_WRONLY|O_CREAT, 0644 <unfinished ...>', False),
        ('7 openat(AT_FDCWD, "/tmp/xx/a", O_WRONLY|O_CREAT, 0644 <unfinished ...>', True),
    ],
)
def test_the_test_sees_writes(line: str, expected: bool) -> None:
    assert changes_something(line, "/tmp/x") is expected


@pytest.mark.live
def test_a_writing_command_would_be_seen(strace: str, tmp_path: Path) -> None:
    trace, elsewhere = tmp_path / "trace", tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = f"open({str(elsewhere / 'x')!r}, 'w').write('x')"
    command = [strace, "-f", "-qq", "-e", f"trace={CALLS}", "-o", str(trace), sys.executable, "-c", code]
    subprocess.run(command, check=True, capture_output=True)
    assert [line for line in trace.read_text().splitlines() if changes_something(line, "/nowhere")]
