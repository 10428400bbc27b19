"""What a run trains on, and what it refuses before anything is started."""

import h5py
import numpy as np
import pytest
from toy_models import SMALL, columns, save_toy, sentence, small_config, write_promoters

from raygenex.config.embed import HyenaBackbone
from raygenex.config.load import parse_config
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.opening import open_splits
from raygenex.data.rows import PromoterRows
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import load_backbone, weights_sha256
from raygenex.embed.run import embed
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.evaluate import open_rows
from raygenex.train import inputs
from raygenex.train.checkpoint import InputInfo, read_info
from raygenex.train.inputs import open_inputs, prepare_backbone

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
    found = opened(files, kind)
    assert (found.info.kind, found.info.length, found.info.window) == ("bases", 0, 0)
    assert found.tables["train"].count == 8


def test_the_range_of_features_is_that_of_train(files, tmp_path):
    more = write_promoters(tmp_path / "more.h5", columns(5, 0, 2, "M"))
    found = opened(files | {"train": [files["train"], more]}, "logistic").feature_range
    halflife = np.concatenate([columns(8, 0, 0)["halflife"], columns(5, 0, 2)["halflife"]])
    assert list(found) == list(HALFLIFE_FEATURES)
    np.testing.assert_array_equal(list(found.values()), np.stack([halflife.min(axis=0), halflife.max(axis=0)], axis=1))


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
    _, rows, _ = open_rows(config, "valid", read_info(tmp_path / "a"))
    assert (rows.count, rows.window) == (6, 0)


def test_a_model_of_dna_is_not_measured_without(tmp_path):
    path = write_promoters(tmp_path / "valid.h5", columns(6, 0))
    config = parse_config(SMALL | {"data": {"valid": path}}, "test")
    save_toy(tmp_path / "a", config, InputInfo(kind="bases", length=20, channels=4, window=20))
    with pytest.raises(DataError) as info:
        open_rows(config, "valid", read_info(tmp_path / "a"))
    sentence(info, "reads 20 bases", "data.valid has no promoters", "cnn_halflife_only")


# The route online


ROUTES = {
    "cached": {},
    "frozen": {"route": "online"},
    "kept": {"route": "online", "finetune": True, "checkpointing": False},
    "tuned": {"route": "online", "finetune": True},
    "slower": {"route": "online", "finetune": True, "learning_rate": 1e-5},
}


@pytest.fixture
def with_dna(tmp_path):
    return {
        "train": write_promoters(tmp_path / "train.h5", columns(8, 20, 0, "T")),
        "valid": write_promoters(tmp_path / "valid.h5", columns(6, 20, 1, "V")),
    }


def routed(route):
    return {"kind": "hyenadna", "d_model": 16, "n_layer": 1} | ROUTES[route]


def test_a_backbone_within_the_training_reads_bases_and_gives_embeddings(with_dna):
    found = opened(with_dna, "cnn_dna_only", backbone=routed("frozen"), embed={"bin_size": 3})
    assert (found.info.kind, found.info.length, found.info.channels, found.info.window) == ("embedding", 7, 16, 20)
    assert isinstance(found.tables["train"], PromoterRows)
    assert found.backbone is None
    assert found.backbone_sha256 == weights_sha256(random_hyenadna(16, 1, 22, 0))


def test_what_makes_another_run_of_a_backbone_that_learns(with_dna):
    found = {
        name: opened(with_dna, "cnn_dna_only", backbone=routed(name)).identity for name in ROUTES if name != "cached"
    }
    assert found["kept"] == found["tuned"], "recomputing changes no number"
    assert len(set(found.values())) == 3
    other = opened(with_dna, "cnn_dna_only", backbone=routed("tuned") | {"seed": 1}).identity
    assert other not in found.values()
    groups = {
        name: opened(with_dna, "cnn_dna_only", backbone=routed(name), embed={"batch_size": 3}).identity
        for name in found
    }
    assert groups["frozen"] == found["frozen"], "genes a forward pass change no number"
    assert groups["tuned"] != found["tuned"], "dropout is drawn by them"


def test_the_arithmetic_of_a_backbone_within_the_training_is_that_of_its_workers(with_dna):
    def identity(precision, use_gpu, **embed):
        return opened(
            with_dna,
            "cnn_dna_only",
            backbone=routed("frozen"),
            embed={"precision": precision, **embed},
            train={"use_gpu": use_gpu},
        ).identity

    plain = identity("fp32", False)
    assert identity("fp32", True) == plain
    assert identity("bf16", False) == identity("bf16", False, gpus_per_actor=1.0) == plain
    assert identity("bf16", True) != plain


def test_a_model_without_dna_needs_no_backbone_within_the_training(with_dna):
    found = opened(with_dna, "cnn_halflife_only", backbone=routed("tuned") | {"weights": "nowhere"})
    assert (found.info.kind, found.backbone, found.backbone_sha256) == ("bases", None, None)


def test_weights_that_cannot_be_read_are_named_before_anything_starts(with_dna):
    with pytest.raises(CheckpointError, match="weights nowhere do not exist"):
        opened(with_dna, "cnn_dna_only", backbone={"kind": "hyenadna", "weights": "nowhere", "route": "online"})


