import h5py
import numpy as np
import pytest

from raygenex.sequence import from_string, to_one_hot


@pytest.fixture
def columns():
    """Return a function that makes the four fields of a promoter file, with any of them replaced."""

    def make(n=4, window=6, prefix="G", **replace):
        rng = np.random.default_rng(0)
        sequences = np.stack([from_string(("ACGTNCATGGTCA" * (1 + window // 13))[:window])] * n) if n else None
        one_hot = to_one_hot(sequences) if n else np.zeros((0, window, 4), bool)
        values = {
            "gene_id": np.array([f"{prefix}{i}" for i in range(n)], dtype="S12"),
            "halflife": rng.normal(size=(n, 8)).astype(np.float32),
            "promoter": one_hot,
            "label": np.arange(n) % 2,
        }
        return values | replace

    return make


@pytest.fixture
def write(tmp_path, columns):
    """Return a function that writes a promoter file and returns its path; a field given as None is left out."""

    def make(name="a.h5", n=4, window=6, prefix="G", chunk_rows=None, **replace):
        path = tmp_path / name
        with h5py.File(path, "w") as handle:
            for key, value in columns(n, window, prefix, **replace).items():
                if value is None:
                    continue
                if key == "promoter" and chunk_rows:
                    chunks = (chunk_rows, *value.shape[1:])
                    handle.create_dataset(key, data=value, chunks=chunks, compression="gzip")
                else:
                    handle[key] = value
        return str(path)

    return make


@pytest.fixture
def sentence():
    """Return a function that checks that a message is one sentence that names what it must."""

    def check(info, *names):
        text = str(info.value)
        assert "\n" not in text
        assert ". " not in text
        for name in names:
            assert str(name) in text, f"{name!r} is not in: {text}"

    return check
