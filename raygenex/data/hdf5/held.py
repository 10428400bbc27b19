"""A file for HDF5 to write, which holds in memory what the disk refuses.

HDF5 cannot close a file that it cannot write: it keeps it open, and the process dies of that when it ends. So it never
learns of a full disk. What it writes after the first error goes to memory, from where it reads it back, until it has
closed the file; whoever writes asks for the error after each block, so that this is never more than one.
"""

import io
import os
from pathlib import Path
from typing import Any


class HeldFile(io.RawIOBase):
    """An empty file, open for writing and reading, that always takes what is written.

    Parameters
    ----------
    path
        The file, which exists.
    """

    error: OSError | None = None
    """The first error of the disk; what was written since then is in memory alone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._handle = os.open(path, os.O_RDWR | os.O_TRUNC)
        self._size = 0
        self._place = 0
        self._held: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise the first error of the disk, if there was one."""
        if self.error is not None:
            raise self.error

    def seekable(self) -> bool:
        """Any place can be read and written."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the beginning, from here or from the end."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """Return the place, in bytes from the beginning."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from here on, as far as the file goes; return how many bytes that are."""
        view = memoryview(buffer).cast("B")
        start, stop = self._place, min(self._place + len(view), max(self._size, self._place))
        view[: stop - start] = os.pread(self._handle, stop - start, start).ljust(stop - start, b"\0")
        for first, content in self._held:
            low, high = max(start, first), min(stop, first + len(content))
            if low < high:
                view[low - start : high - start] = content[low - first : high - first]
        self._place = stop
        return stop - start

    def write(self, content: Any) -> int:
        """Write all of some bytes here; return how many they are."""
        view = memoryview(content).cast("B")
        if self.error is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._handle, view[done:], self._place + done)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._held.append((self._place, bytes(view)))
        self._place += len(view)
        self._size = max(self._size, self._place)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Give the file this size; bytes that it gains are zero."""
        self._size = self._place if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._handle, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._handle)
        super().close()
