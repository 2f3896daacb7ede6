import pytest

from pagewarden.kernel.version import KernelVersion, parse_version

DEBIAN_10 = (
    "Linux version 5.10.0-32-amd64 (debian-kernel@lists.debian.org) (gcc-10 (Debian 10.2.1-6) 10.2.1 20210110, "
    "GNU ld (GNU Binutils for Debian) 2.35.2) #1 SMP Debian 5.10.223-1 (2024-08-10)"
)


@pytest.mark.parametrize(
    ("text", "release", "numbers", "vendor"),
    [
        pytest.param("6.1.0-50-amd64", "6.1.0-50-amd64", (6, 1, 0), None, id="release"),
        pytest.param("6.18\n", "6.18", (6, 18, 0), None, id="two numbers"),
        pytest.param("7.2.13+deb14-cloud-amd64", "7.2.13+deb14-cloud-amd64", (7, 2, 13), None, id="plus"),
        pytest.param("2.6.32.67", "2.6.32.67", (2, 6, 32), None, id="stable suffix of 2.6 not kept"),
        pytest.param("5.4.0-rc5", "5.4.0-rc5", (5, 4, 0), None, id="release candidate"),
        pytest.param(DEBIAN_10, "5.10.0-32-amd64", (5, 10, 223), None, id="Debian says the stable patch at the end"),
        pytest.param(
            "Linux version 5.4.0-1 (a@b) (gcc (Debian 8.3.0-6) 8.3.0) #1 SMP",
            "5.4.0-1",
            (5, 4, 0),
            None,
            id="not gcc's",
        ),
        pytest.param("2.6.18-194.el5", "2.6.18-194.el5", (2, 6, 18), "el5", id="el5"),
        pytest.param("2.6.32-642.6.2.el6.x86_64", "2.6.32-642.6.2.el6.x86_64", (2, 6, 32), "el6", id="el6"),
        pytest.param("3.10.0-1160.el7.x86_64", "3.10.0-1160.el7.x86_64", (3, 10, 0), "el7", id="el7"),
        pytest.param("4.18.0-147.el8.x86_64", "4.18.0-147.el8.x86_64", (4, 18, 0), "el8", id="el8"),
        pytest.param("4.18.0-147.el8_1.3", "4.18.0-147.el8_1.3", (4, 18, 0), "el8", id="el8 minor"),
        pytest.param("6.12.0-55.el10.x86_64", "6.12.0-55.el10.x86_64", (6, 12, 0), "el10", id="el10"),
        pytest.param("5.4.17-2011.el7uek.x86_64", "5.4.17-2011.el7uek.x86_64", (5, 4, 17), None, id="another kernel"),
        pytest.param("4.4.1-1.el7.elrepo.x86_64", "4.4.1-1.el7.elrepo.x86_64", (4, 4, 1), None, id="mainline for el7"),
        pytest.param("4.14.0-115.el7a.aarch64", "4.14.0-115.el7a.aarch64", (4, 14, 0), None, id="el7 with a 4.14"),
    ],
)
def test_parse(text: str, release: str, numbers: tuple[int, int, int], vendor: str | None) -> None:
    assert parse_version(text) == KernelVersion(release, numbers, vendor)


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "unknown", "Linux version", "Linux version \n", "v6.1", "6", "6.", ".1", "99999.1", "-6.1", "٦.١"],
)
def test_no_release(text: str) -> None:
    assert parse_version(text) is None


def test_compare() -> None:
    version = KernelVersion("5.10.223", (5, 10, 223))
    assert version.at_least(5, 10)
    assert version.at_least(5, 9, 300)
    assert version.at_least(5, 10, 223)
    assert not version.at_least(5, 10, 224)
    assert not version.at_least(5, 11)
    assert not version.at_least(6, 0)
    assert version.stable_at_least(5, 10, 223)
    assert not version.stable_at_least(5, 9, 1)
    assert not version.stable_at_least(5, 10, 224)
    assert str(version) == "5.10.223"
