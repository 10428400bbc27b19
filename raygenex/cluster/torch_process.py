"""How torch uses a process: so many threads, and memory that it keeps from one step to the next."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 2**31 - 1
# Before version 2.35 it refuses more than the second.
_MAPPED_BYTES = (2**30, 2**25)
_GROWN_BYTES = 2**28


def prepare_process(cpus: float) -> None:
    """Make a process that does nothing but compute with torch ready for it: a thread per whole CPU, and its memory."""
    import torch

    torch.set_num_threads(max(1, int(cpus)))
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for what it allocates next; it holds the most that it ever needed.

    A step of torch on a CPU allocates and frees the same hundreds of megabytes as the one before. glibc gives them back
    to the system in between, which has to clear every page of them again: a fifth to a third of a training's time
    (``benchmarks/kept_memory.py``). Other allocators are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if not any(mallopt(_MMAP_THRESHOLD, size) for size in _MAPPED_BYTES):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    # The heaps of threads are given back whole unless the next one is to grow by more than they hold.
    mallopt(_TOP_PAD, _GROWN_BYTES)


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use so many threads; as many afterwards as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
