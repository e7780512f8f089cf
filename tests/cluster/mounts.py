"""Mounts under a folder."""

from pathlib import Path

from cluster.shell import run


def under(folder: Path, table: str | None = None) -> list[Path]:
    """The mount points under a folder, the deepest first.

    Args:
        folder: an absolute path.
        table: the content of /proc/self/mounts, read from there unless given.
    """
    text = Path("/proc/self/mounts").read_text() if table is None else table
    points = [Path(_unescaped(line.split()[1])) for line in text.splitlines()]
    # The table lists later mounts later: unmounting backwards takes stacked ones from the top.
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes as octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def unmount(folder: Path) -> None:
    """Unmount everything under a folder, also what is still in use."""
    for point in under(folder):
        run(["umount", "--lazy", point])
