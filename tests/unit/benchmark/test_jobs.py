"""Which trainings a comparison consists of, and how long they may still take."""

import pytest

from raygenex.benchmark.jobs import Remaining, plan_jobs, requests, run_job
from raygenex.config.load import load_config, parse_config
from raygenex.config.model import KmerTreesConfig
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError


def make(**benchmark: object) -> RunConfig:
    values = {
        "name": "table",
        "output": "/tmp/somewhere",
        "model": {"width": 32, "channels": [16], "dense": [8]},
        "train": {"epochs": 7},
        "benchmark": {"seeds": [3, 5], **benchmark},
    }
    return parse_config(values, "the test's configuration")


def models(*rows: dict[str, object]) -> list[dict[str, object]]:
    return [{"name": f"row{number}", "set": row} for number, row in enumerate(rows)]


def test_every_model_and_seed_is_trained_seed_by_seed():
    jobs = plan_jobs(make())
    assert len(jobs) == 16
    assert [job.seed for job in jobs] == [3] * 8 + [5] * 8
    assert [job.model for job in jobs[:8]] == [job.model for job in jobs[8:]]
    assert {job.config.model.kind for job in jobs} == {job.model for job in jobs}
    assert len({job.config.folder for job in jobs}) == 16


def test_a_job_is_a_run_of_its_own_below_the_benchmark():
    config = make()
    job = plan_jobs(config)[9]
    assert (job.config.name, job.config.seed) == ("cnn_halflife_raw-5", 5)
    assert job.config.folder == "/tmp/somewhere/table/cnn_halflife_raw-5"
    assert job.config.train == config.train
    # All write into one MLflow store, the benchmark's.
    assert job.config.tracking.uri == "sqlite:////tmp/somewhere/mlflow.db"


def test_jobs_do_not_depend_on_what_else_is_compared():
    many = plan_jobs(make())
    one = plan_jobs(make(models=[{"name": "lstm", "set": {"model.kind": "lstm"}}], seeds=[5]))
    assert one[0].config == next(job for job in many if (job.model, job.seed) == ("lstm", 5)).config


def test_the_four_cnns_share_the_sizes_and_other_kinds_have_their_own():
    jobs = {job.model: job.config for job in plan_jobs(make(seeds=[0]))}
    assert jobs["cnn_dna_only"].model.width == jobs["cnn_halflife_encoded"].model.width == 32
    assert jobs["lstm"].model.width == 64
    assert jobs["logistic"].train.epochs == 7


def test_a_row_that_names_the_kind_of_the_file_keeps_the_settings_of_the_file():
    values = make(models=models({"model.kind": "lstm"})).dump() | {"model": {"kind": "lstm", "hidden": 5}}
    (job, _) = plan_jobs(parse_config(values, "the test's configuration"))
    assert job.config.model.hidden == 5


def test_a_row_changes_any_key_of_a_training():
    config = make(models=models({"model.kind": "lstm", "model.hidden": 5, "train.learning_rate": 0.5}))
    (job, _) = plan_jobs(config)
    assert (job.config.model.hidden, job.config.train.learning_rate) == (5, 0.5)


def test_one_embedding_store_serves_all():
    values = make().dump()
    values["backbone"] = {"kind": "hyenadna"}
    stores = {job.config.store for job in plan_jobs(parse_config(values, "the test's configuration"))}
    assert stores == {"/tmp/somewhere/table/embeddings"}


@pytest.mark.parametrize(
    "key", ["data.window", "data", "tracking.uri", "cluster", "benchmark.parallel", "seed", "name", "backbone.kind"]
)
def test_what_is_common_cannot_be_changed_for_one(key: str):
    section = key.split(".")[0]
    with pytest.raises(ConfigError, match=rf"benchmark\.models, row0: {section} is common to all models, and a row"):
        plan_jobs(make(models=models({key: 1})))


