"""What a report finds in the folder of a run: all, little, and damaged files."""

import json
import shutil

import numpy as np
import pytest
import toy_runs
from toy_models import columns, sentence, write_promoters

from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.explain.results.profile import profiles, top_positions, write_profiles, write_top
from raygenex.report.collect import collect
from raygenex.report.drawing import along_the_promoter
from raygenex.report.run import contents


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return toy_runs.make_full_run(tmp_path_factory.mktemp("full"))


@pytest.fixture
def copied(full, tmp_path):
    """A copy of the full run that may be damaged."""
    folder = tmp_path / "toy"
    shutil.copytree(full[1], folder)
    return folder


def test_a_full_run(full):
    config, folder = full
    facts = collect(folder)
    assert contents(facts) == {
        "model": True,
        "data": True,
        "valid": True,
        "test": False,
        "benchmark": True,
        "study": True,
        "explanation": True,
        "registered version": False,
    }
    assert facts.name == "toy"
    assert facts.config.hash() == config.hash()
    assert facts.notes == ()
    assert facts.unregistered == "this model is not registered"


def test_scores_stand_beside_their_labels(full):
    valid = collect(full[1]).measured["valid"]
    assert valid.scores is not None
    assert valid.scores.label.tolist() == [0, 1] * 20
    assert (
        int(((valid.scores.probability >= toy_runs.THRESHOLD) & (valid.scores.label == 1)).sum())
        == (valid.confusion[1][1])
    )


def test_the_best_trials_and_what_was_searched(full):
    study = collect(full[1]).study
    assert study.keys == ("model.dropout",)
    assert [trial.state for trial in study.trials] == ["finished", "failed", "stopped", "finished"]
    np.testing.assert_array_equal(study.scores, [0.7101, np.nan, 0.6902, 0.7303])
    assert study.best.startswith("# trial 3")


def test_the_rows_of_a_comparison(full):
    benchmark = collect(full[1]).benchmark
    assert [row.name for row in benchmark.rows] == ["lstm", "small <x>"]
    assert benchmark.failed == (("broken", 0, "no <GPU>"),)
    assert benchmark.reference == "lstm"
    assert benchmark.rows[0].difference is None
    assert benchmark.rows[1].difference[0] < 0
    assert benchmark.rows[0].seeds == 2


def test_an_explanation_is_what_was_written(full):
    found = collect(full[1]).explained["valid"]
    assert found.manifest.genes == toy_runs.GENES
    assert set(found.profiles) == {"saliency"}
    assert found.profiles["saliency"]["high"].position.tolist() == list(range(-10, 10))
    top = found.tops["saliency"]
    assert top.value.shape == (len(top.gene_id), 5) == (toy_runs.TOP_GENES, 5)
    assert top.predicted_high == (found.projection.probability >= toy_runs.THRESHOLD).sum() > toy_runs.TOP_GENES
    assert found.halflife.shape == (40, 8)
    assert found.importance.low.tolist() == pytest.approx([i / 100 for i in range(8)])
    assert found.projection.gene_id[0] == toy_runs.ODD
    assert set(found.projection.label.tolist()) == {-1, 0, 1}
    titles = [f"{toy_runs.ODD}, -5 to 4 by Saliency", "Motif pos_2", "Motif pos_10"]
    assert [logo.title for logo in found.logos] == titles
    assert set(found.tables) == {"Agreement of methods", "Motifs"}
    assert found.tables["Motifs"] == [{"motif": "pos <0>", "seqlets": "33"}]


def test_a_checkpoint_alone(tmp_path):
    _, folder = toy_runs.make_run(tmp_path)
    found = contents(collect(folder))
    assert {name for name, there in found.items() if there} == {"model", "data"}


def test_a_comparison_without_a_model(tmp_path):
    toy_runs.add_benchmark(tmp_path / "runs" / "toy")
    config = tmp_path / "toy.yaml"
    config.write_text(f"name: toy\noutput: {tmp_path / 'runs'}\n")
    facts = collect(config)
    assert facts.trained is None
    assert facts.data is None
    assert facts.benchmark is not None


def test_a_run_that_never_began(tmp_path):
    config = tmp_path / "toy.yaml"
    config.write_text(f"name: toy\noutput: {tmp_path / 'runs'}\n")
    with pytest.raises(ConfigError) as info:
        collect(config)
    sentence(info, tmp_path / "runs" / "toy", "nothing to report", f"raygenex run {config}")
    (tmp_path / "runs" / "toy").mkdir(parents=True)
    with pytest.raises(ConfigError) as info:
        collect(tmp_path / "runs" / "toy")
    sentence(info, "checkpoint.json", "name the run's configuration")


def test_overrides_are_for_configurations(copied):
    with pytest.raises(ConfigError) as info:
        collect(copied, ["seed=1"])
    sentence(info, copied, "--override")


