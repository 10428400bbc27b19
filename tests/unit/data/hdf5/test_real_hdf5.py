"""HDF5 files of other programs: one sentence each."""

import h5py
import pytest

from raygenex.data.hdf5.limits import check_stored
from raygenex.data.hdf5.read import inspect
from raygenex.errors import DataError

FILES = {
    "h5py_vlen_string_dset_utc.h5": "ds1",
    "h5py_vlen_string_s390x.h5": "DSBEfloat, DSBEint, DSLEfloat, DSLEint, DSvariable",
    "keras_borzoi_test_model.h5": "model_weights",
    "keras_xpresso_human.h5": "model_weights, optimizer_weights",
    "pytables_blosc_bigendian.h5": "i1, i2, i4, i8",
    "pytables_lzo2.h5": "group0, tuple0",
    "pytables_python3.h5": "agroup, agroup2, anarray, anarray1, array, atable, table",
    "pytables_vlunicode_endian.h5": "vlunicode_big, vlunicode_little",
    "anndata_0.7.8.h5ad": "X, layers, obs, obsm, obsp, raw, uns, var, varm, varp",
    "matlab_v73_ref.mat": "#refs#, ANN",
}


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_of_another_program_says_what_it_has(shared_data, sentence, name):
    path = str(shared_data / "realfiles" / name)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "no field gene_id or geneName", f"the file has {FILES[name]}")


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [("pytables_blosc_bigendian.h5", "i4", "number 32001"), ("pytables_lzo2.h5", "tuple0", "number 305")],
)
def test_a_packing_of_another_program_is_named(shared_data, sentence, name, field, said):
    path = str(shared_data / "realfiles" / name)
    with h5py.File(path) as handle, pytest.raises(DataError) as info:
        check_stored(handle, path, [field], handle.id.get_filesize())
    sentence(info, path, field, said, "h5repack")


def test_linked_data_of_every_file_is_its_own(shared_data, write):
    """A file of four fields beside all that another program wrote is read as before."""
    path = write()
    for name in FILES:
        with h5py.File(path, "a") as handle, h5py.File(shared_data / "realfiles" / name) as other:
            for key in other:
                if key not in handle:
                    other.copy(key, handle, key)
    assert inspect(path).rows == 4
