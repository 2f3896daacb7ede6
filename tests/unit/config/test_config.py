"""The configuration: every wrong file is one line with its place, and what is right is merged by precedence."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import DATA, PROJECT, MakeRoot
from tests.nobody import as_nobody

from pagewarden.advise.policy import LEAST_MARGIN, MOST_MARGIN, AdvicePolicy, Workload
from pagewarden.advise.types import Level
from pagewarden.apply.policy import Policy
from pagewarden.cli.common import advice_policy
from pagewarden.cli.main import main
from pagewarden.config.check import check_file
from pagewarden.config.documents import reference_page, shipped_file
from pagewarden.config.files import ConfigFile
from pagewarden.config.load import read_config
from pagewarden.config.settings import ACTIONS, CAUSES, DECLINABLE, Config, ConfigError, Merged, all_settings, config_of
from pagewarden.config.statements import line_numbers
from pagewarden.diagnose.types import Cause, FindingCause
from pagewarden.procfs.roots import open_root

ETC = "etc/pagewarden/pagewarden.toml"
DROP_INS = "etc/pagewarden/pagewarden.toml.d"
VENDOR = "usr/lib/pagewarden"


def read(root: Path) -> Merged:
    return read_config(open_root(str(root)))


WRONG = [
    ("service.poll_min_seconds = 'fast'", ":1: service.poll_min_seconds: expected a whole number from 1 to 60"),
    ("\n[service]\npoll_min_seconds = 0", ":3: service.poll_min_seconds: expected a whole number from"),
    ("[service]\npoll_min_seconds = 61", "from 1 to 60 (seconds), found 61"),
    ("[service]\npoll_min_seconds = 2.0", ":2: service.poll_min_seconds: expected a whole number"),
    ("[service]\npoll_min_seconds = true", "found true"),
    ("[service]\npoll_min_seconds = 99999999999999999999999", ":2: service.poll_min_seconds: expected"),
    ("[service]\npoll_min_seconds = 2026-11-25", "found 2026-11-25"),
    ("[service]\ndaily_summary = 'yes'", "expected true or false"),
    ("[service]\ndaily_summary = 1", "expected true or false, found 1"),
    ("[service]\npol_min_seconds = 3", ":2: unknown key 'service.pol_min_seconds'; the nearest is poll_min_seco"),
    ("poll_min_seconds = 3", ":1: unknown key 'poll_min_seconds'; the nearest is poll_min_seconds in [service]"),
    ("[service]\nworkload = 'database'", "the nearest is workload in [advise]"),
    ("[servcie]\npoll_min_seconds = 3", ":1: unknown section 'servcie'; the nearest is [service]"),
    ("[service]\nxyzzy = 3", "unknown key 'service.xyzzy'; [service] has poll_min_seconds, poll_max_seconds, "),
    ("[service.deep]\nx = 3", ":1: unknown key 'service.deep'"),
    ("[[service]]\npoll_min_seconds = 3", ":1: service: expected a table, [service], found a list"),
    ("service = 5", ":1: service: expected a table, [service], found 5"),
    ("[advise]\nburst_margin = nan", "expected a number from 1.5 to 4.0, found nan"),
    ("[advise]\nburst_margin = inf", "found inf"),
    ("[advise]\nworkload = 'databse'", 'expected one of "general", "database"'),
    ("[advise]\ndeclined = 'vm.zone_reclaim_mode'", "expected a list of names"),
    ("[advise]\ndeclined = [\n 'vm.zone_reclaim_mode',\n 5]", ":2: advise.declined: expected a list of names"),
    ("[advise]\ndeclined = ['vm.x/y/1/2']", "expected a list of names"),
    ("[advise]\ndeclined = ['a b']", "expected a list of names"),
    ("[advise]\ndeclined = ['foo']", ':2: advise.declined: expected a list of names such as'),
    ("[advise]\ndeclined = ['vm.min_free_kbyte/typo']", 'kbyte/typo"; did you mean vm.min_free_kbytes?'),
    ("[advise]\ndeclined = ['min_free_kbytes']", "; did you mean vm.min_free_kbytes?"),
    ("[advise]\ndeclined = ['vm.min_free_kbytes/to-high/5']", "; did you mean vm.min_free_kbytes/too-high?"),
    ("[advise]\ndeclined = ['vm.min_free_kbytes/too-high/']", "; did you mean vm.min_free_kbytes/too-high?"),
    ("[advise]\ndeclined = ['vmxmin_free_kbytes']", "; did you mean vm.min_free_kbytes?"),
    ("[advise]\ndeclined = ['action:mtux']", "; did you mean action:mtu?"),
    ("[advise]\ndeclined = ['action:mtu/fragmented/1']", "; did you mean action:mtu/fragmented?"),
    ("[advise]\ndeclined = ['vm.swappiness']", 'found "vm.swappiness"'),
    ("[advise]\ndeclined = ['']", 'found ""'),
    ("[apply]\nkeys = ['vm.swappiness']", ":2: apply.keys: expected a list of"),
    ("[apply]\nkeys = {}", "found a table"),
    ("[apply]\nwindows = ['25:00-26:00']", "expected a list of times"),
    ("[apply]\nwindows = ['Sat 02:00']", "expected a list of times"),
    ("[apply]\nmax_pressure_percent = -0.1", "expected a number from 0.0 to 20.0 (percent)"),
    ("[metrics]\ntextfile = 'x.prom'", "expected an absolute path that ends in .prom, or ''"),
    ("[metrics]\ntextfile = '/var/x.txt'", "expected an absolute path"),
    ("[metrics]\ntextfile = \"/var/\\u0000.prom\"", "expected an absolute path"),
    ("[service]\npoll_min_seconds = 3\npoll_min_seconds = 4", ":3: not TOML: cannot overwrite a value"),
    ("[service]\n[service]", ":2: not TOML: cannot declare"),
    ("[service", ":1: "),
    ("[service]\npoll_min_seconds =", ":2: not TOML: invalid value"),
    ("x = '''\nnever closed", ":2: not TOML: expected"),
    ("\x00", "pagewarden.toml:1: not TOML: invalid statement"),
    ("a=" + "[" * 5000, "nested too deeply"),
    (b"[service]\n# caf\xe9\n", ":2: expected text in UTF-8"),
    (b"\xff\xfe[\x00s\x00", "expected text in UTF-8"),
    (b"#" * (257 << 10), "larger than 256 KiB"),
    ("[service]\npoll_min_seconds = 50\npoll_max_seconds = 10", ":2: service.poll_min_seconds (50) must not be more"),
    ('[service]\n"poll\\u001b[2J" = 3', "unknown key 'service.poll\\x1b[2J'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_one_line_with_its_place(
    text: str | bytes, expected: str, make_root: MakeRoot, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_root({ETC: text})
    assert main(["config", "--root", str(root)]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"pagewarden config: {root}/{ETC}:")
    assert expected in err
    assert err.isprintable() or err.rstrip("\n").isprintable()


def test_no_file_at_all_is_the_defaults(make_root: MakeRoot) -> None:
    merged = read(make_root({}))
    assert merged.config == Config()
    assert merged.files == ()
    assert all(entry.place == "default" for entry in merged.entries)


def test_precedence(make_root: MakeRoot) -> None:
    root = make_root(
        {
            ETC: "[service]\npoll_min_seconds = 3\npoll_max_seconds = 100\n",
            f"{VENDOR}/pagewarden.toml": "[service]\ndaily_summary = false\n",
            f"{VENDOR}/pagewarden.toml.d/10-site.toml": "[service]\npoll_min_seconds = 4\n[history]\nmax_mb = 8\n",
            f"{VENDOR}/pagewarden.toml.d/20-hidden.toml": "[history]\nmax_mb = 9\nnonsense = 1\n",
            f"{VENDOR}/pagewarden.toml.d/30-masked.toml": "nonsense",
            f"{DROP_INS}/20-hidden.toml": "",
            f"{DROP_INS}/15-more.toml": "service.poll_min_seconds = 5\nadvise.declined = ['vm.zone_reclaim_mode']\n",
            f"{DROP_INS}/99-last.toml": "[advise]\ndeclined = []\n",
            f"{DROP_INS}/50-left.toml.dpkg-dist": "nonsense",
            f"{DROP_INS}/.50-left.toml": "nonsense",
        }
    )
    (root / DROP_INS / "30-masked.toml").symlink_to("/dev/null")
    merged = read(root)
    assert merged.config.service.poll_min_seconds == 5
    assert merged.entry("service.poll_min_seconds").place == f"{root}/{DROP_INS}/15-more.toml:1"
    assert merged.entry("service.poll_max_seconds").place == f"{root}/{ETC}:3"
    assert merged.config.service.daily_summary is True, "the vendor's main file is hidden by the one in /etc"
    assert merged.config.history.max_mb == 8
    assert merged.entry("advise.declined").place.endswith("99-last.toml:2")
    names = [Path(path).name for path in merged.files]
    assert names == ["pagewarden.toml", "10-site.toml", "15-more.toml", "20-hidden.toml", "99-last.toml"]


def test_the_vendor_file_counts_where_there_is_no_other(make_root: MakeRoot) -> None:
    assert read(make_root({f"{VENDOR}/pagewarden.toml": "history.max_mb = 7"})).config.history.max_mb == 7


def test_what_the_service_could_write_decides_nothing(make_root: MakeRoot) -> None:
    root = make_root({"run/pagewarden/pagewarden.toml": "apply.max_risk = 'high'"})
    assert read(root).config.apply.max_risk == "low"


def test_bounds_across_files_name_both_places(make_root: MakeRoot) -> None:
    root = make_root({ETC: "service.poll_max_seconds = 10", f"{DROP_INS}/a.toml": "\nservice.poll_min_seconds = 20"})
    with pytest.raises(ConfigError, match=r"a\.toml:2: .*\(20\) must not .*\(10, .*pagewarden\.toml:1\)"):
        read(root)


@pytest.mark.parametrize("path", [ETC, f"{DROP_INS}/a.toml"])
def test_a_folder_where_a_file_should_be(path: str, make_root: MakeRoot) -> None:
    root = make_root({f"{path}/x": ""})
    with pytest.raises(ConfigError, match=re.escape(path)):
        read(root)


def test_a_file_where_a_folder_should_be(make_root: MakeRoot) -> None:
    with pytest.raises(ConfigError, match=r"pagewarden\.toml\.d: expected a folder"):
        read(make_root({DROP_INS: ""}))


def test_a_link_out_of_the_root_is_followed_inside(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "outside.toml").write_text("history.max_mb = 7")
    root = make_root({"etc/pagewarden/x": ""})
    (root / ETC).symlink_to(tmp_path / "outside.toml")
    assert read(root).config.history.max_mb == 32


def test_links_in_circles(make_root: MakeRoot) -> None:
    root = make_root({"etc/pagewarden/x": ""})
    (root / ETC).symlink_to("pagewarden.toml")
    with pytest.raises(ConfigError, match="etc/pagewarden"):
        read(root)


def test_a_pipe_is_not_waited_for(make_root: MakeRoot) -> None:
    root = make_root({"etc/pagewarden/x": ""})
    os.mkfifo(root / ETC)
    with pytest.raises(ConfigError, match="not a regular file"):
        read(root)


@pytest.mark.parametrize("closed", [ETC, DROP_INS])
def test_what_may_not_be_read_is_not_taken_for_absent(closed: str, make_root: MakeRoot) -> None:
    root = make_root({ETC: "", f"{DROP_INS}/a.toml": ""})
    (root / closed).chmod(0)
    with as_nobody(root), pytest.raises(ConfigError, match=rf"{re.escape(closed)}: permission denied$"):
        read(root)


def test_the_text_is_toml_with_the_same_values(make_root: MakeRoot, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_root({ETC: "[apply]\nwindows = ['Sat-Sun 01:00-06:30']\n[metrics]\ntextfile = '/ä \" \\.prom'\n"})
    assert main(["config", "--root", str(root)]) == 0
    values = tomllib.loads(capsys.readouterr().out)
    assert read(make_root({ETC: ""})).config == Config()
    assert values["apply"]["windows"] == ["Sat-Sun 01:00-06:30"]
    assert values["metrics"]["textfile"] == '/ä " \\.prom'
    assert {f"{section}.{name}" for section in values for name in values[section]} == {s.key for s in all_settings()}


def test_the_values_need_no_checker() -> None:
    code = "import sys, pagewarden.config.settings; print(sys.modules.keys() & {'pydantic', 'tomllib', 'json', 're'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'re'}\n", "re comes with dataclasses"
    values = [("advise", "declined", ["a"]), ("advise", "burst_margin", 3.0)]
    config = config_of({(section, name): value for section, name, value in values})
    assert config.advise == replace(Config().advise, declined=("a",), burst_margin=3.0)


def test_what_can_be_declined_is_what_the_adviser_knows() -> None:
    assert set(CAUSES) == {*Cause, *FindingCause}
    pages = {path.stem for path in (PROJECT / "docs/settings").glob("*.md")} - {"README"}
    assert {key.removeprefix("vm.") for key in DECLINABLE} == pages, "each recommendation refers to its page"
    contract = next(line for line in (PROJECT / "docs/json.md").read_text().splitlines() if "(`action:rewrite`" in line)
    assert set(ACTIONS) == set(re.findall("action:[a-z-]+", contract))


@pytest.mark.parametrize(
    "name",
    [
        "vm.zone_reclaim_mode",
        "vm.min_free_kbytes/too-high/131072",
        "vm.lowmem_reserve_ratio/stranded/256,256,32,0,0",
        "transparent_hugepage/huge-page-reserve-large/never",
        "action:reduce-load",
        "action:rewrite/stale-watermarks",
    ],
)
def test_names_that_can_be_declined(make_root: MakeRoot, name: str) -> None:
    assert read(make_root({ETC: f"advise.declined = ['{name}']"})).config.advise.declined == (name,)


def test_advise_follows_the_configuration(make_root: MakeRoot, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_root({})
    shutil.copytree(DATA / "machines" / "db1-16g", root, dirs_exist_ok=True)

    def advised(*more: str) -> dict[str, Any]:
        assert main(["advise", "--root", str(root), "--format", "json", *more]) == 0
        return dict(json.loads(capsys.readouterr().out))

    assert [entry["key"] for entry in advised()["recommendations"]] == ["vm.min_free_kbytes"]
    make_root({ETC: "advise.declined = ['vm.min_free_kbytes/below-kernel-default/16208']"})
    assert advised()["recommendations"] == []
    make_root({ETC: "advise.workload = 'nonsense'"})
    assert main(["advise", "--root", str(root)]) == 78
    assert "pagewarden.toml:1: advise.workload: expected one of" in capsys.readouterr().err
    make_root({ETC: "advise.workload = 'database'"})
    assert advice_policy(str(root)).workload == "database"
    assert advice_policy(str(root), "latency").workload == "latency"


def test_json(make_root: MakeRoot, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_root({ETC: "history.max_mb = 7"})
    assert main(["config", "--root", str(root), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "pagewarden.config/1"
    entry = next(entry for entry in document["settings"] if entry["name"] == "max_mb")
    assert (entry["value"], entry["default"], entry["line"]) == (7, 32, 1)


def test_shipped_file_and_page_are_those_of_the_table(request: pytest.FixtureRequest) -> None:
    for name, text in (("etc/pagewarden.toml", shipped_file()), ("docs/configuration.md", reference_page())):
        path = PROJECT / name
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert path.read_text() == text


def test_the_shipped_file_uncommented_is_the_defaults(make_root: MakeRoot) -> None:
    text = shipped_file()
    assert read(make_root({ETC: text})).config == Config()
    merged = read(make_root({ETC: re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)}))
    assert merged.config == Config()
    assert all(entry.file is not None for entry in merged.entries)


def test_words_are_those_of_advise() -> None:
    rules = {setting.key: setting.rule for setting in all_settings()}
    assert rules["advise.workload"].choices == tuple(Workload)
    assert rules["apply.max_risk"].choices == rules["apply.min_confidence"].choices == tuple(Level)
    margin = rules["advise.burst_margin"]
    assert (margin.low, margin.high) == (LEAST_MARGIN, MOST_MARGIN)
    assert asdict(AdvicePolicy()) == asdict(Config().advise)
    assert asdict(Policy()) == asdict(Config().apply)
    assert [entry.name for entry in fields(Config)] == ["service", "advise", "apply", "history", "metrics"]


KEYS = st.sampled_from(
    ["poll_min_seconds = 3", "text = '''a\n[not]\nb = 5\n'''", "list = [ # x\n 1,\n\n 2 ]", "# b = 1", ""]
)


@given(st.lists(st.tuples(st.sampled_from(["[a]", "[b.c]", "# [d]", ""]), st.lists(KEYS, max_size=4, unique=True))))
def test_lines_of_keys_are_where_they_stand(sections: list[tuple[str, list[str]]]) -> None:
    text = "\n".join("\n".join([header, *keys]) for header, keys in sections)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a table twice
    numbers = line_numbers(text)
    lines = text.split("\n")

    def check(table: dict[str, object], above: tuple[str, ...]) -> None:
        for name, value in table.items():
            line = lines[numbers[(*above, name)] - 1]
            if isinstance(value, dict):
                assert re.match(rf"\[(.*\.)?{name}[].]", line) or line.startswith(f"[{name}")
                check(value, (*above, name))
            else:
                assert line.startswith(f"{name} = ")

    check(values, ())


WORDS = sorted({word for text, _ in WRONG if isinstance(text, str) and len(text) < 200 for word in text.split("\n")})


@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS)).map("\n".join))
def test_nothing_but_our_error_comes_out(text: str) -> None:
    message = "x.toml: nothing"
    try:
        list(check_file(ConfigFile("x.toml", text)))
    except ConfigError as error:
        message = str(error)
    assert message.startswith("x.toml:")
    assert "\n" not in message
