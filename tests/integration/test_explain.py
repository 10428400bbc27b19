"""The explaining job on Ray: the numbers of the functions that it calls, exactly once, resumable, and refusals."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from toy_models import save_toy

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.errors import CheckpointError, ConfigError
from raygenex.explain.methods.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.parts import PARTS, SCORES, folder_of, read_manifest, read_parts
from raygenex.explain.run import explain
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import BACKBONE, InputInfo

pytestmark = pytest.mark.usefixtures("ray_cluster")

WINDOW, GENES = 200, 13
EXPLAIN = {"genes": GENES, "rows_per_file": 5, "batch_size": 3, "cpus_per_worker": 0.5, "permutations": 2}
EVERY = ["saliency", "input_x_gradient", "integrated_gradients", "deeplift", "mutagenesis", "halflife"]
FULL = {"methods": EVERY, "region": [-4, 3], "reference": "shuffled", "references": 2, "steps": 8, "tolerance": 0.1}
NOTHING: dict[str, Any] = {"projection": None, "halflife": None, "agreement": [], "notes": []}
# 200 bases, and bins of 32 of them.
BASES = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
BINS = InputInfo(kind="embedding", length=7, channels=8, window=WINDOW)
Make = Callable[..., RunConfig]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Draw nothing; the list has an entry for every time that something would be."""
    drawn: list[str] = []

    def derive(*arguments: Any) -> dict[str, Any]:
        drawn.append("drawn")
        return NOTHING

    monkeypatch.setattr("raygenex.explain.results.derive.derive", derive)
    return drawn


@pytest.fixture
def toy(make_config: Make) -> Make:
    """Build configurations of tiny models that are explained."""

    def make(**sections: Any) -> RunConfig:
        explained = {**EXPLAIN, **sections.pop("explain", {})}
        return make_config(embed={"bin_size": 32}, explain=explained, **sections)

    return make


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of random weights: ``bases``, ``hyena``, and ``features`` that reads no DNA."""
    folder = tmp_path_factory.mktemp("models")
    small = {"model": {"width": 16, "channels": [8], "dense": [8]}, "halflife": {"channels": [8, 16]}}
    config = parse_config({**small, "embed": {"bin_size": 32}}, "the test's configuration")
    save_toy(folder / "bases", config, BASES)
    backbone = random_hyenadna(8, 1, WINDOW + 2, seed=3).eval()
    save_toy(folder / "hyena", config, BINS, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / "hyena" / BACKBONE)
    alone = {**small, "model": {**small["model"], "kind": "cnn_halflife_only"}}
    save_toy(folder / "features", parse_config(alone, "the test's configuration"), BASES)
    return folder


@pytest.fixture(scope="module")
def finished(models: Path, promoters: Path, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explanation by every method but one, made once; tests work on copies."""
    data = {"valid": str(promoters / "valid.h5")}
    section = {**EXPLAIN, **FULL, "methods": [name for name in EVERY if name != "input_x_gradient"]}
    values = {"output": str(tmp_path_factory.mktemp("explained")), "data": data, "explain": section}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raygenex.explain.results.derive.derive", lambda *arguments: NOTHING)
        result = explain(parse_config(values, "the test's configuration"), str(models / "bases"))
    assert result.computed == GENES * 6
    return Path(result.folder)


def copy_of(finished: Path, config: RunConfig) -> dict[str, int]:
    """Give a configuration the finished explanation; return when each of its parts was written."""
    shutil.copytree(finished, folder_of(config))
    return times(config)


def parts(config: RunConfig, method: str) -> dict[str, np.ndarray]:
    return read_parts(folder_of(config) / method)


def times(config: RunConfig) -> dict[str, int]:
    folder = folder_of(config)
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("part-*.npz")}