def test_a_folder_that_was_moved(copied, tmp_path):
    facts = collect(copied)
    assert facts.folder == copied
    assert facts.config.folder == str(copied)
    assert facts.measured["valid"].scores is not None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("checkpoint/checkpoint.json", "{", ("damaged",)),
        ("run.json", "[1", ("damaged",)),
        ("evaluation/valid/metrics.json", '{"key": {}}', ("damaged", "raygenex evaluate")),
        ("evaluation/valid/metrics.json", "", ("damaged", "raygenex evaluate")),
        ("evaluation/valid/predictions.parquet", "PAR1", ("damaged", "raygenex evaluate")),
        ("benchmark/tables.json", '{"rows": [{}]}', ("damaged", "raygenex benchmark")),
        ("tune/report/trials.csv", "trial,state\n0,finished\n", ("damaged", "raygenex tune")),
        ("tune/report/trials.csv", toy_runs.TRIALS[:-30], ("damaged", "raygenex tune")),
        ("tune/report/trials.csv", toy_runs.TRIALS.replace("0.7101", "good"), ("damaged", "raygenex tune")),
        ("explain/valid/manifest.json", "{}", ("damaged", "raygenex explain")),
        ("explain/valid/projection.csv", "gene_id,x\n", ("damaged", "raygenex explain")),
        ("explain/valid/importance_saliency.csv", "\x00", ("damaged", "raygenex explain")),
        ("explain/valid/top_saliency.npz", "PK", ("damaged", "raygenex explain")),
        ("explain/valid/halflife/part-00000000-00000040.npz", "PK", ("damaged", "raygenex explain")),
        ("explain/valid/halflife_importance.csv", "feature,drop,low,high\nA,1,2,x\n", ("damaged", "raygenex explain")),
    ],
)
def test_damaged_files(copied, name, text, words):
    (copied / name).write_text(text)
    with pytest.raises((DataError, CheckpointError)) as info:
        collect(copied)
    sentence(info, copied / name, *words)


def test_what_is_of_another_checkpoint_is_left_out(copied):
    for path in (copied / "evaluation" / "valid" / "metrics.json", copied / "explain" / "valid" / "manifest.json"):
        values = json.loads(path.read_text())
        values.get("key", values)["checkpoint_sha256"] = "0" * 64
        path.write_text(json.dumps(values))
    facts = collect(copied)
    assert facts.measured == {}
    assert facts.explained == {}
    assert len(facts.notes) == 2
    assert "measured on valid is of an earlier checkpoint" in facts.notes[0]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("derived", None, ("tables and figures are not up to date", "`raygenex explain` must be run again")),
        ("fingerprints", ["0" * 64], ("is of other data",)),
    ],
)
def test_an_explanation_that_is_not_of_this_data_or_not_up_to_date(copied, key, value, words):
    path = copied / "explain" / "valid" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    facts = collect(copied)
    assert facts.explained == {}
    (note,) = facts.notes
    for word in ("the explanation of valid", *words):
        assert word in note


def test_an_explanation_of_data_that_went_away(tmp_path):
    _, folder = toy_runs.make_full_run(tmp_path)
    (tmp_path / "valid.h5").unlink()
    assert set(collect(folder).explained) == {"valid"}
    path = folder / "explain" / "valid" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprints": ["0" * 64]}))
    # The checkpoint knows which they were.
    assert collect(folder).explained == {}


@pytest.mark.parametrize(("threshold", "positions"), [(1.1, 5), (toy_runs.THRESHOLD, 0)])
def test_no_gene_predicted_high_or_no_positions(copied, threshold, positions):
    part = copied / "explain" / "valid"
    ids, probability = np.array(["a", "b"]), np.array([0.9, 0.2])
    values = np.ones((2, 20), dtype=np.float32)
    top = top_positions(values, ids, probability, threshold, -10, positions)
    write_top(part, "saliency", top)
    write_profiles(part / "importance_saliency.csv", profiles(values, probability >= threshold, -10, resamples=20))
    found = collect(copied).explained["valid"]
    assert found.tops == {}
    assert [one.title for one in along_the_promoter(found)] == ["Saliency along the promoter, valid"]


def test_data_that_changed_or_went_away(tmp_path):
    _, folder = toy_runs.make_full_run(tmp_path)
    path = tmp_path / "valid.h5"
    path.unlink()
    facts = collect(folder)
    assert facts.data.report is None
    assert "the data are not here" in facts.data.missing
    assert facts.measured["valid"].scores is None
    assert facts.measured["valid"].missing == facts.data.missing
    write_promoters(path, columns(6, toy_runs.WINDOW, seed=9))
    assert "the files of valid are not those" in collect(folder).data.missing


def test_a_configuration_that_changed(full, tmp_path):
    config = full[0]
    path = tmp_path / "toy.yaml"
    text = json.dumps(config.dump())
    path.write_text(text)
    assert collect(path).notes == ()
    assert collect(path, ["evaluate.bootstrap=900"]).notes == ()
    (note,) = collect(path, ["model.dropout=0.125"]).notes
    assert "has other settings" in note


def test_a_split_without_simple_models_has_no_column_of_them(tmp_path, monkeypatch):
    config, folder = toy_runs.make_run(tmp_path)
    toy_runs.add_evaluation(folder, config.data.valid[0])
    assert list(collect(folder).baselines) == ["valid"]
    monkeypatch.setattr("raygenex.report.collect.measure_baselines", lambda *arguments: ())
    assert collect(folder).baselines == {}
