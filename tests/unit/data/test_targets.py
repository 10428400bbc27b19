"""Targets of promoter files and of tables: what is read, how genes without a value stay out, and what is refused."""

import numpy as np
import pytest
from toy_models import columns, sentence, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.hdf5.read import inspect, read_targets
from raygenex.data.hdf5.schema import Target
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.data.opening import open_run
from raygenex.data.rows import PromoterRows, ReplacedRows, blocks
from raygenex.data.targets import read_target_values
from raygenex.errors import DataError

TARGETS = (Target("level", "continuous", "log10 RPKM"), Target("reads", "counts"), Target("high", "binary"))
VALUES = np.array([[0.5, 3, 1], [np.nan, 0, 0], [-1.5, np.nan, np.nan], [2.0, 7, 1]], dtype=np.float32)


def write(path, values=VALUES, targets=TARGETS, prefix="G", label=True):
    genes = columns(len(values), 20, prefix=prefix)
    with PromoterWriter(path, 20, targets=targets) as writer:
        for rows in (slice(0, 3), slice(3, None)):
            writer.append(
                *(genes[name][rows] for name in ("gene_id", "sequence", "halflife")),
                genes["label"][rows] if label else None,
                {"targets": values[rows]},
            )
    return str(path)


def config_of(train, *targets):
    return parse_config({"data": {"train": train}, "targets": list(targets)}, "test")


def read(train, *targets):
    config = config_of(train, *targets)
    return read_target_values(config.targets, open_run(config, ("train",)))


def test_a_file_gives_back_what_was_written(tmp_path):
    file = inspect(write(tmp_path / "a.h5"))
    assert file.targets == TARGETS
    for place, target in enumerate(TARGETS):
        np.testing.assert_array_equal(read_targets(file, target.name), VALUES[:, place])


def test_targets_of_files_are_read_by_name_and_in_the_order_asked_for(tmp_path):
    path = write(tmp_path / "a.h5")
    found = read(path, "high", "level", "label")
    assert found.targets == (TARGETS[2], TARGETS[0], Target("label", "binary"))
    np.testing.assert_array_equal(found.values["train"], np.c_[VALUES[:, [2, 0]], [0, 1, 0, 1]])


def test_files_without_labels_will_do(tmp_path):
    path = write(tmp_path / "a.h5", label=False)
    np.testing.assert_array_equal(read(path, "reads").values["train"], VALUES[:, [1]])
    with pytest.raises(DataError) as info:
        read(path, "label")
    sentence(info, "label", "level", path)


def test_a_table_is_joined_by_gene(tmp_path):
    path = write_promoters(tmp_path / "a.h5", columns(5, 20))
    table = tmp_path / "t.tsv"
    table.write_text("gene_id\tlevel\tother\nG3\t1.5\tx\nG0\t-2\tx\nG4\t\tx\nZ\t9\tx\n")
    found = read(path, {"name": "renamed", "table": str(table), "column": "level"})
    assert found.targets == (Target("renamed", "continuous"),)
    np.testing.assert_array_equal(found.values["train"][:, 0], [-2, np.nan, np.nan, 1.5, np.nan])


def test_a_table_of_other_genes_is_refused(tmp_path):
    path = write_promoters(tmp_path / "a.h5", columns(5, 20))
    table = tmp_path / "t.tsv"
    table.write_text("gene_id\tlevel\nG3\t1.5\nG0\t-2\nX\t3\n")
    with pytest.raises(DataError) as info:
        read(path, {"name": "level", "table": str(table)})
    sentence(info, "t.tsv", "2 of the 5", "fewer than half")


@pytest.mark.parametrize(
    ("target", "values", "words"),
    [
        (Target("reads", "counts"), [1, -3, 2], ["G1", "-3", "below 0"]),
        (Target("high", "binary"), [0, 1, 2], ["G2", "0 or 1"]),
        (Target("level", "continuous"), [0, np.inf, 2], ["G1", "finite"]),
        (Target("level", "continuous"), [np.nan] * 3, ["nothing of level"]),
    ],
)
def test_values_that_do_not_fit_are_named(tmp_path, target, values, words):
    path = write(tmp_path / "a.h5", np.array(values, np.float32)[:, None], (target,))
    with pytest.raises(DataError) as info:
        read(path, target.name)
    sentence(info, *words)


def test_an_unknown_target_and_another_kind_are_refused(tmp_path):
    path = write(tmp_path / "a.h5")
    with pytest.raises(DataError) as info:
        read(path, "levle")
    sentence(info, "levle", "level", path)
    with pytest.raises(DataError) as info:
        read(path, {"name": "level", "kind": "counts"})
    sentence(info, "level", "continuous", "counts")


def test_files_that_differ_in_a_target_are_refused(tmp_path):
    one = write(tmp_path / "a.h5")
    other = write(tmp_path / "b.h5", VALUES[:, :1], (Target("level", "continuous", "TPM"),), "H")
    with pytest.raises(DataError) as info:
        read([one, other], "level")
    sentence(info, "level", "log10 RPKM", "TPM")


@pytest.mark.parametrize(
    ("attribute", "value", "word"),
    [
        ("names", ["a", "a", "b"], "named a"),
        ("names", ["a", "b"], "2 entries"),
        ("kinds", ["continuous", "ordinal", "binary"], "ordinal"),
        ("kinds", [1, 2, 3], "texts"),
    ],
)
def test_attributes_that_do_not_fit_are_refused(tmp_path, attribute, value, word):
    import h5py

    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as handle:
        handle["targets"].attrs[attribute] = value
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, word)


@pytest.mark.parametrize("per_piece", [1, 2, 100])
def test_rows_take_their_values_along(tmp_path, per_piece):
    """Wherever the rows are cut, and from wherever they are read."""
    genes = columns(7, 20)
    config = config_of([write_promoters(tmp_path / "a.h5", genes, chunk_rows=3)], "label")
    files = open_run(config, ("train",))["train"].files
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    rows = ReplacedRows(PromoterRows(files, 20, "train"), {"label": values})
    assert rows.count == 7
    for start, stop in ((0, 7), (2, 6)):
        read = [piece.read() for piece in rows.pieces(start, stop, per_piece)]
        np.testing.assert_array_equal(np.concatenate([block["label"] for block in read]), values[start:stop])
        assert np.concatenate([block["row"] for block in read]).tolist() == list(range(start, stop))
    assert sum(piece.rows for piece in blocks(rows)) == 7
