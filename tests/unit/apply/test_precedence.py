import pytest

from pagewarden.apply.precedence import foreign_lines, precedence, unread_files, with_snippet
from pagewarden.procfs.types import SysctlAssignment, SysctlFile

MIN, SWAP = "vm.min_free_kbytes", "vm.swappiness"
OWN = "/etc/sysctl.d/60-pagewarden.conf"
CONF, LINK = "/etc/sysctl.conf", "/etc/sysctl.d/99-sysctl.conf"


def files(**texts: str) -> list[SysctlFile]:
    """Make files of /etc/sysctl.d (a -> a.conf)."""
    return [SysctlFile(f"/etc/sysctl.d/{name.replace('_', '-')}.conf", text) for name, text in texts.items()]


def place(line: SysctlAssignment | None) -> str | None:
    return f"{line.source.rpartition('/')[2]}:{line.line_number}" if line is not None else None


@pytest.mark.parametrize(
    ("given", "systemd", "procps", "lines"),
    [
        ([], None, None, []),
        (files(a=f"{MIN}=1\n"), "a.conf:1", "a.conf:1", ["a.conf:1"]),
        (files(a=f"{MIN}=1\n", b=f"\n{MIN}=2\n"), "b.conf:2", "b.conf:2", ["a.conf:1", "b.conf:2"]),
        (files(a="vm.*=1\n"), "a.conf:1", "a.conf:1", ["a.conf:1"]),
        (files(a=f"{MIN}=1\n", b=f"-{MIN}\n"), None, "a.conf:1", ["a.conf:1"]),
        (
            [*files(a=f"{MIN}=1\n"), SysctlFile(CONF, f"{MIN}=2\n")],
            "a.conf:1",
            "sysctl.conf:1",
            ["a.conf:1", "sysctl.conf:1"],
        ),
        (
            [SysctlFile(CONF, f"{MIN}=2\n"), SysctlFile(LINK, f"{MIN}=2\n", CONF)],
            "99-sysctl.conf:1",
            "sysctl.conf:1",
            ["99-sysctl.conf:1"],
        ),
        (
            [SysctlFile("/etc/sysctl.d/a.conf", None, "/dev/null"), SysctlFile("/usr/lib/sysctl.d/a.conf", f"{MIN}=1")],
            None,
            None,
            [],
        ),
    ],
)
def test_who_wins(given: list[SysctlFile], systemd: str | None, procps: str | None, lines: list[str]) -> None:
    found = precedence(given, [MIN])[MIN]
    said = [
        f"{each.source.rpartition('/')[2]}:{each.line_number}" if each else None
        for each in (found.systemd, found.procps)
    ]
    assert said == [systemd, procps]
    assert [f"{each.source.rpartition('/')[2]}:{each.line_number}" for each in found.others] == lines


def test_a_difference_in_who_wins_is_no_warning_where_the_value_is_the_same() -> None:
    given = [SysctlFile(CONF, f"{MIN}=2\n"), SysctlFile(LINK, f"{MIN}=2\n", CONF)]
    assert precedence(given, [MIN])[MIN].warning is None


def test_the_warning_names_both_files() -> None:
    given = [*files(z=f"{MIN}=1\n"), SysctlFile(CONF, f"{MIN}=2\n")]
    assert precedence(given, [MIN])[MIN].warning == (
        "vm.min_free_kbytes: systemd-sysctl (at boot) and 'sysctl --system' do not agree: "
        "systemd-sysctl sets 1 (/etc/sysctl.d/z.conf:1); sysctl --system sets 2 (/etc/sysctl.conf:1)"
    )


@pytest.mark.parametrize(
    ("later", "wins"), [("59-x", True), ("60-pagewarden-x", True), ("60-q", False), ("99-x", False)]
)
def test_our_snippet_among_theirs(later: str, wins: bool) -> None:
    theirs = [SysctlFile(f"/usr/lib/sysctl.d/{later}.conf", f"{MIN}=1\n{SWAP}=3\n")]
    found = precedence(with_snippet(theirs, OWN, f"{MIN}=9\n"), [MIN, SWAP])
    winner = found[MIN].systemd
    assert winner is not None
    assert (winner.value == "9") is wins
    assert [line.value for line in foreign_lines(found[MIN], OWN)] == ["1"]
    assert with_snippet(with_snippet(theirs, OWN, "x=1\n"), OWN, None) == tuple(theirs)


def test_a_value_that_the_kernel_refuses_leaves_the_one_before_under_procps_and_none_under_systemd() -> None:
    given = files(a=f"{MIN}=1\n", b=f"{MIN}=lots\n")
    found = precedence(given, [MIN], accepts=lambda key, value: value.isdigit())[MIN]
    assert found.systemd is None
    assert found.procps is not None
    assert found.procps.value == "1"


def test_globs_reach_only_known_keys() -> None:
    found = precedence(files(a="vm.*=1\n-vm.swappiness\n"), [MIN, SWAP])
    assert found[MIN].systemd is not None
    assert found[SWAP].systemd is None


def test_files_that_could_not_be_read_are_named() -> None:
    given = [SysctlFile("/etc/sysctl.d/a.conf", None), SysctlFile("/etc/sysctl.d/b.conf", None, "/dev/null")]
    assert unread_files(given) == ("/etc/sysctl.d/a.conf",)
