import hashlib
import os

import pytest

from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprint


def test_fingerprint_is_the_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    # The test vector of FIPS 180-2.
    assert fingerprint(str(tmp_path / "x")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="y cannot be read: No such file or directory; check the path"):
        fingerprint(str(tmp_path / "y"))


def test_a_file_is_read_for_its_fingerprint_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    first = fingerprint(str(path))
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert fingerprint(str(path)) == first
    path.write_bytes(b"abd")
    os.utime(path, ns=(0, 1))
    assert fingerprint(str(path)) == hashlib.sha256(b"abd").hexdigest()
