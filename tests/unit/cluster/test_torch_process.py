"""What a process of our own does with its memory and its threads."""

import subprocess
import sys

import pytest
import torch

from raygenex.cluster.torch_process import threads

STEPS = """
import resource, sys, threading
import numpy as np
from raygenex.cluster.torch_process import keep_freed_memory

def work():
    if sys.argv[1] == "keep":
        keep_freed_memory()
    for step in range(50):
        if step == 5:
            start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        kept = [np.ones(2_500_000) for _ in range(6)]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_memory_is_cleared_once_and_not_in_every_step():
    """Each of 45 steps writes 120 MB, 29,297 pages; a thread that trains is no process's first."""
    faults = {}
    for way in ("keep", "leave"):
        found = subprocess.run([sys.executable, "-c", STEPS, way], check=True, capture_output=True, text=True)
        faults[way] = int(found.stdout)
    assert faults["keep"] < 29_297
    # An allocator that keeps memory by itself will do.
    assert faults["leave"] >= faults["keep"]


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
