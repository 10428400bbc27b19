"""Everything a user can get wrong: exit code 2, and one sentence that says what, where and what to do."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from toy_models import columns, save_toy, small_config, write_promoters

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.train.checkpoint import InputInfo

WINDOW = 20


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with two sound splits and a configuration of them."""
    write_promoters(tmp_path / "train.h5", columns(6, WINDOW, prefix="T"))
    write_promoters(tmp_path / "valid.h5", columns(6, WINDOW, prefix="V"))
    (tmp_path / "run.yaml").write_text(
        f"output: {tmp_path}/runs\ndata: {{train: {tmp_path}/train.h5, valid: {tmp_path}/valid.h5}}\n"
    )
    return tmp_path


def remove(folder: Path) -> None:
    (folder / "train.h5").unlink()


def write_text(folder: Path) -> None:
    (folder / "train.h5").write_text("gene_id,label\nG1,1\n")


def truncate(folder: Path) -> None:
    content = (folder / "train.h5").read_bytes()
    (folder / "train.h5").write_bytes(content[: len(content) // 2])


def drop_key(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        del file["promoter"]


def turn_shape(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        one_hot = file["promoter"][:]
        del file["promoter"]
        file["promoter"] = one_hot.transpose(0, 2, 1)


def heat_two_bases(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        file["promoter"][2, 7] = [True, False, True, False]


def put(field: str, row: int, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with h5py.File(folder / "train.h5", "r+") as file:
            file[field][row] = value

    return change


def nan_halflife(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        file["halflife"][3, 5] = np.nan


def one_class(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        file["label"][:] = 1


def repeat_gene(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        file["gene_id"][4] = file["gene_id"][1]


def other_scale(folder: Path) -> None:
    with h5py.File(folder / "valid.h5", "r+") as file:
        file.attrs["halflife_scale"] = "log10"


def put_tss(folder: Path) -> None:
    with h5py.File(folder / "train.h5", "r+") as file:
        file["tss"] = np.arange(6)


def leak_gene(folder: Path) -> None:
    with h5py.File(folder / "train.h5") as train, h5py.File(folder / "valid.h5", "r+") as valid:
        valid["gene_id"][0] = train["gene_id"][0]


def shorten_valid(folder: Path) -> None:
    write_promoters_again(folder / "valid.h5", columns(6, WINDOW - 4, prefix="V"))


def empty_valid(folder: Path) -> None:
    with h5py.File(folder / "valid.h5", "r+") as file:
        for name in list(file):
            shape, dtype = file[name].shape, file[name].dtype
            del file[name]
            file.create_dataset(name, shape=(0, *shape[1:]), dtype=dtype)


def write_promoters_again(path: Path, genes: dict[str, np.ndarray]) -> None:
    path.unlink()
    write_promoters(path, genes)


CHECK = ("data", "check", "run.yaml")

CASES = {
    "missing file": (remove, CHECK, ["train.h5", "data.train"]),
    "not HDF5": (write_text, CHECK, ["train.h5", "HDF5"]),
    "truncated HDF5": (truncate, CHECK, ["train.h5", "truncated"]),
    "missing key": (drop_key, CHECK, ["train.h5", "promoter"]),
    "wrong shape": (turn_shape, CHECK, ["train.h5", "promoter", "4"]),
    "two bases hot at once": (heat_two_bases, CHECK, ["train.h5", "gene T2", "position 7", "two bases"]),
    "NaN half-life": (nan_halflife, CHECK, ["train.h5", "gene T3", "CDSGC"]),
    "labels other than 0/1": (put("label", 5, 2), CHECK, ["train.h5", "gene T5", "2"]),
    "duplicate gene ids": (repeat_gene, CHECK, ["train.h5", "T1", "row"]),
    "gene in two splits": (leak_gene, CHECK, ["T0", "train.h5", "valid.h5"]),
    "splits of different window length": (shorten_valid, CHECK, ["train.h5", "valid.h5", "20", "16"]),
    "empty split": (empty_valid, CHECK, ["valid.h5"]),
    "splits of different scales": (other_scale, CHECK, ["train.h5", "valid.h5", "log10", "z-score"]),
    "some of the places": (put_tss, CHECK, ["train.h5", "has tss but no chrom", "chrom, tss and strand"]),
    "one class only": (one_class, CHECK, ["data.train", "label 1"]),
    "unknown config key": (None, (*CHECK, "-o", "train.epoch=3"), ["train.epoch", "did you mean epochs?"]),
    "value out of range": (None, (*CHECK, "-o", "model.dropout=1.5"), ["model.dropout", "below 1", "1.5"]),
    "wrong weights folder": (
        None,
        ("embed", "run.yaml", "-o", "backbone={kind: hyenadna, weights: nowhere}"),
        ["nowhere"],
    ),
    "weights folder of something else": (
        lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
        ("embed", "run.yaml", "-o", "backbone={kind: hyenadna, weights: .}"),
        ["model.safetensors", "weights.ckpt"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_exit_2(case, raygenex, data):
    spoil, command, words = CASES[case]
    if spoil is not None:
        spoil(data)
    before = sorted(data.rglob("*"))
    code, out, err = raygenex(*command)
    assert code == 2
    assert out == ""
    sentence(err, words)
    assert sorted(data.rglob("*")) == before, "nothing half-written"


@pytest.mark.parametrize(
    ("trained_on", "words"),
    [(WINDOW - 4, ["reads 16 bases", "set data.window to 16"]), (WINDOW + 4, ["reads 24 bases"])],
)
def test_a_model_of_another_window_refuses_to_predict(raygenex, data, trained_on, words):
    inputs = InputInfo(kind="bases", length=trained_on, channels=4, window=trained_on)
    save_toy(data / "model", small_config(), inputs)
    code, out, err = raygenex("predict", "run.yaml", "valid.h5", "--model", "model", "--output", "scores.csv")
    assert (code, out) == (2, "")
    sentence(err, ["valid.h5", *words])
    assert not (data / "scores.csv").exists()


def test_a_model_of_another_scale_refuses_to_predict(raygenex, data):
    save_toy(data / "model", small_config(), InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW))
    other_scale(data)
    code, out, err = raygenex("predict", "run.yaml", "valid.h5", "--model", "model", "--output", "scores.csv")
    assert (code, out) == (2, "")
    sentence(err, ["valid.h5", "trained on lengths that are z-score", "are log10"])
    assert not (data / "scores.csv").exists()


def test_features_far_outside_those_of_training(raygenex, data):
    known = dict.fromkeys(HALFLIFE_FEATURES, (-100.0, 100.0)) | {"CDSLEN": (300.0, 400.0), "UTR5GC": (50.0, 60.0)}
    inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
    save_toy(data / "model", small_config(), inputs, feature_range=known)
    command = ("predict", "run.yaml", "valid.h5", "--model", "model", "--output", "scores.csv")
    for strict in (["--strict"], ["-o", "predict.strict=true"], ["--strict", "--dry-run"]):
        code, out, err = raygenex(*command, *strict)
        assert (code, out) == (2, "")
        sentence(err, ["valid.h5", "CDSLEN", "in training 300 to 400", "UTR5GC", "leave strict out"])
        assert "UTR5LEN" not in err
    assert not (data / "scores.csv").exists()
    code, out, err = raygenex(*command, "--dry-run")
    assert code == 0
    assert "CDSLEN" in err
    assert "are they in the units of the training data?" in err


def sentence(err: str, words: list[str]) -> None:
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    for word in words:
        assert word in err, f"{word!r} is not in: {err}"
