"""HDF5 never learns of a full disk, which is made by a limit on the size of files."""

import subprocess
import sys

import pytest
from toy_disk import room

from raygenex.data.hdf5.held import HeldFile

WRITE = """
import os, resource, sys
import numpy as np
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.errors import DataError

def write(path):
    random = np.random.default_rng(0)
    with PromoterWriter(path, 500, chunk_rows=16) as writer:
        for first in range(0, 120, 40):
            genes = np.array([f"G{i}" for i in range(first, first + 40)], dtype=object)
            sequence = random.integers(0, 5, (40, 500)).astype(np.uint8)
            columns = {"chrom": genes, "tss": np.arange(40), "strand": np.full(40, "+", dtype=object)}
            writer.append(genes, sequence, np.ones((40, 8)), np.arange(40) % 2, columns)

folder = sys.argv[1]
write(f"{folder}/whole.h5")
size = os.path.getsize(f"{folder}/whole.h5")
for room in (0, 1, 96, 800, 2048, 5000, size // 2, size - 3000, size - 1, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        write(f"{folder}/a.h5")
    except DataError as error:
        assert room < size, error
        assert f"{folder}/a.h5 cannot be written (File too large)" in str(error), error
        assert os.listdir(folder) == ["whole.h5"], room
    else:
        assert room == size, room
"""


def test_a_full_disk_is_one_sentence_and_the_process_ends_well(tmp_path):
    done = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("size", [0, 3, 7, 100])
def test_what_the_disk_refuses_is_read_back(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    expected = bytearray(16)
    with room(size), HeldFile(path) as file:
        for place, content in ((0, b"abcd"), (12, b"wxyz"), (2, b"CDEF"), (5, b"!")):
            file.seek(place)
            assert file.write(content) == len(content)
            expected[place : place + len(content)] = content
        assert file.seek(0, 2) == 16
        file.seek(0)
        assert file.read(100) == bytes(expected)
        file.seek(3)
        assert (file.read(2), file.tell(), file.read(50)) == (bytes(expected[3:5]), 5, bytes(expected[5:]))
        assert file.truncate(20) == 20
        file.seek(16)
        assert file.read(100) == bytes(4)
        if size == 100:
            file.check()
        else:
            with pytest.raises(OSError, match="File too large"):
                file.check()
    if size == 100:
        assert path.read_bytes() == bytes(expected) + bytes(4)
