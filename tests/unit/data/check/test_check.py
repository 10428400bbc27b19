"""The full check of a data set."""

import json

import h5py
import numpy as np
import pytest

from raygenex.config.data import CheckConfig, DataConfig
from raygenex.data.check.check import check
from raygenex.data.check.describe import sparkline
from raygenex.data.opening import open_splits
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprint
from raygenex.sequence import from_string, to_one_hot


def config(**values):
    return DataConfig.model_validate(values)


def test_no_split_set(sentence):
    with pytest.raises(DataError) as info:
        check(config(), CheckConfig())
    sentence(info, "data.train is not set")


def test_check_counts_by_hand(write):
    sequences = to_one_hot(np.stack([from_string("ACGNNT"), from_string("GGGTTT")]))
    halflife = np.zeros((2, 8), np.float32)
    halflife[:, 0] = [1, 3]
    path = write(n=2, promoter=sequences, halflife=halflife)
    seen = []
    report = check(config(train=path), CheckConfig(), on_progress=lambda done, total: seen.append((done, total)))
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
    assert json.loads(json.dumps(report.values()))["splits"]["train"]["rows"] == 2


def test_check_finds_what_the_cheap_checks_leave(write, columns, sentence):
    one_hot = columns()["promoter"]
    one_hot[1, 2] = True
    path = write(promoter=one_hot)
    assert open_splits(config(train=path), ("train",))["train"].rows == 4
    with pytest.raises(DataError) as info:
        check(config(train=path), CheckConfig())
    sentence(info, path, "G1", "position 2", "four bases")


def test_region_of_unknown_bases_has_no_gc(write):
    report = check(config(train=write(promoter=np.zeros((4, 6, 4), bool))), CheckConfig())
    assert report.splits["train"].gc is None
    assert report.splits["train"].unknown_fraction == 1
    assert "-" in report.text()


def test_promoters_without_one_known_base_are_named(write):
    with h5py.File(path := write(n=6, window=5), "a") as handle:
        values = handle["promoter"][:]
        del handle["promoter"]
        # The last chunks are never written, so that they read as unknown bases.
        handle.create_dataset("promoter", (6, 5, 4), bool, chunks=(1, 5, 4))[:2] = values[:2]
    report = check(config(train=path), CheckConfig())
    assert report.splits["train"].without_bases == ("G2", "G3", "G4", "G5")
    assert "train: no base is known of the promoters of G2, G3, G4 and 1 more" in report.warnings


def test_render_fits_one_screen(write):
    paths = {name: write(f"{name}.h5", prefix=name, window=60) for name in ("train", "valid", "test")}
    lines = check(config(**paths), CheckConfig()).text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "-30 to +29" in "\n".join(lines)


def test_sparkline():
    assert sparkline((0.0, 0.5, None, 1.0)) == "▁▅ █"
    assert sparkline((0.3, 0.3)) == "▁▁"
    assert sparkline((None,)) == " "


def test_core60_is_sound(shared_data):
    folder = shared_data / "core60"
    report = check(config(train=str(folder / "train.h5"), valid=str(folder / "valid.h5")), CheckConfig())
    assert [split.rows for split in report.splits.values()] == [12681, 989]
    assert report.splits["valid"].positives == 544
