"""A small disk, that can be full or closed to writing, where this user may mount one; a limit on the size of files."""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes; every user may."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class Disk:
    """A file system in memory; `mounted_disk` makes one.

    Parameters
    ----------
    path
        Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, options: str) -> None:
        """Change its size (``size=1m``) or whether it can be written (``ro`` or ``rw``)."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)


def mount(path: Path, size: int) -> Disk:
    """Mount a disk of so many bytes, or skip the test."""
    path.mkdir()
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if made.returncode:
        pytest.skip(f"this user may not mount a disk: {made.stderr.decode().strip()}")
    return Disk(path)


def unmount(disk: Disk) -> None:
    """Take the disk away, whoever still has it open."""
    subprocess.run(["umount", "--lazy", str(disk.path)], check=True)
