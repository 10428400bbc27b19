"""The gate: who becomes champion, who does not, what is written down, and that nothing moves when something fails."""

import shutil
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from toy_models import sentence

from raygenex.config.load import parse_config
from raygenex.errors import CheckpointError, ConfigError, DataError, TrackingError
from raygenex.predict.predictor import Predictor
from raygenex.registry import promote as promotion
from raygenex.registry.history import Event
from raygenex.registry.promote import plan_promote, plan_rollback, promote, rollback
from raygenex.registry.register import CHAMPION
from raygenex.stats.metrics import binary_metrics


def changed(config, **changes):
    return parse_config(config.dump() | changes, "test")


def auroc(toy, run):
    scores = Predictor(Path(run.folder, "checkpoint")).score(toy.genes["sequence"], toy.genes["halflife"])
    return binary_metrics(toy.genes["label"], scores, 0.5)["auroc"]


# Who passes


def test_without_a_champion_the_candidate_is_the_first(toy):
    result = promote(toy.config)
    assert (result.version, result.previous, result.moved, result.auroc) == ("1", None, True, None)
    assert result.passed
    assert toy.champion() == "1"
    (event,) = toy.history()
    assert (event.action, event.before, event.after, event.forced) == ("promote", None, "1", False)
    assert result.text() == "champion: version 1 of toy, the first"


def test_a_better_version_takes_the_place_and_the_numbers_are_kept(toy):
    promote(toy.config, "1")
    before = auroc(toy, toy.runs[0])
    assert before < 0.9
    result = promote(toy.config, "2")
    assert result.moved
    assert toy.champion() == "2"
    found = result.auroc
    assert (found.a, found.b) == (1.0, pytest.approx(before, abs=1e-12))
    assert found.difference == pytest.approx(1.0 - before, abs=1e-12)
    assert 0.0 < found.low <= found.difference <= found.high
    # 400 resamples, none of them at or below 0.
    assert found.p_value == pytest.approx(2 / 401)
    event = toy.history()[-1]
    assert event == Event(
        event.time, "promote", "1", "2", auroc=found, confidence=0.95, genes=60, valid_fingerprint=toy.valid
    )
    assert "champion: version 2 of toy, in place of version 1\nvalid AUROC on 60 genes: 1.0000" in result.text()


@pytest.mark.parametrize("which", ["1", "3"])
def test_a_worse_version_and_a_tie_do_not_pass(toy, which):
    promote(toy.config, "2")
    result = promote(toy.config, which)
    assert not result.moved
    assert not result.passed
    assert result.champion == toy.champion() == "2"
    assert len(toy.history()) == 1
    if which == "3":
        assert (result.auroc.difference, result.auroc.low, result.auroc.high) == (0.0, 0.0, 0.0)
    text = result.text()
    assert f"still version 2 of toy; version {which} is not shown to be better" in text
    assert "95 % interval" in text


def test_the_champion_itself_stays_without_a_comparison(toy):
    promote(toy.config)
    result = promote(toy.config, CHAMPION)
    assert (result.moved, result.passed, result.auroc) == (False, True, None)
    assert len(toy.history()) == 1
    assert result.text() == "champion: version 1 of toy is champion already, nothing changed"


def test_models_of_other_inputs_and_windows_meet_on_the_same_genes(toy):
    promote(toy.config, "1")
    result = promote(toy.config, "6")
    cropped = toy.genes["sequence"][:, 2:18]
    scores = Predictor(Path(toy.runs[5].folder, "checkpoint")).score(cropped, toy.genes["halflife"])
    assert result.auroc.a == pytest.approx(binary_metrics(toy.genes["label"], scores, 0.5)["auroc"], abs=1e-12)
    assert result.auroc.b == pytest.approx(auroc(toy, toy.runs[0]), abs=1e-12)
    assert result.genes == 60


# Force


def test_force_moves_a_worse_version_and_is_recorded_with_the_numbers(toy):
    promote(toy.config, "2")
    result = promote(toy.config, "1", force=True, reason="smaller")
    assert result.moved
    event = toy.history()[-1]
    assert (event.before, event.after, event.forced, event.reason) == ("2", "1", True, "smaller")
    assert event.auroc.high < 0.0
    assert "in place of version 2, forced (smaller)\nvalid AUROC on 60 genes" in result.text()


def test_other_data_are_refused_but_by_force(toy):
    promote(toy.config, "1")
    with pytest.raises(DataError) as info:
        promote(toy.config, "4")
    sentence(info, "version 4", toy.other[:12], "version 1", toy.valid[:12], "--force")
    assert toy.champion() == "1"
    result = promote(toy.config, "4", force=True)
    assert toy.champion() == "4"
    event = toy.history()[-1]
    assert (event.forced, event.reason, event.auroc, event.note) == (True, None, None, str(info.value))
    assert result.text().startswith("champion: version 4 of toy, in place of version 1, forced\nnot compared:")


def test_what_the_tags_refuse_is_neither_downloaded_nor_loaded(toy, monkeypatch):
    promote(toy.config, "1")

    def never(*arguments):
        raise AssertionError("the tags say enough")

    monkeypatch.setattr(promotion, "fetch_contender", never)
    elsewhere = changed(toy.config, data={"valid": str(toy.root / "other.h5")})
    for ask in (promote, lambda config, which: plan_promote(config, which, False, None)):
        with pytest.raises(DataError, match="version 4 was chosen on valid data"):
            ask(toy.config, "4")
        with pytest.raises(DataError, match=r"data\.valid has fingerprint"):
            ask(elsewhere, "2")


