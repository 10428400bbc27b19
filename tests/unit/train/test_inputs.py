"""What a run trains on, and what it refuses before anything is started."""

import pytest
from toy_models import SMALL, columns, save_toy, sentence, small_config, write_promoters

from raygenex.config import parse_config
from raygenex.data.opening import open_splits
from raygenex.embed.run import embed
from raygenex.errors import DataError
from raygenex.evaluate import open_rows
from raygenex.train.checkpoint import InputInfo, read_info
from raygenex.train.inputs import open_inputs

HYENA = {"kind": "hyenadna", "weights": "random"}
OTHERS = ("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only", "lstm", "autoencoder_xgboost")


@pytest.fixture
def files(tmp_path):
    return {
        "train": write_promoters(tmp_path / "train.h5", columns(8, 0, 0, "T")),
        "valid": write_promoters(tmp_path / "valid.h5", columns(6, 0, 1, "V")),
    }


def opened(files, kind, **sections):
    config = parse_config({"data": files, "model": {"kind": kind} | sections.pop("model", {}), **sections}, "test")
    return open_inputs(config, open_splits(config.data, ("train", "valid")))


@pytest.mark.parametrize("kind", ["cnn_halflife_only", "xgboost_kmer", "logistic"])
def test_models_that_can_do_without_promoters(files, kind):
    inputs = opened(files, kind)
    assert (inputs.info.kind, inputs.info.length, inputs.info.window) == ("bases", 0, 0)
    assert inputs.tables["train"].count == 8


@pytest.mark.parametrize("kind", OTHERS)
def test_models_that_read_dna_need_promoters(files, kind):
    with pytest.raises(DataError) as info:
        opened(files, kind)
    sentence(info, "data.train has no promoters", files["train"], f"{kind} reads DNA", "kind to cnn_halflife_only")


@pytest.mark.parametrize("kind", ["xgboost_kmer", "logistic"])
def test_a_model_that_would_read_nothing(files, kind):
    with pytest.raises(DataError) as info:
        opened(files, kind, model={"halflife": False})
    sentence(info, "data.train has no promoters", f"{kind} has nothing to read", "set model.halflife to true")


def test_a_backbone_has_nothing_to_embed(files, tmp_path):
    with pytest.raises(DataError) as info:
        opened(files, "cnn_halflife_only", backbone=HYENA)
    sentence(info, files["train"], "hyenadna embeds DNA", "set backbone.kind to onehot")
    with pytest.raises(DataError) as info:
        embed(parse_config({"data": files, "backbone": HYENA, "output": str(tmp_path / "runs")}, "test"))
    sentence(info, files["train"], "no promoters to embed")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("window", "given"), [(20, 0), (0, 20), (20, 12)])
def test_a_model_without_dna_is_measured_on_any_window(tmp_path, window, given):
    path = write_promoters(tmp_path / "valid.h5", columns(6, given))
    config = small_config(model={"kind": "cnn_halflife_only"}, data={"valid": path})
    save_toy(tmp_path / "a", config, InputInfo(kind="bases", length=window, channels=4, window=window))
    _, rows = open_rows(config, "valid", read_info(tmp_path / "a"))
    assert (rows.count, rows.window) == (6, 0)


def test_a_model_of_dna_is_not_measured_without(tmp_path):
    path = write_promoters(tmp_path / "valid.h5", columns(6, 0))
    config = parse_config(SMALL | {"data": {"valid": path}}, "test")
    save_toy(tmp_path / "a", config, InputInfo(kind="bases", length=20, channels=4, window=20))
    with pytest.raises(DataError) as info:
        open_rows(config, "valid", read_info(tmp_path / "a"))
    sentence(info, "reads 20 bases", "data.valid has no promoters", "cnn_halflife_only")