@pytest.mark.parametrize("kind_first", [True, False])
def test_the_order_of_the_keys_does_not_matter(kind_first: bool):
    keys = [("model.kind", "lstm"), ("model.dropout", 0.1)]
    row = dict(keys if kind_first else keys[::-1])
    (job, _) = plan_jobs(make(models=models(row)))
    assert (job.config.model.kind, job.config.model.dropout) == ("lstm", 0.1)


def test_a_key_of_the_trees_leaves_the_others_as_they_are():
    (job, _) = plan_jobs(make(models=models({"model.kind": "xgboost_kmer", "model.trees.trees": 20})))
    assert job.config.model.trees == KmerTreesConfig(trees=20)
    assert (job.config.model.trees.depth, job.config.model.trees.early_stopping) == (3, 50)


@pytest.mark.parametrize(("key", "value"), [("train.epochs.x", 3), ("model.kind", ["lstm"]), ("train", 7)])
def test_what_does_not_fit_is_one_sentence(key: str, value: object):
    with pytest.raises(ConfigError, match=r"benchmark\.models, row0"):
        plan_jobs(make(models=models({key: value})))


def test_the_workers_of_a_training_may_be_on_several_nodes():
    config = parse_config(make().dump() | {"train": {"workers": 4, "use_gpu": True, "global_batch_size": 32}}, "test")
    training, scoring = requests(config, plan_jobs(config))
    # One GPU a worker, four workers: four nodes of one GPU will do.
    assert (training.count, training.cpus, training.gpus) == (4, 1.0, 1.0)
    assert (scoring.count, scoring.cpus, scoring.gpus) == (1, 1.0, 0.0)


def test_trainings_and_scorings_beside_each_other_add_up():
    values = make(parallel=3).dump() | {"train": {"workers": 2}, "predict": {"workers": 4, "cpus_per_worker": 0.5}}
    config = parse_config(values, "test")
    training, scoring = requests(config, plan_jobs(config))
    assert (training.count, training.cpus, training.gpus) == (6, 1.0, 0.0)
    assert (scoring.count, scoring.cpus) == (12, 0.5)


def test_a_key_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"benchmark\.models, row0.*hiden"):
        plan_jobs(make(models=models({"model.kind": "lstm", "model.hiden": 5})))


def test_the_time_left_is_that_of_the_same_model_where_it_is_known():
    remaining = Remaining(["a", "b", "a", "b"], parallel=1)
    # b is unknown and counts as the mean of what is known.
    assert remaining.after("a", 100.0) == "3 to go, about 5 min"
    assert remaining.after("b", 20.0) == "2 to go, about 2 min"
    assert remaining.after("a", 60.0) == "1 to go, about 20 s"
    assert remaining.after("b", 20.0) == "all done"


def test_trainings_beside_each_other_share_the_time_left():
    remaining = Remaining(["a"] * 5, parallel=2)
    assert remaining.after("a", 30.0) == "4 to go, about 60 s"


def test_what_is_reused_says_nothing_of_the_time_left():
    remaining = Remaining(["a", "b", "c"], parallel=1)
    assert remaining.after("a", None) == "2 to go"
    assert remaining.after("b", 40.0) == "1 to go, about 40 s"


def test_sentences_name_what_holds_the_row(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("benchmark: {models: [{name: a, set: {model.kind: foo}}]}\n")
    with pytest.raises(ConfigError) as info:
        plan_jobs(load_config(path))
    assert str(info.value).startswith(f"config {path}: benchmark.models, a: model.kind 'foo' is not known; it may be ")
    said = "benchmark.models=[{name: b, set: {train.epochs: x}}]"
    with pytest.raises(ConfigError) as info:
        plan_jobs(load_config(path, [said]))
    assert str(info.value) == (f"override '{said}': benchmark.models, b: train.epochs: must be a whole number, not 'x'")


def test_an_error_becomes_a_sentence(tmp_path):
    values = make().dump() | {"output": str(tmp_path)}
    outcome = run_job(values, "test", "parent", False)
    assert set(outcome) == {"error"}
    assert "data.train" in outcome["error"]
    assert "Traceback" not in outcome["error"]
