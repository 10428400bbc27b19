import h5py
import numpy as np
import pytest

from raygenex.data.hdf5.write import PromoterWriter
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


@pytest.fixture
def built(tmp_path):
    """Return a function that writes a promoter file as `data build` does, and returns its path.

    Genes are ``prefix0``, ``prefix1``, ...; their bases and features are random, and their labels 0, 1, 0, ...
    """

    def make(name, tss, chrom="I", strand="+", prefix="G", window=40, first=-20, seed=0, extra=None, **attrs):
        count = len(tss)
        rng = np.random.default_rng([seed, *prefix.encode()])
        columns = {
            "chrom": np.array([chrom] * count if isinstance(chrom, str) else chrom, dtype=object),
            "tss": np.array(tss),
            "strand": np.array(list(strand * count)[:count], dtype=object),
        }
        columns |= {f"extra/{key}": np.asarray(values) for key, values in (extra or {}).items()}
        values = {"halflife_scale": "log10", "genome_build": "TOY1", "window_first": first} | attrs
        values = {key: value for key, value in values.items() if value is not None}
        path = tmp_path / name
        with PromoterWriter(path, window, overwrite=True, attrs=values) as writer:
            writer.append(
                [f"{prefix}{i}" for i in range(count)],
                rng.integers(0, 4, (count, window)).astype(np.uint8),
                rng.normal(size=(count, 8)),
                np.arange(count) % 2,
                columns,
            )
        return str(path)

    return make
