import json

import numpy as np
import pytest

from raygenex.config import DataConfig
from raygenex.data.check import check, open_splits
from raygenex.data.describe import render, sparkline
from raygenex.data.hdf5 import fingerprint
from raygenex.errors import DataError
from raygenex.sequence import from_string, to_one_hot


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


def test_no_split_set(sentence):
    with pytest.raises(DataError) as info:
        check(config())
    sentence(info, "data.train is not set")


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
    assert check(data).splits["valid"].window == 4


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


def test_one_class_is_enough_to_test(write):
    assert open_splits(config(test=write(label=np.ones(4))), ("test",))["test"].rows == 4


def test_check_counts_by_hand(write):
    sequences = to_one_hot(np.stack([from_string("ACGNNT"), from_string("GGGTTT")]))
    halflife = np.zeros((2, 8), np.float32)
    halflife[:, 0] = [1, 3]
    path = write(n=2, promoter=sequences, halflife=halflife)
    seen = []
    report = check(config(train=path), on_progress=lambda done, total: seen.append((done, total)))
    train = report.splits["train"]
    assert seen == [(2, 2)]
    assert (train.rows, train.window, train.positives, train.positive_fraction) == (2, 6, 1, 0.5)
    assert train.unknown_fraction == pytest.approx(2 / 12)
    assert train.gc == pytest.approx(5 / 10)
    assert train.gc_profile == pytest.approx((0.5, 1.0, 1.0, 0.0, 0.0, 0.0))
    assert train.gc_profile_edges == (-3, -2, -1, 0, 1, 2, 3)
    summary = train.halflife["UTR5LEN"]
    assert (summary.mean, summary.sd, summary.min, summary.max) == (2, 1, 1, 3)
    assert train.files[0].sha256 == fingerprint(path)
    assert json.loads(json.dumps(report.as_dict()))["splits"]["train"]["rows"] == 2


def test_check_finds_what_the_cheap_checks_leave(write, columns, sentence):
    one_hot = columns()["promoter"]
    one_hot[1, 2] = True
    path = write(promoter=one_hot)
    assert open_splits(config(train=path), ("train",))["train"].rows == 4
    with pytest.raises(DataError) as info:
        check(config(train=path))
    sentence(info, path, "G1", "position 2", "four bases")


def test_region_of_unknown_bases_has_no_gc(write):
    report = check(config(train=write(promoter=np.zeros((4, 6, 4), bool))))
    assert report.splits["train"].gc is None
    assert report.splits["train"].unknown_fraction == 1
    assert "-" in render(report)


def test_render_fits_one_screen(write):
    paths = {name: write(f"{name}.h5", prefix=name, window=60) for name in ("train", "valid", "test")}
    lines = render(check(config(**paths))).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "-30 to +29" in "\n".join(lines)


def test_sparkline():
    assert sparkline((0.0, 0.5, None, 1.0)) == "▁▅ █"
    assert sparkline((0.3, 0.3)) == "▁▁"
    assert sparkline((None,)) == " "


def test_core60_is_sound(shared_data):
    folder = shared_data / "core60"
    report = check(config(train=str(folder / "train.h5"), valid=str(folder / "valid.h5")))
    assert [split.rows for split in report.splits.values()] == [12681, 989]
    assert report.splits["valid"].positives == 544
