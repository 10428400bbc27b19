"""Tags of a version, the list, and two versions side by side."""

import getpass
import json
import re
from pathlib import Path

import pytest
from toy_models import save_toy, sentence, small_config

from raygenex import __version__
from raygenex.config.load import parse_config
from raygenex.errors import ConfigError
from raygenex.registry import versions
from raygenex.registry.compare import compare
from raygenex.registry.promote import promote
from raygenex.registry.register import register
from raygenex.registry.versions import Registry, list_versions
from raygenex.stats.metrics import METRICS
from raygenex.train.checkpoint import InputInfo


def test_a_version_says_where_it_comes_from(toy):
    tags = toy.client.get_model_version("toy", "2").tags
    train = "a" * 64 + "," + "b" * 64
    assert tags["raygenex.config_hash"] == toy.runs[1].hash()
    assert (tags["raygenex.data_fingerprint"], tags["raygenex.train_fingerprint"]) == (train, train)
    assert tags["raygenex.valid_fingerprint"] == toy.valid
    assert tags["raygenex.version"] == __version__
    assert (tags["raygenex.run_name"], tags["raygenex.model_kind"]) == ("best", "cnn_halflife_encoded")
    assert (tags["valid_auroc"], tags["valid_f1"]) == ("0.700000", "0.250000")
    assert len(tags["raygenex.checkpoint_sha256"]) == 64
    assert tags["mlflow.user"] == getpass.getuser()
    assert "raygenex.parent_run" not in tags


def test_the_list_shows_every_version_and_every_champion(toy):
    promote(toy.config, "1")
    promote(toy.config, "2")
    promote(toy.config, "5", force=True, reason="a test")
    listing = list_versions(toy.config)
    assert [version.version for version in listing.versions] == ["6", "5", "4", "3", "2", "1"]
    assert listing.versions[1].aliases == ("champion",)
    assert listing.versions[-1].metrics == {"auroc": 0.6, "f1": 0.25}
    lines = listing.text().splitlines()
    row = next(line for line in lines if line.startswith("4 "))
    assert "elsewhere" in row
    assert toy.other[:12] in row
    assert toy.runs[3].hash() in row
    assert lines[-3].endswith("version 1, the first")
    assert "version 2 in place of version 1, valid AUROC +" in lines[-2]
    assert lines[-1].endswith("forced: a test")


def test_the_list_does_not_tell_the_password(toy, monkeypatch):
    registry = Registry(toy.config)
    registry.tracker.uri = "postgresql://me:hunter2@h/db"
    monkeypatch.setattr(versions, "Registry", lambda config: registry)
    listing = list_versions(toy.config)
    assert listing.uri == "postgresql://h/db"
    assert listing.text().startswith("toy in postgresql://h/db\n")


def test_two_versions_side_by_side(toy):
    promote(toy.config, "1")
    result = compare(toy.config, "2")
    assert (result.a.version, result.b.version, result.genes) == ("2", "1", 60)
    assert result.settings == {"name": ("best", "random"), "train.epochs": ("7", "50")}
    assert (result.same_train, result.same_valid, result.note) == (True, True, None)
    assert set(result.metrics) == set(METRICS)
    assert result.metrics["auroc"].a == 1.0
    assert result.metrics["brier"].difference == pytest.approx(
        result.metrics["brier"].a - result.metrics["brier"].b, abs=1e-12
    )
    text = result.text()
    assert "a: version 2, run best, cnn_halflife_encoded" in text
    assert "b: version 1 (candidate, champion), run random" in text
    assert "train.epochs  7     50" in text
    assert "train data: the same; valid data: the same" in text


def test_thresholds_of_their_own(toy):
    result = compare(toy.config, "2", "3")
    assert result.metrics["auroc"].difference == 0.0
    # Twice the same scores, cut at 0.5 and at 0.25.
    assert result.metrics["recall"].a < result.metrics["recall"].b


def test_versions_of_other_data_are_described_not_compared(toy):
    result = compare(toy.config, "2", "4")
    assert (result.metrics, result.genes, result.same_valid) == ({}, None, False)
    text = result.text()
    assert "not compared on the same genes: version 2 was chosen on valid data" in text
    assert re.search(r"^auroc +0.7000  0.6000$", text, re.M)
    assert "valid data: different" in text


def test_a_version_is_not_compared_with_itself(toy):
    promote(toy.config)
    with pytest.raises(ConfigError) as info:
        compare(toy.config)
    sentence(info, "candidate and champion are both version 1")


# The command line


def test_a_version_that_does_not_pass_is_exit_code_1(toy, raygenex, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(toy.config.dump()))
    assert raygenex("registry", "promote", path, "--version", "2", "--dry-run")[:2] == (
        0,
        "promote: version 2 of toy becomes the first champion\n",
    )
    assert raygenex("registry", "promote", path, "--version", "2")[0] == 0
    code, out, err = raygenex("registry", "promote", path, "--json")
    assert code == 1
    assert "Traceback" not in err
    found = json.loads(out)
    assert (found["champion"], found["moved"]) == ("2", False)
    assert found["auroc"]["low"] < 0
    code, out, err = raygenex("registry", "rollback", path)
    assert (code, out) == (2, "")
    assert err.startswith("error: toy had no champion before version 2")
    code, out, _ = raygenex("registry", "list", path, "--json")
    assert code == 0
    assert json.loads(out)["history"][0]["after"] == "2"
    code, out, _ = raygenex("registry", "compare", path, "--json")
    assert code == 0
    assert json.loads(out)["settings"]["name"] == ["random", "best"]


def test_register_and_promote_in_one(toy, raygenex, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(toy.runs[1].dump()))
    code, out, _ = raygenex("register", path, "--promote", "--dry-run")
    assert (code, len(out.splitlines())) == (0, 2)
    code, out, _ = raygenex("register", path, "--promote")
    assert code == 0
    assert out.splitlines()[1] == "champion: version 2 of toy, the first"
    path.write_text(json.dumps(toy.runs[0].dump()))
    code, out, _ = raygenex("register", path, "--promote", "--json")
    assert code == 1
    found = json.loads(out)
    assert (found["registered"]["version"], found["promotion"]["champion"]) == ("1", "2")


# Names


def named_run(folder, name):
    values = small_config(tracking={"model_name": name}).dump() | {"output": str(folder)}
    config = parse_config(values, "test")
    inputs = InputInfo(kind="bases", length=20, channels=4, window=20)
    fingerprints = {"train": ["a" * 64], "valid": ["b" * 64]}
    save_toy(Path(config.folder, "checkpoint"), config, inputs, fingerprints=fingerprints)
    return config


@pytest.mark.parametrize("name", ["l'expression", 'the "best"'])
def test_a_name_with_a_quote_is_found_again(tmp_path, name):
    config = named_run(tmp_path, name)
    assert register(config).text().startswith(f"model: registered as version 1 of {name}")
    assert register(config).reused
    assert [version.version for version in list_versions(config).versions] == ["1"]


def test_a_name_with_both_quotes_is_refused(tmp_path):
    with pytest.raises(ConfigError) as info:
        register(named_run(tmp_path, "a'b\""))
    sentence(info, "tracking.model_name a'b\"", "both kinds of quotes")
