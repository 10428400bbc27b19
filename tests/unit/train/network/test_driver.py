from types import SimpleNamespace

import pytest
import ray.train
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from raygenex.config.load import parse_config
from raygenex.errors import ClusterError
from raygenex.train.ray_train import fit_until_done, how_many, ray_run_config, scaling


class Trainer:
    """A trainer whose fit ends with an error."""

    def __init__(self, error):
        self.error = error

    def fit(self):
        raise self.error


def config(cluster=None, **train):
    return parse_config({"train": train, "cluster": cluster or {}}, "test")


def test_no_room_for_the_workers_is_one_sentence():
    with pytest.raises(ClusterError, match="no room any more for all workers: add nodes and run the same command"):
        fit_until_done(Trainer(ray.train.ControllerError(WorkerGroupStartupTimeoutError(2))))


def test_other_errors_stay_what_they_are():
    with pytest.raises(ray.train.ControllerError):
        fit_until_done(Trainer(ray.train.ControllerError(RuntimeError("a bug"))))
    with pytest.raises(KeyboardInterrupt):
        fit_until_done(Trainer(SystemExit(130)))


def test_an_elastic_training_has_a_range_of_workers():
    fixed, elastic = config(workers=2), config(workers=2, min_workers=1, cpus_per_worker=3)
    assert (scaling(fixed, False).num_workers, how_many(fixed)) == (2, "2")
    assert (scaling(elastic, False).num_workers, how_many(elastic)) == ((1, 2), "1 to 2")
    assert scaling(elastic, False).resources_per_worker == {"CPU": 3}
    assert scaling(elastic, True).resources_per_worker == {"CPU": 3, "GPU": 1}


@pytest.mark.parametrize(
    ("cluster", "train", "starts"),
    [
        ({}, {}, 3),
        ({"wait_s": 61}, {}, 6),
        ({}, {"workers": 2, "min_workers": 1, "max_failures": 5}, 8),
    ],
)
def test_how_often_workers_may_find_no_room(cluster, train, starts):
    job = SimpleNamespace(config=config(cluster, **train), folder="/runs/a")
    assert ray_run_config(job, None).failure_config.controller_failure_limit == starts
