"""The network interfaces that are up: what could come in, at most."""

from pagewarden.procfs.types import Link


def read_links() -> tuple[Link, ...] | None:
    """Read this machine's interfaces but the loopback; None where the kernel does not let us ask."""
    import psutil  # costs every command that does not need it

    try:
        stats = psutil.net_if_stats()
    except OSError:
        return None
    return tuple(
        Link(name, entry.speed or None, entry.mtu)
        for name, entry in sorted(stats.items())
        if entry.isup and "loopback" not in str(entry.flags).split(",")
    )