def test_versions_without_tags_of_their_data_are_compared_by_their_checkpoints(toy):
    promote(toy.config, "1")
    toy.client.delete_model_version_tag("toy", "4", "raygenex.valid_fingerprint")
    try:
        with pytest.raises(DataError, match="version 4 was chosen on valid data"):
            promote(toy.config, "4")
    finally:
        toy.client.set_model_version_tag("toy", "4", "raygenex.valid_fingerprint", toy.other)


def test_a_configuration_with_other_valid_genes_is_refused(toy):
    promote(toy.config, "1")
    elsewhere = changed(toy.config, data={"valid": str(toy.root / "other.h5")})
    with pytest.raises(DataError) as info:
        promote(elsewhere, "2")
    sentence(info, "data.valid", toy.other[:12], toy.valid[:12], "versions 2 and 1")
    assert toy.champion() == "1"


def test_a_reason_goes_with_force(toy):
    with pytest.raises(ConfigError) as info:
        promote(toy.config, reason="why not")
    sentence(info, "--reason", "--force")
    with pytest.raises(ConfigError, match="1001 letters"):
        promote(toy.config, force=True, reason="x" * 1001)
    assert toy.history() == ()


# Nothing moves when something fails


def test_a_damaged_version_is_refused(toy):
    promote(toy.config, "2")
    version = toy.client.get_model_version("toy", "5")
    (weights,) = (
        path
        for path in Path(toy.root, "runs", "mlartifacts").rglob("model.safetensors")
        if version.source.split("/")[-1] in str(path)
    )
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    try:
        for force in (False, True):
            with pytest.raises(CheckpointError) as info:
                promote(toy.config, "5", force=force)
            sentence(info, "models:/toy/5", "not those that were registered")
    finally:
        weights.write_bytes(whole)
    assert toy.champion() == "2"
    assert len(toy.history()) == 1
    assert not any("toy-5" in path.name for path in Path(toy.root, "runs", "models").iterdir())


def test_a_damaged_champion_can_be_replaced_by_force_alone(toy):
    promote(toy.config, "2")
    promote(toy.config, "5", force=True)
    (copy,) = Path(toy.root, "runs", "models").glob("toy-5-*")
    (copy / "artifacts" / "checkpoint" / "model.safetensors").write_bytes(b"no")
    try:
        with pytest.raises(CheckpointError, match="damaged"):
            promote(toy.config, "2")
        assert toy.champion() == "5"
        promote(toy.config, "2", force=True)
        assert "damaged" in toy.history()[-1].note
    finally:
        shutil.rmtree(copy)


def test_a_move_that_mlflow_refuses_leaves_no_record(toy, monkeypatch):
    promote(toy.config, "1")

    def refuse(self, name, alias, version):
        raise MlflowException("the disk is full")

    monkeypatch.setattr(type(toy.client), "set_registered_model_alias", refuse)
    with pytest.raises(TrackingError, match="the disk is full"):
        promote(toy.config, "2")
    assert toy.champion() == "1"
    assert len(toy.history()) == 1


def test_a_champion_that_moves_meanwhile_is_noticed(toy, monkeypatch):
    promote(toy.config, "1")
    measure = promotion.score_both

    def meanwhile(*arguments):
        toy.client.set_registered_model_alias("toy", CHAMPION, "5")
        return measure(*arguments)

    monkeypatch.setattr(promotion, "score_both", meanwhile)
    with pytest.raises(TrackingError) as info:
        promote(toy.config, "2")
    sentence(info, "moved from version 1 to 5 in the meantime")
    assert toy.champion() == "5"


def test_what_cannot_be_found_is_one_sentence(toy, tmp_path):
    for which in ("9", "best"):
        with pytest.raises(TrackingError) as info:
            promote(toy.config, which)
        sentence(info, f"no version or alias {which}", "6, 5, 4, 3, 2, 1", "candidate")
    with pytest.raises(TrackingError, match="no registered model other"):
        promote(changed(toy.config, tracking={"model_name": "other"}))
    with pytest.raises(TrackingError, match="no registered model toy"):
        promote(changed(toy.config, output=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


# The way back


def test_rollback_goes_back_one_at_a_time(toy):
    with pytest.raises(TrackingError, match="toy has no champion"):
        rollback(toy.config)
    promote(toy.config, "1")
    promote(toy.config, "2")
    promote(toy.config, "5", force=True)
    assert plan_rollback(toy.config) == "rollback: champion of toy from version 5 to version 2"
    result = rollback(toy.config)
    assert (result.champion, result.previous, toy.champion()) == ("2", "5", "2")
    assert result.text() == "champion: version 2 of toy again, in place of version 5"
    assert rollback(toy.config).champion == toy.champion() == "1"
    with pytest.raises(TrackingError, match="no champion before version 1"):
        rollback(toy.config)
    assert [event.action for event in toy.history()] == ["promote"] * 3 + ["rollback"] * 2
    promote(toy.config, "2")
    assert rollback(toy.config).champion == "1"


# Dry runs


def test_dry_runs_say_what_would_happen_and_change_nothing(toy):
    assert plan_promote(toy.config, "1", False, None) == "promote: version 1 of toy becomes the first champion"
    promote(toy.config, "1")
    assert "champion already" in plan_promote(toy.config, "1", False, None)
    assert plan_promote(toy.config, "2", False, None).endswith(
        "version 2 of toy against champion version 1 on valid, by 400 bootstrap resamples"
    )
    assert "whatever the comparison says" in plan_promote(toy.config, "4", True, "x")
    with pytest.raises(DataError, match="version 4"):
        plan_promote(toy.config, "4", False, None)
    assert toy.champion() == "1"
    assert len(toy.history()) == 1
