"""What a promoter file may claim, and how it may be packed."""

import math

import h5py
import numpy as np
import pytest

from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_table
from raygenex.errors import DataError

HUGE = 10**15


def add_places(handle, rows):
    handle["chrom"] = np.full(rows, "I", dtype=object)
    handle["tss"] = np.arange(rows)
    handle["strand"] = np.full(rows, "+", dtype=object)
    handle["extra/life"] = np.arange(rows) + 0.5


def pack(handle, name, number):
    """Store a field in chunks that only this filter of HDF5 could unpack."""
    values = handle[name]
    shape, dtype = values.shape, values.dtype
    del handle[name]
    stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    stored.set_chunk(shape)
    stored.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(shape)
    made = h5py.h5d.create(handle.id, name.encode(), h5py.h5t.py_create(dtype, logical=True), space, stored)
    made.write_direct_chunk((0,) * len(shape), b"packed")


@pytest.mark.parametrize("number", [32001, 32015])
@pytest.mark.parametrize("field", ["halflife", "promoter", "label", "tss", "extra/life"])
def test_a_filter_that_is_not_installed_is_no_damage(write, sentence, field, number):
    path = write()
    with h5py.File(path, "a") as handle:
        add_places(handle, 4)
        pack(handle, field, number)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, field, "filter that is not installed", f"number {number}", "h5repack -f GZIP=4")


@pytest.mark.parametrize(
    "packing", [{"compression": "lzf"}, {"compression": "gzip", "shuffle": True}, {"fletcher32": 1}]
)
def test_filters_of_every_hdf5_are_read(write, columns, packing):
    path = write()
    with h5py.File(path, "a") as handle:
        for name, values in columns().items():
            if name != "gene_id":
                del handle[name]
                handle.create_dataset(name, data=values, chunks=True, **packing)
    assert read_table(inspect(path)).label.tolist() == columns()["label"].tolist()


@pytest.mark.parametrize("field", ["gene_id", "halflife", "promoter", "label", "chrom", "tss", "strand"])
@pytest.mark.parametrize("axis", ["rows", "chunk"])
def test_sizes_that_no_file_has(write, sentence, field, axis):
    path = write()
    with h5py.File(path, "a") as handle:
        add_places(handle, 4)
        tail, dtype = handle[field].shape[1:], handle[field].dtype
        del handle[field]
        rows, chunk = (HUGE, 4) if axis == "rows" else (4, 5 * 2**28 // dtype.itemsize // math.prod(tail))
        handle.create_dataset(field, (rows, *tail), dtype, maxshape=(None, *tail), chunks=(chunk, *tail))
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, field, f"{HUGE} rows" if axis == "rows" else "unpacked whole")


def test_text_of_huge_width(write, sentence):
    path = write()
    with h5py.File(path, "a") as handle:
        add_places(handle, 4)
        del handle["chrom"]
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(2**20)
        stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        stored.set_chunk((1,))
        h5py.h5d.create(handle.id, b"chrom", kind, h5py.h5s.create_simple((4,)), stored)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "chrom", "1048576 bytes")


@pytest.mark.parametrize("values", [np.ones(4, "c16"), np.ones(4, [("a", "i4"), ("b", "f4")])])
def test_a_column_that_is_neither_text_nor_numbers(write, sentence, values):
    path = write()
    with h5py.File(path, "a") as handle:
        handle["extra/odd"] = values
    file = inspect(path)
    with pytest.raises(DataError) as info:
        read_extra(file, "odd")
    sentence(info, path, "extra/odd", "must hold text or numbers")


@pytest.mark.parametrize("tss", [np.array([1, 2, -3, 4]), np.array([1, 2, 2**64 - 3, 4], "u8")])
def test_a_tss_that_is_none(write, sentence, tss):
    path = write()
    with h5py.File(path, "a") as handle:
        add_places(handle, 4)
        del handle["tss"]
        handle["tss"] = tss
    with pytest.raises(DataError) as info:
        read_locations(inspect(path))
    sentence(info, path, "tss in row 2 is -3")


def test_a_feature_beyond_float32(write, columns, sentence, recwarn):
    halflife = columns()["halflife"].astype(np.float64)
    halflife[2, 1] = 1e300
    path = write(halflife=halflife)
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "G2", "inf")
    assert not recwarn.list
