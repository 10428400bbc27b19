import h5py
import numpy as np
import pytest
from toy_models import columns, save_toy, sentence, small_config, write_promoters

from raygenex.errors import ConfigError, DataError
from raygenex.explain.genes import donors_of, open_explained, spread
from raygenex.train.checkpoint import InputInfo, read_info

WINDOW = 20
BASES = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)


@pytest.fixture
def open_toy(tmp_path):
    """Return a function that opens genes for a toy model of a window of 20 bases."""
    save_toy(tmp_path / "checkpoint", small_config(), BASES)
    info = read_info(tmp_path / "checkpoint")

    def make(files, data=None, **explain):
        return open_explained(small_config(data={"valid": files, **(data or {})}, explain=explain), info)

    return make


def write(path, n=7, window=WINDOW, first=None, label=True, prefix="G"):
    write_promoters(path, columns(n, window, prefix=prefix), chunk_rows=4, label=label)
    if first is not None:
        with h5py.File(path, "r+") as file:
            file.attrs["window_first"] = first
    return str(path)


NONE = np.zeros((7, 0, 8), dtype=np.float32)


@pytest.mark.parametrize(
    ("total", "wanted", "rows"),
    [(5, None, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (10, 2, [2, 7]), (10, 1, [5]), (9, 3, [1, 4, 7])],
)
def test_chosen_rows_are_the_middles_of_equal_parts(total, wanted, rows):
    assert spread(total, wanted).tolist() == rows


def test_a_piece_holds_its_genes_whatever_lies_between_them(open_toy, tmp_path):
    files = [write(tmp_path / "a.h5"), write(tmp_path / "b.h5", prefix="H")]
    genes = open_toy(files, genes=6)
    # Of 14 rows: 1, 3, 5, 8, 10, 12.
    assert genes.chosen.tolist() == [1, 3, 5, 8, 10, 12]
    donors = np.arange(6 * 16, dtype=np.float32).reshape(6, 2, 8)
    read = genes.piece("saliency", 2, 5, donors).read()
    assert read["gene_id"].tolist() == ["G5", "H1", "H3"]
    assert read["row"].tolist() == [5, 8, 10]
    assert read["number"].tolist() == [2, 3, 4]
    assert read["label"].tolist() == [1, 1, 1]
    assert set(read["method"]) == {"saliency"}
    np.testing.assert_array_equal(read["sequence"], columns(7, WINDOW)["sequence"][[5, 1, 3]])
    np.testing.assert_array_equal(read["donors"][0], np.arange(32, 48))
    np.testing.assert_array_equal(read["halflife"], genes.halflife[2:5])
    np.testing.assert_array_equal(genes.bases()[2:5], read["sequence"])


def test_genes_without_labels_are_explained_too(open_toy, tmp_path):
    genes = open_toy([write(tmp_path / "a.h5", label=False)])
    assert not genes.labelled
    assert genes.piece("scores", 0, 3, NONE).read()["label"].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("window", "first", "set_first", "expected"),
    [
        (20, -15, None, (-15, False)),
        # 30 bases from -15 are cut to 20 around their centre, which begin 5 later.
        (30, -15, None, (-10, False)),
        (31, -15, None, (-10, False)),
        (20, None, None, (-10, True)),
        (20, -15, 3, (3, False)),
        # It is the file's window that begins there.
        (60, None, -49, (-29, False)),
        (31, -15, -16, (-11, False)),
    ],
)
def test_where_the_window_begins(open_toy, tmp_path, window, first, set_first, expected):
    path = write(tmp_path / "a.h5", window=window, first=first)
    genes = open_toy([path], data={"window": WINDOW}, window_first=set_first)
    assert (genes.window_first, genes.assumed) == expected


def test_the_window_of_the_training_begins_where_files_do_not_say(tmp_path):
    save_toy(tmp_path / "checkpoint", small_config(), BASES.model_copy(update={"first": -7}))
    info = read_info(tmp_path / "checkpoint")
    silent, other = write(tmp_path / "a.h5", window=24), write(tmp_path / "b.h5", first=-10)
    config = small_config(data={"valid": silent, "window": WINDOW})
    genes = open_explained(config, info)
    assert (genes.window_first, genes.assumed) == (-7, False)
    config = small_config(data={"valid": silent, "window": WINDOW}, explain={"window_first": -9})
    assert open_explained(config, info).window_first == -7
    with pytest.raises(DataError) as found:
        open_explained(small_config(data={"valid": other}), info)
    sentence(found, other, "begin at base -7", "begin at -10")


@pytest.mark.parametrize("other", [-10, None])
def test_windows_of_different_places_are_refused(open_toy, tmp_path, other):
    files = [write(tmp_path / "a.h5", first=-15), write(tmp_path / "b.h5", first=other, prefix="H")]
    with pytest.raises(DataError) as found:
        open_toy(files)
    sentence(found, "a.h5", "b.h5", "explain.window_first")
    assert open_toy(files, window_first=-15).window_first == -15


def test_windows_of_different_lengths_that_begin_together_are_refused(open_toy, tmp_path):
    files = [write(tmp_path / "a.h5", window=24), write(tmp_path / "b.h5", prefix="H")]
    with pytest.raises(DataError) as found:
        open_toy(files, data={"window": WINDOW}, window_first=-15)
    sentence(found, "a.h5", "b.h5", "one by one")
    assert "set explain.window_first" not in str(found.value)


@pytest.mark.parametrize(("region", "fits"), [([-10, 10], True), ([-11, 0], False), ([0, 11], False)])
def test_what_is_mutated_lies_in_the_window(open_toy, tmp_path, region, fits):
    path = write(tmp_path / "a.h5")
    open_toy([path], methods=["saliency"], region=region)
    if fits:
        open_toy([path], methods=["mutagenesis"], region=region)
        return
    with pytest.raises(ConfigError) as found:
        open_toy([path], methods=["mutagenesis"], region=region)
    sentence(found, "explain.region", "-10 to 9")


def test_a_split_that_is_not_configured_and_a_window_of_another_length(open_toy, tmp_path):
    with pytest.raises(ConfigError) as found:
        open_toy([write(tmp_path / "a.h5")], split="test")
    sentence(found, "data.test is not set", "explain.split")
    with pytest.raises(DataError) as found:
        open_toy([write(tmp_path / "b.h5", window=12)])
    sentence(found, "20 bases", "12")


def test_donors_are_the_features_of_all_genes_in_another_order():
    halflife = np.arange(40, dtype=np.float32).reshape(5, 8)
    found = donors_of(halflife, 3, seed=1)
    assert found.shape == (5, 3, 8)
    for number in range(3):
        assert np.array_equal(np.sort(found[:, number], axis=0), halflife)
    # Every feature is shuffled by itself, and every shuffle is another one.
    assert len({tuple(found[:, number, feature] // 8) for number in range(3) for feature in range(8)}) > 10
    assert np.array_equal(donors_of(halflife, 3, seed=1), found)
    assert np.array_equal(donors_of(halflife, 2, seed=1), found[:, :2])
    assert not np.array_equal(donors_of(halflife, 3, seed=2), found)
    assert donors_of(halflife, 0, seed=1).shape == (5, 0, 8)
