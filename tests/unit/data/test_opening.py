import numpy as np
import pytest

from raygenex.config.data import DataConfig
from raygenex.data.opening import open_splits
from raygenex.errors import DataError


def config(**values):
    return DataConfig.model_validate(values)


def test_open_splits(write):
    train = (write("a.h5", prefix="A"), write("b.h5", n=2, prefix="B"))
    valid = write("v.h5", prefix="V")
    splits = open_splits(config(train=train, valid=valid, test="not-there.h5"), ("train", "valid"))
    assert list(splits) == ["train", "valid"]
    assert (splits["train"].rows, splits["train"].window, len(splits["train"].files)) == (6, 6, 2)
    assert list(splits["train"].gene_id) == ["A0", "A1", "A2", "A3", "B0", "B1"]
    assert splits["train"].label.tolist() == [0, 1, 0, 1, 0, 1]
    assert splits["train"].halflife.shape == (6, 8)


def test_split_not_set(sentence):
    with pytest.raises(DataError) as info:
        open_splits(config(train="a.h5"), ("valid",))
    sentence(info, "data.valid is not set")


def test_file_not_there_names_the_key(sentence):
    with pytest.raises(DataError) as info:
        open_splits(config(train="none.h5"), ("train",))
    sentence(info, "data.train", "none.h5")


def test_splits_of_different_window_length(write, sentence):
    train, valid = write("a.h5", window=6), write("b.h5", window=8, prefix="V")
    with pytest.raises(DataError) as info:
        open_splits(config(train=train, valid=valid), ("train", "valid"))
    sentence(info, train, valid, 6, 8)


def test_files_of_a_split_of_different_window_length(write, sentence):
    files = (write("a.h5", window=6), write("b.h5", window=8, prefix="V"))
    with pytest.raises(DataError) as info:
        open_splits(config(train=files), ("train",))
    sentence(info, *files, 6, 8)


def test_window_cuts_different_lengths_to_one(write):
    data = config(train=write("a.h5", window=6), valid=write("b.h5", window=8, prefix="V"), window=4)
    splits = open_splits(data, ("train", "valid"))
    assert [split.window for split in splits.values()] == [4, 4]
    assert open_splits(data, ("train", "valid"))["valid"].window == 4


def test_window_longer_than_the_promoters(write, sentence):
    path = write(window=6)
    with pytest.raises(DataError) as info:
        open_splits(config(train=path, window=7), ("train",))
    sentence(info, path, "data.window is 7", 6)


def test_duplicate_gene_across_files(write, sentence):
    files = (write("a.h5"), write("b.h5"))
    with pytest.raises(DataError) as info:
        open_splits(config(train=files), ("train",))
    sentence(info, *files, "gene G0")


def test_duplicate_gene_across_splits(write, sentence):
    train, test = write("a.h5"), write("b.h5", gene_id=np.array([b"x", b"y", b"G2", b"z"]))
    with pytest.raises(DataError) as info:
        open_splits(config(train=train, test=test), ("train", "test"))
    sentence(info, train, test, "gene G2", "leaks", "data.train", "data.test")


def test_same_file_in_two_splits(write, sentence):
    path = write()
    with pytest.raises(DataError) as info:
        open_splits(config(train=path, valid=path), ("train", "valid"))
    sentence(info, path, "leaks")


def test_empty_split(write, sentence):
    path = write("b.h5", n=0)
    with pytest.raises(DataError) as info:
        open_splits(config(train=write(), valid=path), ("train", "valid"))
    sentence(info, path, "no genes")


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only(write, sentence, split, label):
    with pytest.raises(DataError) as info:
        open_splits(config(**{split: write(label=np.full(4, label))}), (split,))
    sentence(info, f"data.{split} has only label {label}", "4 genes")


def test_one_class_is_enough_for_what_is_no_training(write):
    data = config(train=write(label=np.ones(4)))
    assert open_splits(data, ("train",), both_labels=False)["train"].label.tolist() == [1, 1, 1, 1]


def test_one_class_is_enough_to_test(write):
    assert open_splits(config(test=write(label=np.ones(4))), ("test",))["test"].rows == 4


def test_ids_that_differ_by_blanks_are_one(write, sentence):
    train, valid = write("a.h5", n=2, gene_id=["A1", " A2\t"]), write("v.h5", n=2, gene_id=["A2", "A3"])
    assert open_splits(config(train=train), ("train",))["train"].gene_id.tolist() == ["A1", "A2"]
    with pytest.raises(DataError) as info:
        open_splits(config(train=train, valid=valid), ("train", "valid"))
    sentence(info, "gene A2 leaks between splits", train, valid)
    with pytest.raises(DataError) as info:
        open_splits(config(train=write("b.h5", n=2, gene_id=["A1", "A1 "])), ("train",))
    sentence(info, "gene A1 is in rows 0 and 1")


@pytest.mark.parametrize(
    ("ids", "others", "named"),
    [
        (["ENSG00000000003.15", "B"], ["C", "ENSG00000000003.2"], "ENSG00000000003.2"),
        (["NM_000546", "B"], ["C", "NM_000546.6"], "NM_000546.6"),
        (["ZK1067.1", "B"], ["C", "ZK1067.2"], None),
        (["NM_000546.6", "B"], ["C", "NM_000547.6"], None),
    ],
)
def test_ids_that_differ_by_version_alone_are_warned_of(write, caplog, ids, others, named):
    data = config(train=write("a.h5", n=2, gene_id=ids), valid=write("v.h5", n=2, gene_id=others))
    for _ in range(2):
        open_splits(data, ("train", "valid"))
    assert [named in record.getMessage() for record in caplog.records] == ([True] if named else [])
    if named:
        (message,) = (record.getMessage() for record in caplog.records)
        assert f"genes {ids[0]} in {data.train[0]} (data.train) and {named} in {data.valid[0]} (data.valid)" in message


def test_versions_within_a_file_are_warned_of(write, caplog):
    open_splits(config(train=write(n=2, gene_id=["AT1G01010.1", "AT1G01010.2"])), ("train",))
    assert "AT1G01010.1" in caplog.text
    assert "differ by their version suffix alone" in caplog.text