def chosen(promoters: Path) -> dict[str, np.ndarray]:
    """The explained genes of valid, 13 of 81, read in one process."""
    rows = [(2 * number + 1) * 81 // (2 * GENES) for number in range(GENES)]
    read = read_rows(inspect(str(promoters / "valid.h5")), 0, 81, WINDOW)
    return {name: column[rows] for name, column in read.items()} | {"row": np.array(rows)}


@pytest.mark.usefixtures("undrawn")
def test_parts_hold_what_the_functions_compute_in_one_process(toy: Make, models: Path, promoters: Path):
    config = toy(explain={"methods": ["saliency", "input_x_gradient"], "hypothetical": True})
    model = str(models / "hyena")
    result = explain(config, model)
    assert (result.genes, result.window, result.window_first, result.window_first_assumed) == (13, 200, -100, False)
    genes = chosen(promoters)
    found = parts(config, SCORES)
    for name in ("gene_id", "row", "label"):
        assert found[name].tolist() == genes[name].tolist()
    probability = Predictor(model).score(genes["sequence"], genes["halflife"])
    np.testing.assert_allclose(found["probability"], probability, rtol=1e-5)
    np.testing.assert_allclose(found["logit"], np.log(probability / (1 - probability)), rtol=1e-4, atol=1e-5)
    assert found["dense"].shape == (GENES, 8)
    slopes = gradient(LogitFunction(Predictor(model)), genes["sequence"], genes["halflife"])
    expected = {"saliency": saliency(slopes), "input_x_gradient": input_x_gradient(slopes, genes["sequence"])}
    scale = float(np.abs(slopes).max())
    for method, values in expected.items():
        found = parts(config, method)
        assert found["attribution"].dtype == np.float32
        np.testing.assert_allclose(found["attribution"], values, rtol=1e-3, atol=1e-5 * scale)
        np.testing.assert_allclose(found["hypothetical"], slopes, rtol=2e-3, atol=1e-3 * scale)
        files = [(part.start, part.stop) for part in PARTS.parts(folder_of(config) / method)]
        assert files == [(0, 5), (5, 10), (10, 13)]


@pytest.mark.usefixtures("undrawn")
def test_numbers_do_not_depend_on_workers_and_pieces(toy: Make, models: Path, finished: Path):
    config = toy(explain={**FULL, "workers": 2, "rows_per_file": 7})
    assert explain(config, str(models / "bases")).computed == GENES * 7
    for folder in (path for path in finished.iterdir() if path.is_dir()):
        mine, theirs = read_parts(folder), parts(config, folder.name)
        assert set(mine) == set(theirs)
        for name, column in mine.items():
            if column.dtype.kind == "f":
                np.testing.assert_allclose(column, theirs[name], rtol=1e-3, atol=1e-5, err_msg=f"{folder.name} {name}")
            else:
                np.testing.assert_array_equal(column, theirs[name])
    unknown = np.isnan(parts(config, "mutagenesis")["attribution"])
    assert unknown.sum(axis=1).tolist() == [WINDOW - 7] * GENES
    assert not unknown[:, 96:103].any()
    found, scores = parts(config, "halflife"), parts(config, SCORES)
    assert found["permuted"].shape == (GENES, 2, 8)
    np.testing.assert_allclose(found["attribution"].sum(axis=1) + found["base"], scores["logit"], rtol=1e-4, atol=1e-5)


def test_what_is_missing_damaged_added_or_changed_is_computed_and_nothing_else(
    toy: Make, models: Path, finished: Path, undrawn: list[str], caplog: pytest.LogCaptureFixture
):
    wanted = {**FULL, "methods": ["saliency", "halflife", "input_x_gradient", "mutagenesis"], "region": [0, 2]}
    config, model = toy(explain=wanted), str(models / "bases")
    before, folder = copy_of(finished, config), folder_of(config)
    values = parts(config, "saliency")
    missing, damaged = "saliency/part-00000005-00000010.npz", "halflife/part-00000000-00000005.npz"
    (folder / missing).unlink()
    (folder / damaged).write_bytes((folder / damaged).read_bytes()[:-30])
    (folder / "saliency" / ".part-00000005-00000010.npz.0123abcd.aside").write_bytes(b"left by a killed actor")
    result = explain(config, model)
    assert (result.computed, undrawn) == (10 + 2 * GENES, ["drawn"])
    assert set(result.methods) == {SCORES, *wanted["methods"]}
    assert damaged in caplog.text
    after = times(config)
    old, new = (times_but_of(found, "mutagenesis", "input_x_gradient") for found in (before, after))
    assert {name for name, time in new.items() if time != old[name]} == {missing, damaged}
    assert set(new) == set(old)
    assert not list((folder / "saliency").glob(".part*"))
    np.testing.assert_allclose(parts(config, "saliency")["attribution"], values["attribution"], rtol=1e-4, atol=1e-7)
    assert np.isfinite(parts(config, "mutagenesis")["attribution"]).sum(axis=1).tolist() == [2] * GENES
    manifest = read_manifest(folder)
    assert manifest is not None
    assert {name for name, record in manifest.methods.items() if record.complete} == {SCORES, *EVERY}

    again = explain(config, model)
    assert (again.computed, times(config), undrawn) == (0, after, ["drawn"])
    assert again.methods == result.methods
    # What only tables and figures depend on computes nothing.
    drawn = explain(toy(explain={**wanted, "smoothing": 5}), model)
    assert (drawn.computed, len(undrawn)) == (0, 2)


@pytest.mark.usefixtures("undrawn")
def test_a_method_that_is_not_asked_for_and_lost_parts_is_left_out(
    toy: Make, models: Path, finished: Path, caplog: pytest.LogCaptureFixture
):
    config = toy(explain={**FULL, "methods": ["halflife"]})
    copy_of(finished, config)
    folder = folder_of(config)
    shutil.rmtree(folder / "saliency")
    for path in (folder / "deeplift").iterdir():
        path.write_bytes(b"")
    assert explain(config, str(models / "bases")).computed == 0
    manifest = read_manifest(folder)
    assert manifest is not None
    assert {name for name, record in manifest.methods.items() if not record.complete} == {"saliency", "deeplift"}
    assert "name saliency in explain.methods" in caplog.text
    assert "name deeplift in explain.methods" in caplog.text


def times_but_of(found: dict[str, int], *methods: str) -> dict[str, int]:
    return {name: time for name, time in found.items() if not name.startswith(methods)}


@pytest.mark.usefixtures("undrawn")
def test_another_model_or_more_genes_are_refused(toy: Make, models: Path, finished: Path):
    config, more = toy(explain={"methods": ["saliency"]}), toy(explain={"methods": ["saliency"], "genes": 4})
    before = copy_of(finished, config)
    refused = ((config, "hyena", "another checkpoint"), (more, "bases", "number of genes (13 there, 4 here)"))
    for other, model, word in refused:
        with pytest.raises(CheckpointError) as found:
            explain(other, str(models / model))
        assert word in str(found.value)
        assert "--force" in str(found.value)
        assert "\n" not in str(found.value)
    assert times(config) == before


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_force_removes_what_is_there(toy: Make, models: Path, finished: Path):
    config = toy(explain={"methods": ["saliency"], "genes": 4})
    copy_of(finished, config)
    result = explain(config, str(models / "bases"), force=True)
    assert (result.genes, result.computed) == (4, 8)
    assert {name.split("/")[0] for name in times(config)} == {SCORES, "saliency"}


def test_methods_that_a_model_cannot_do_are_refused_before_anything_is_written(toy: Make, models: Path):
    for model, method, word in (
        ("features", "saliency", "reads no DNA"),
        ("features", "mutagenesis", "reads no DNA"),
        ("hyena", "deeplift", "integrated_gradients"),
    ):
        config = toy(explain={"methods": [method]})
        with pytest.raises(ConfigError, match=word) as found:
            explain(config, str(models / model))
        assert "\n" not in str(found.value)
        assert not folder_of(config).parent.exists()


@pytest.mark.slow
def test_tables_and_figures_of_a_model_without_dna(toy: Make, models: Path):
    config = toy(explain={"methods": ["halflife"]})
    result = explain(config, str(models / "features"))
    folder = folder_of(config)
    assert (result.window, result.methods["halflife"]["genes"]) == (0, GENES)
    with (folder / "halflife_importance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert result.summary["halflife"]["feature"] == rows[0]["feature"]
    assert json.loads((folder / "projection.json").read_text())["genes"] == GENES
    assert (folder / "projection.html").stat().st_size > 10**6
    assert {"halflife.svg", "halflife_importance.png", "projection_label.svg"} <= {
        path.name for path in (folder / "figures").iterdir()
    }


def test_genes_without_labels_have_no_importance_but_everything_else(
    toy: Make, models: Path, promoters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # To draw them takes most of the time, and is tested by itself.
    for module in ("draw", "explained"):
        monkeypatch.setattr(f"raygenex.explain.results.{module}.save_figure", lambda *arguments: None)
    monkeypatch.setattr("raygenex.explain.results.draw.FEWEST", GENES + 1)
    bare = tmp_path / "bare.h5"
    shutil.copy(promoters / "valid.h5", bare)
    with h5py.File(bare, "r+") as file:
        del file["label"]
    methods = ["saliency", "input_x_gradient", "halflife"]
    config = toy(data={"valid": str(bare)}, explain={"methods": methods, "smoothing": 3})
    result = explain(config, str(models / "bases"))
    folder = folder_of(config)
    assert parts(config, SCORES)["label"].tolist() == [-1] * GENES
    assert result.summary["halflife"] is None
    assert any("needs labels" in note for note in result.summary["notes"])
    assert not (folder / "halflife_importance.csv").exists()
    assert parts(config, "halflife")["permuted"].shape == (GENES, 0, 8)
    with (folder / "importance_saliency.csv").open() as file:
        positions = [int(row["position"]) for row in csv.DictReader(file) if row["group"] == "all"]
    # Simulated windows are centred on the TSS.
    assert positions == list(range(-100, 100))
    assert [(row["method"], row["other"]) for row in result.summary["agreement"]] == [("saliency", "input_x_gradient")]
    captions = json.loads((folder / "figures" / "captions.json").read_text())
    assert {"importance_saliency", "top_saliency", "halflife"} <= set(captions)
    with (folder / "logos" / "saliency.csv").open() as file:
        assert all(int(row["last"]) - int(row["first"]) == 39 for row in csv.DictReader(file))
    assert result.summary["smoothing"] == 3
