import configparser

import pytest
from tests.conftest import MakeRoot

from pagewarden.apply.owners import owners
from pagewarden.procfs.reader import FolderRoot
from pagewarden.procfs.tuners import TunerFacts, parse_tuned_profile, read_tuners

MIN, SCALE = "vm.min_free_kbytes", "vm.watermark_scale_factor"
SLICE = "sys/fs/cgroup/system.slice"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({f"{SLICE}/adaptivemmd.service/cgroup.procs": "812\n"}, [(SCALE, "adaptivemmd")]),
        ({f"{SLICE}/adaptivemmd.service/cgroup.procs": ""}, []),
        ({"sys/fs/cgroup/systemd/system.slice/adaptivemmd.service/cgroup.procs": "8\n"}, [(SCALE, "adaptivemmd")]),
        ({"proc/812/comm": "adaptivemmd\n", "proc/self/comm": "x\n"}, [(SCALE, "adaptivemmd")]),
        ({"proc/812/comm": "bpftune\n"}, []),
        (
            {
                "proc/9/comm": "tuned\n",
                "etc/tuned/active_profile": "db\n",
                "etc/tuned/db/tuned.conf": "[main]\ninclude=base\n[sysctl]\nvm.swappiness=1\n",
                "usr/lib/tuned/profiles/base/tuned.conf": "[my]\ntype=sysctl\nvm/min_free_kbytes = >65536\n",
            },
            [(MIN, "tuned")],
        ),
        (
            {"etc/tuned/active_profile": "db\n", "etc/tuned/db/tuned.conf": "[sysctl]\nvm.min_free_kbytes=1\n"},
            [],  # the profile is there, the program does not run
        ),
        ({"proc/9/comm": "tuned\n", "etc/tuned/active_profile": "../../evil\n"}, []),
        ({"proc/9/comm": "tuned\n", "etc/tuned/active_profile": "a\n", "etc/tuned/a/tuned.conf": "no section"}, []),
    ],
)
def test_owners_from_files(make_root: MakeRoot, files: dict[str, str], expected: list[tuple[str, str]]) -> None:
    facts = read_tuners(FolderRoot(str(make_root(files))))
    assert [(owner.key, owner.name) for owner in owners(facts, [MIN, SCALE])] == expected


def test_the_profile_that_includes_wins_and_circles_end(make_root: MakeRoot) -> None:
    root = make_root(
        {
            "etc/tuned/active_profile": "a\n",
            "etc/tuned/a/tuned.conf": "[main]\ninclude=b\n[sysctl]\nvm.min_free_kbytes=1\n",
            "etc/tuned/b/tuned.conf": "[main]\ninclude=a\n[sysctl]\nvm.min_free_kbytes=2\nvm.swappiness=3\n",
        }
    )
    facts = read_tuners(FolderRoot(str(root)))
    assert facts.tuned_profiles == ("a", "b")
    assert facts.tuned_settings == {
        "vm.min_free_kbytes": ("1", "/etc/tuned/a/tuned.conf"),
        "vm.swappiness": ("3", "/etc/tuned/b/tuned.conf"),
    }


def test_the_later_of_two_active_profiles_wins(make_root: MakeRoot) -> None:
    root = make_root(
        {
            "etc/tuned/active_profile": "a b\n",
            "etc/tuned/a/tuned.conf": "[sysctl]\nvm.min_free_kbytes=1\n",
            "etc/tuned/b/tuned.conf": "[sysctl]\nvm.min_free_kbytes=2\n",
        }
    )
    settings = read_tuners(FolderRoot(str(root))).tuned_settings
    assert settings == {"vm.min_free_kbytes": ("2", "/etc/tuned/b/tuned.conf")}


def test_what_cannot_be_read_is_named(make_root: MakeRoot) -> None:
    root = make_root({"etc/tuned/active_profile": "gone broken\n", "etc/tuned/broken/tuned.conf": "x"})
    unread = read_tuners(FolderRoot(str(root))).unread
    assert unread["tuned profile gone"] == "no such profile"
    assert "no section headers" in unread["/etc/tuned/broken/tuned.conf"]


def test_the_evidence_says_how_it_is_known() -> None:
    facts = TunerFacts(
        services=frozenset({"tuned.service"}), tuned_settings={MIN: ("135168", "/usr/lib/tuned/hpc/tuned.conf")}
    )
    assert owners(facts, [MIN])[0].evidence == "tuned.service runs; /usr/lib/tuned/hpc/tuned.conf sets 135168"


@pytest.mark.parametrize(
    "text", ["", "[main]\n", "; only a comment\n", "[sysctl]\n", "[vm]\ntransparent_hugepages=never\n"]
)
def test_profiles_without_sysctls(text: str) -> None:
    assert parse_tuned_profile(text) == ({}, [])


def test_a_file_that_is_no_profile_is_refused() -> None:
    with pytest.raises(configparser.Error):
        parse_tuned_profile("vm.swappiness=1\n")