def test_runs_and_stores_of_before_the_route_are_the_same_ones(with_dna, monkeypatch):
    """Neither the identity of a run by the cached route nor the settings in a manifest know the new keys."""
    config = parse_config({"data": with_dna, "backbone": routed("cached")}, "test")
    info = InputInfo(kind="embedding", length=1, channels=16, window=20)
    monkeypatch.setattr(inputs, "canonical_hash", lambda value: value)
    identity = inputs._identity(config, info, {"train": ["a"], "valid": ["b"]}, "sha")
    assert set(identity) == {
        *("seed", "inputs", "fingerprints", "backbone", "embed", "model", "halflife", "train", "threshold")
    }
    assert config.backbone.origin() == {
        "kind": "hyenadna",
        "weights": None,
        "revision": None,
        "d_model": 16,
        "n_layer": 1,
        "seed": 0,
    }


@pytest.mark.parametrize(("window", "place"), [(20, -7), (11, -2)])
def test_where_the_window_lies_is_kept_and_makes_no_other_run(with_dna, window, place):
    data = {"train": with_dna["train"], "valid": with_dna["valid"]}
    kinds = [("onehot", {}), ("hyenadna", {"backbone": routed("frozen")})]
    for path in data.values():
        with h5py.File(path, "a") as handle:
            handle.attrs["window_first"] = -7
    for kind, sections in kinds:
        config = parse_config({"data": data | {"window": window}, **sections}, "test")
        found = open_inputs(config, open_splits(config.data, ("train", "valid")))
        assert found.info.first == place, kind
        without = found.info.model_copy(update={"first": None})
        assert found.identity == inputs._identity(config, without, found.fingerprints, found.backbone_sha256)
        assert InputInfo.model_validate(found.info.model_dump(exclude={"first"})).first is None


def test_a_model_is_not_measured_on_windows_that_lie_elsewhere(tmp_path):
    path = write_promoters(tmp_path / "test.h5", columns(6, 22))
    with h5py.File(path, "a") as handle:
        handle.attrs["window_first"] = -9
    described = InputInfo(kind="bases", length=20, channels=4, window=20, first=-8)
    save_toy(tmp_path / "model", small_config(), described)
    info = read_info(tmp_path / "model")
    config = parse_config({"data": {"test": path, "window": 20}}, "test")
    assert open_rows(config, "test", info)[1].count == 6
    info.inputs.first = -10
    with pytest.raises(DataError) as found:
        open_rows(config, "test", info)
    sentence(found, "data.test", "begin at base -10", "begin at -8")


def test_a_backbone_that_changed_under_the_training_is_refused(tmp_path):
    backbone = HyenaBackbone.model_validate(routed("frozen"))
    folder = prepare_backbone(backbone, 20, weights_sha256(random_hyenadna(16, 1, 22, 0)), tmp_path)
    assert weights_sha256(load_backbone(folder, None)) == weights_sha256(random_hyenadna(16, 1, 22, 0))
    with pytest.raises(CheckpointError, match="changed while the training began"):
        prepare_backbone(backbone, 20, "other", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["online_backbone"]
    assert prepare_backbone(None, 20, None, tmp_path) is None


def test_a_run_without_a_store_is_measured_from_bases_whatever_lies_there(with_dna, tmp_path):
    config = small_config(backbone=routed("frozen"), data=with_dna, embed={"store": str(tmp_path / "store")})
    save_toy(tmp_path / "a", config, InputInfo(kind="embedding", length=3, channels=16, window=20))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "manifest.json").write_text("{")
    _, rows, _ = open_rows(config, "valid", read_info(tmp_path / "a"))
    assert (rows.count, rows.window) == (6, 20)


@pytest.mark.parametrize("targets", [[], ["label"], [{"name": "level", "table": "levels.tsv"}]])
def test_no_feature_is_what_is_learned_under_another_name(files, tmp_path, targets):
    genes = [columns(8, 0, 0, "T"), columns(6, 0, 1, "V")]
    rows = [
        f"{gene}\t{label}\t{7.25 * place}\t{label if place < 3 else ''}"
        for part in genes
        for place, (gene, label) in enumerate(zip(part["gene_id"], part["label"], strict=True))
    ]
    for name in ("levels.tsv", "copy.tsv"):
        (tmp_path / name).write_text("\n".join(["gene_id\thigh\tlevel\tfew", *rows]) + "\n")
    if targets and targets != ["label"]:
        targets = [targets[0] | {"table": str(tmp_path / "levels.tsv")}]
    column = "level" if targets and targets != ["label"] else "high"
    mark = {"name": "mark", "table": str(tmp_path / "copy.tsv")}

    def read(column):
        data = files | {"features": ["halflife", mark | {"column": column}]}
        return opened(data, "cnn_halflife_only", targets=targets)

    with pytest.raises(ConfigError) as info:
        read(column)
    sentence(info, "data.features", f"mark has the value of {'level' if column == 'level' else 'label'}")
    assert read("high" if column == "level" else "level").info.features[-1] == "mark"
    # Three genes may agree by chance.
    assert read("few").info.lacking == ("mark",)
