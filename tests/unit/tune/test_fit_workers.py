"""A trial of several workers, without any: what it makes of the epochs that it hears of."""

import json

import pytest
from toy_models import columns, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.train.checkpoint import CheckpointInfo, save_checkpoint_info
from raygenex.train.inputs import open_inputs
from raygenex.tune import fit_workers
from raygenex.tune.fit_workers import RUNNING, STOP, NestedFit
from raygenex.tune.shared import Shared, read_sample
from raygenex.tune.space import Space
from raygenex.tune.study import nested as is_nested

EPOCHS = 6


def epoch(number):
    return {"epoch": float(number), "train_loss": 0.5, "valid_loss": 0.5, "valid_auroc": 0.5 + number / 100, "score": 1}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a trial whose workers report some epochs."""
    data = {
        "train": write_promoters(tmp_path / "train.h5", columns(32, 20, 0, "T")),
        "valid": write_promoters(tmp_path / "valid.h5", columns(21, 20, 1, "V")),
    }
    values = {"data": data, "model": {"kind": "cnn_dna_only"}, "train": {"epochs": EPOCHS, "workers": 2}}
    space = {"model.dropout": {"uniform": [0, 0.5]}}
    config = parse_config(values | {"tune": {"space": space}}, "test")
    splits = open_splits(config.data, ("train", "valid"))
    inputs = open_inputs(config, splits)
    info = CheckpointInfo(config={}, config_hash="", inputs=inputs.info)
    shared = Shared(Space(config), info, {}, read_sample(inputs.tables["valid"]), inputs, splits, None, tmp_path / "t")
    monkeypatch.setattr(fit_workers, "open_epoch_log", lambda: None)
    monkeypatch.setattr(fit_workers, "network_trainer", lambda training, start, backbone, log, stop: None)

    def trial(reported, fail=None):
        import contextlib

        @contextlib.contextmanager
        def follow(log, put):
            for number in reported:
                put(epoch(number))
            yield

        def fit(trainer):
            if fail:
                raise fail

        monkeypatch.setattr(fit_workers, "follow", follow)
        monkeypatch.setattr(fit_workers, "fit_until_done", fit)
        return NestedFit(shared, config, tmp_path / "trial")

    return trial


def keep(tmp_path, epochs):
    """Write what Ray Train keeps of its last epoch."""
    folder = tmp_path / "trial" / "ray_train" / f"epoch_{epochs - 1:04d}"
    folder.mkdir(parents=True)
    known = {"kind": "bases", "length": 20, "channels": 4, "window": 20}
    history = [{name: value for name, value in epoch(number).items() if name != "score"} for number in range(epochs)]
    save_checkpoint_info(folder, CheckpointInfo(config={}, config_hash="", inputs=known, history=history))


def run(fit):
    found = [fit.step()]
    while not fit.ended:
        found.append(fit.step())
    return [int(metrics["epoch"]) for metrics in found]


def test_epochs_come_in_order_and_the_place_is_given_back(make, tmp_path):
    fit = make(range(EPOCHS))
    assert run(fit) == list(range(EPOCHS))
    assert fit.ended == "all 6 epochs"
    assert not (tmp_path / "trial" / RUNNING).exists()
    assert len(json.loads((tmp_path / "trial" / "history.json").read_text())) == EPOCHS


def test_epochs_that_no_process_lived_to_see_are_read_from_the_checkpoint(make, tmp_path):
    """Two epochs were seen, three more were kept by Ray Train, which goes on at the last."""
    fit = make(range(2))
    assert [int(fit.step()["epoch"]) for _ in range(2)] == [0, 1]
    keep(tmp_path, 5)
    assert run(make([5])) == list(range(EPOCHS))


def test_a_training_that_had_ended_unseen_is_read_from_the_checkpoint(make, tmp_path):
    keep(tmp_path, EPOCHS)
    assert run(make([])) == list(range(EPOCHS))


def test_what_goes_wrong_is_raised_in_the_step(make):
    with pytest.raises(RuntimeError, match="it broke"):
        make([], RuntimeError("it broke")).step()


def test_closing_lets_the_workers_stop(make, tmp_path):
    fit = make(range(2))
    fit.step()
    fit.close()
    assert (tmp_path / "trial" / STOP).exists()


@pytest.mark.parametrize(
    ("workers", "memory_gib", "kind", "expected"),
    [
        (1, 2.0, "cnn_dna_only", False),
        (2, 2.0, "cnn_dna_only", True),
        (1, 0.0, "cnn_dna_only", True),
        (2, 2.0, "logistic", False),
    ],
)
def test_when_ray_train_trains_a_trial(make, tmp_path, workers, memory_gib, kind, expected):
    data = {name: str(tmp_path / f"{name}.h5") for name in ("train", "valid")}
    train = {"workers": workers, "memory_gib": memory_gib}
    config = parse_config({"data": data, "train": train, "model": {"kind": kind}}, "test")
    inputs = open_inputs(config, open_splits(config.data, ("train", "valid")))
    assert is_nested(config, inputs) is expected
