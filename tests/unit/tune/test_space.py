"""What is searched, checked before anything starts."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from toy_models import sentence

from raygenex.config.load import load_config, parse_config
from raygenex.errors import ConfigError
from raygenex.tune.space import Space


def make(space=None, model=None, train=None, backbone=None, **tune):
    values = {"model": model or {"width": 16}, "train": {"epochs": 7} | (train or {})}
    values["backbone"] = backbone or {}
    if space is not None:
        tune["space"] = space
    return parse_config(values | {"tune": tune}, "test")


def test_margin_dropout_and_learning_rate_are_searched_by_default():
    space = Space(make())
    assert space.distributions() == {
        "halflife.margin": FloatDistribution(0.1, 10.0, log=True),
        "model.dropout": FloatDistribution(0.0, 0.8),
        "train.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    }
    assert space.first() == [{"halflife.margin": 1.0, "model.dropout": 0.5, "train.learning_rate": 1e-4}]


def test_every_kind_of_range():
    space = {
        "model.dropout": {"uniform": [0, 0.5]},
        "train.weight_decay": {"log_uniform": ["1e-5", "1e-2"]},
        "train.patience": {"integer": [2, 9]},
        "halflife.epochs": {"log_integer": [1, 64]},
        "model.channels": {"choice": [[64, 64], [128, 64], "all"]},
    }
    with pytest.raises(ConfigError, match=r"tune\.space: model\.channels"):
        Space(make(space))
    space["model.channels"] = {"choice": [[64, 64], [128, 64]]}
    found = Space(make(space, train={"patience": 3, "weight_decay": 1e-3})).distributions()
    assert found["train.weight_decay"] == FloatDistribution(1e-5, 1e-2, log=True)
    assert found["train.patience"] == IntDistribution(2, 9)
    assert found["halflife.epochs"] == IntDistribution(1, 64, log=True)
    assert found["model.channels"] == CategoricalDistribution(["[64, 64]", "[128, 64]"])


def test_the_configuration_of_a_trial():
    config = make(
        {"model.channels": {"choice": [[64, 64], [8]]}, "train.learning_rate": {"uniform": [0.1, 0.2]}}, first=[]
    )
    space = Space(config)
    trial = space.trial_config({"model.channels": "[8]", "train.learning_rate": 0.15})
    assert (trial.model.channels, trial.train.learning_rate, trial.train.epochs) == ((8,), 0.15, 7)
    assert trial.model.width == 16
    same = trial.dump() | {"model": config.dump()["model"], "train": config.dump()["train"]}
    assert same == config.dump()


def test_a_trial_may_have_fewer_epochs_than_the_training_of_the_best():
    space = Space(make({"model.dropout": {"uniform": [0, 0.9]}}, epochs=3))
    assert space.trial_config({"model.dropout": 0.5}).train.epochs == 3
    assert space.settings({"model.dropout": 0.5}).train.epochs == 7


def test_another_kind_of_model_brings_its_own_sizes():
    space = Space(
        make({"model.kind": {"choice": ["cnn_halflife_encoded", "lstm"]}, "model.dropout": {"uniform": [0, 0.9]}})
    )
    lstm = space.trial_config({"model.kind": "lstm", "model.dropout": 0.25})
    assert (lstm.model.kind, lstm.model.width, lstm.model.dropout) == ("lstm", 64, 0.25)
    cnn = space.trial_config({"model.kind": "cnn_halflife_encoded", "model.dropout": 0.25})
    assert (cnn.model.width, cnn.model.dropout) == (16, 0.25)
    with pytest.raises(ConfigError, match=r"model\.trunk_dropout is not a known key"):
        Space(make({"model.kind": {"choice": ["lstm"]}, "model.trunk_dropout": {"uniform": [0, 0.9]}}))


@pytest.mark.parametrize(
    ("key", "range_", "words"),
    [
        (
            "model.droput",
            {"uniform": [0, 1]},
            ["tune.space", "model.droput is not a known key", "did you mean dropout"],
        ),
        ("train.learning_rate", {"uniform": [-1, 1]}, ["tune.space", "train.learning_rate", "above 0"]),
        ("model.dropout", {"uniform": [0, 7]}, ["tune.space", "model.dropout", "below"]),
        ("train.epochs", {"integer": [1, 9]}, ["train.epochs cannot be searched while poor trials are stopped"]),
        ("train.workers", {"integer": [1, 2]}, ["train.workers", "how fast"]),
        ("data.window", {"integer": [10, 20]}, ["data.window is common to all trials", "model, halflife, train"]),
        ("seed", {"integer": [1, 9]}, ["seed is common to all trials"]),
        ("model", {"choice": [{}]}, ["model is common to all trials"]),
    ],
)
def test_keys_that_cannot_be_searched(key, range_, words):
    with pytest.raises(ConfigError) as info:
        Space(make({key: range_}))
    sentence(info, *words)


def test_a_margin_without_an_encoder_changes_nothing():
    with pytest.raises(ConfigError, match=r"halflife\.margin changes nothing for cnn_dna_only"):
        Space(make(model={"kind": "cnn_dna_only"}))


@pytest.mark.parametrize(
    ("range_", "message"),
    [
        ({"uniform": [1, 0]}, "uniform goes from 1 to 0: the first must be the smaller"),
        ({"log_uniform": [0, 1]}, "log_uniform starts at 0: it must be above 0"),
        (
            {"uniform": [0, 1], "choice": [1]},
            "give one of uniform, log_uniform, integer, log_integer, choice, not uniform, c",
        ),
        ({}, "not none"),
        ({"choice": [1, 1]}, "choice has a value twice"),
        ({"unifrm": [0, 1]}, "model.dropout holds unifrm, which is not a range: write whole keys"),
        ({"uniform": [0, 1], "stepp": 1}, "is not a known key"),
    ],
)
def test_ranges_that_make_no_sense(range_, message):
    with pytest.raises(ConfigError, match=r"tune\.space") as info:
        make({"model.dropout": range_})
    sentence(info, message)


def test_settings_to_try_first_take_the_rest_from_the_file():
    config = make(
        {"model.dropout": {"uniform": [0, 0.8]}, "train.learning_rate": {"uniform": [1e-4, 1]}},
        first=[{}, {"model.dropout": 0}],
    )
    assert Space(config).first() == [
        {"model.dropout": 0.5, "train.learning_rate": 1e-4},
        {"model.dropout": 0, "train.learning_rate": 1e-4},
    ]


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({}, ["the first trial is this configuration, whose model.dropout is 0.5", "set tune.first to []"]),
        (
            {"model.dropout": 0.4},
            ["tune.first, number 1", "model.dropout is 0.4 there", "widen tune.space.model.dropout"],
        ),
        ({"model.dropout": 0.2, "model.width": 8}, ["model.width is not in tune.space"]),
        ({"model.dropout": True}, ["model.dropout is True there"]),
    ],
)
def test_settings_to_try_first_that_are_not_in_the_space(first, words):
    with pytest.raises(ConfigError) as info:
        Space(make({"model.dropout": {"uniform": [0, 0.3]}}, first=[first])).first()
    sentence(info, *words)


def test_objectives_have_the_auroc_once():
    for objectives in (["size_mb"], ["valid_auroc", "valid_auroc"]):
        with pytest.raises(ConfigError, match="objectives must have valid_auroc"):
            make(objectives=objectives)
    assert make(objectives=["valid_auroc", "size_mb"]).tune.stops_early is False
    with pytest.raises(ConfigError, match="seeds has a number twice"):
        make(seeds=[1, 1])


@pytest.mark.parametrize(
    ("kind", "choice", "words"),
    [
        ("autoencoder_xgboost", None, ["autoencoder_xgboost is trained in two stages", "raygenex benchmark"]),
        ("lstm", ["lstm", "autoencoder_xgboost"], ["autoencoder_xgboost is trained in two stages"]),
        ("lstm", ["lstm", "logistic"], ["read different inputs", "not logistic, lstm"]),
        ("logistic", ["lstm"], ["not logistic, lstm"]),
    ],
)
def test_kinds_of_models_that_do_not_go_together(kind, choice, words):
    space = {"train.learning_rate": {"uniform": [0.1, 1]}} | ({"model.kind": {"choice": choice}} if choice else {})
    with pytest.raises(ConfigError) as info:
        Space(make(space, model={"kind": kind}))
    sentence(info, "tune.space", *words)


def test_sentences_name_what_holds_the_value(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("tune: {space: {model.kind: {choice: [cnn_foo]}}}\n")
    with pytest.raises(ConfigError) as info:
        Space(load_config(path))
    sentence(info, f"config {path}: tune.space: model.kind 'cnn_foo' is not known")
    said = "tune.first=[{model.kind: lstm, model.foo: 1}]"
    with pytest.raises(ConfigError) as info:
        Space(load_config(path, ["tune.space={model.kind: {choice: [lstm]}}", said])).first()
    sentence(info, f"override '{said}': tune.first, number 1: model.foo is not in tune.space")
    with pytest.raises(ConfigError) as info:
        Space(load_config(path, ["tune.epochs=99", "tune.space={model.dropout: {uniform: [0, 0.5]}}"]))
    sentence(info, "override 'tune.epochs=99': tune.epochs is 99")


def test_nothing_embeds_for_a_model_without_dna_and_others_that_are_searched_need_it():
    space = {"model.kind": {"choice": ["cnn_halflife_only", "cnn_dna_only"]}}
    online = {"kind": "hyenadna", "route": "online"}
    with pytest.raises(ConfigError) as info:
        Space(make(space, model={"kind": "cnn_halflife_only"}, backbone=online))
    sentence(info, "tune.space", "cnn_halflife_only", "set model.kind to cnn_dna_only")
    Space(make(space, model={"kind": "cnn_dna_only"}, backbone=online))
    Space(make(space, model={"kind": "cnn_halflife_only"}, backbone={"kind": "hyenadna"}))


@pytest.mark.parametrize(
    ("sections", "key", "range_", "words"),
    [
        (
            {"epochs": 3, "stop_early": False},
            "train.epochs",
            {"integer": [2, 9]},
            ["is that of tune.epochs"],
        ),
        (
            {"model": {"kind": "logistic"}},
            "train.learning_rate",
            {"uniform": [0.1, 1]},
            ["changes nothing"],
        ),
        ({}, "train.shuffle_buffer", {"integer": [1, 9]}, ["train.shuffle_buffer", "how fast"]),
        ({}, "model.kernel_size", {"integer": [3, 5]}, ["kernel_size (4) must be odd"]),
        ({"train": {"workers": 2}}, "train.global_batch_size", {"integer": [16, 64]}, ["must divide by workers (2)"]),
    ],
)
def test_values_inside_a_range_that_do_not_fit(sections, key, range_, words):
    with pytest.raises(ConfigError) as info:
        Space(make({key: range_}, **sections))
    sentence(info, "tune.space", *words)


def test_more_settings_to_begin_with_than_trials():
    with pytest.raises(ConfigError, match="first has 2 settings for 1 trials"):
        make(trials=1, first=[{}, {}])


def test_trials_have_no_more_epochs_than_the_training_of_the_best():
    with pytest.raises(ConfigError, match=r"tune\.epochs is 9, more than the 7 of train\.epochs"):
        Space(make({"model.dropout": {"uniform": [0, 0.9]}}, epochs=9))
