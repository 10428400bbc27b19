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

from raygenex.config import RunConfig
from raygenex.data.hdf5 import inspect, read_rows
from raygenex.embed.hyenadna import random_hyenadna
from raygenex.embed.weights import save_backbone, weights_sha256
from raygenex.errors import CheckpointError, ConfigError
from raygenex.explain import run as job
from raygenex.explain.differentiable import LogitFunction
from raygenex.explain.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.layout import SCORES, list_parts, read_manifest, read_parts
from raygenex.explain.run import ExplainResult, explain
from raygenex.predict import Predictor
from raygenex.train.checkpoint import BACKBONE, InputInfo

pytestmark = pytest.mark.usefixtures("ray_cluster")

WINDOW, GENES = 200, 13
EXPLAIN = {"genes": GENES, "rows_per_file": 5, "batch_size": 3, "cpus_per_worker": 0.5, "permutations": 2}
NOTHING = {"projection": None, "halflife": None, "agreement": {}}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Draw nothing; the list has an entry for every time that something would be."""
    drawn: list[str] = []

    def derive(*arguments: Any) -> dict[str, Any]:
        drawn.append("drawn")
        return NOTHING

    monkeypatch.setattr(job, "derive", derive)
    return drawn


@pytest.fixture
def toy(make_config: Callable[..., RunConfig]) -> Callable[..., tuple[RunConfig, str]]:
    """Return a function that makes a configuration and, beside its run, a checkpoint of a tiny model."""

    def make(model: dict[str, Any] | None = None, hyena: bool = False, **sections: Any) -> tuple[RunConfig, str]:
        explained = {**EXPLAIN, **sections.pop("explain", {})}
        config = make_config(model=model or {}, embed={"bin_size": 32}, explain=explained, **sections)
        folder = Path(config.output, "models", "hyena" if hyena else config.model.kind)
        if not folder.exists():
            backbone = random_hyenadna(8, 1, WINDOW + 2, seed=3).eval()
            inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
            if hyena:
                inputs = InputInfo(kind="embedding", length=7, channels=8, window=WINDOW)
            save_toy(folder, config, inputs, backbone_sha256=weights_sha256(backbone) if hyena else None)
            if hyena:
                save_backbone(backbone, folder / BACKBONE)
        return config, str(folder)

    return make


def parts(result: ExplainResult, method: str) -> dict[str, np.ndarray]:
    return read_parts(Path(result.folder, method), result.genes)


def times(result: ExplainResult) -> dict[str, int]:
    folder = Path(result.folder)
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("part-*.npz")}


def chosen(promoters: Path) -> dict[str, np.ndarray]:
    """The explained genes of valid, 81 of them, in one process."""
    rows = [(2 * number + 1) * 81 // (2 * GENES) for number in range(GENES)]
    read = read_rows(inspect(str(promoters / "valid.h5")), 0, 81, WINDOW)
    return {name: column[rows] for name, column in read.items()} | {"row": np.array(rows)}


@pytest.mark.parametrize("hyena", [False, True])
@pytest.mark.usefixtures("undrawn")
def test_parts_hold_what_the_functions_compute_in_one_process(toy, promoters: Path, hyena: bool):
    config, model = toy(hyena=hyena, explain={"methods": ["saliency", "input_x_gradient"], "hypothetical": True})
    result = explain(config, model)
    genes = chosen(promoters)
    function = LogitFunction(Predictor(model))
    slopes = gradient(function, genes["sequence"], genes["halflife"])
    found = parts(result, SCORES)
    assert found["gene_id"].tolist() == genes["gene_id"].tolist()
    assert found["row"].tolist() == genes["row"].tolist()
    assert found["label"].tolist() == genes["label"].tolist()
    probability = Predictor(model).score(genes["sequence"], genes["halflife"])
    np.testing.assert_allclose(found["probability"], probability, rtol=1e-5)
    np.testing.assert_allclose(found["logit"], np.log(probability / (1 - probability)), rtol=1e-4, atol=1e-5)
    assert found["dense"].shape == (GENES, 8)
    expected = {"saliency": saliency(slopes), "input_x_gradient": input_x_gradient(slopes, genes["sequence"])}
    for method, values in expected.items():
        found = parts(result, method)
        assert found["attribution"].dtype == np.float32
        np.testing.assert_allclose(found["attribution"], values, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found["hypothetical"], slopes.astype(np.float16), rtol=1e-2, atol=1e-4)
    assert [(part.start, part.stop) for part in list_parts(Path(result.folder, "saliency"))] == [
        (0, 5),
        (5, 10),
        (10, 13),
    ]


def test_numbers_do_not_depend_on_workers_and_pieces_and_nothing_is_computed_twice(toy, undrawn: list[str]):
    every = ["saliency", "input_x_gradient", "integrated_gradients", "deeplift", "mutagenesis", "halflife"]
    some = {"methods": every, "region": [-4, 3], "reference": "shuffled", "references": 2, "steps": 8}
    one, model = toy(explain=some)
    two, _ = toy(name="two", explain={**some, "workers": 2, "rows_per_file": 3})
    first, second = explain(one, model), explain(two, model)
    assert first.computed == second.computed == GENES * 7
    for method in (SCORES, *every):
        mine, theirs = parts(first, method), parts(second, method)
        assert set(mine) == set(theirs)
        for name, column in mine.items():
            if column.dtype.kind == "f":
                np.testing.assert_allclose(column, theirs[name], rtol=1e-4, atol=1e-6, err_msg=f"{method} {name}")
            else:
                np.testing.assert_array_equal(column, theirs[name])
    assert np.isnan(parts(first, "mutagenesis")["attribution"]).sum(axis=1).tolist() == [WINDOW - 7] * GENES
    assert parts(first, "halflife")["permuted"].shape == (GENES, 2, 8)

    before = times(first)
    again = explain(one, model)
    assert (again.computed, times(again), len(undrawn)) == (0, before, 2)
    assert again.methods == first.methods


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_or_damaged_is_computed_and_nothing_else(toy, caplog: pytest.LogCaptureFixture):
    config, model = toy()
    first = explain(config, model)
    before, values = times(first), parts(first, "saliency")
    missing, damaged = "saliency/part-00000005-00000010.npz", "halflife/part-00000000-00000005.npz"
    Path(first.folder, missing).unlink()
    Path(first.folder, damaged).write_bytes(Path(first.folder, damaged).read_bytes()[:-30])
    Path(first.folder, "saliency", ".part-00000005-00000010.npz.1").write_bytes(b"left by a killed actor")
    again = explain(config, model)
    assert again.computed == 10
    assert damaged in caplog.text
    assert {name for name, time in times(again).items() if time != before[name]} == {missing, damaged}
    assert set(times(again)) == set(before)
    assert not list(Path(first.folder, "saliency").glob(".part*"))
    for name, column in parts(again, "saliency").items():
        np.testing.assert_array_equal(column, values[name])


def test_methods_are_added_and_changed_one_by_one(toy, undrawn: list[str]):
    config, model = toy(explain={"methods": ["saliency"]})
    before = times(explain(config, model))
    more = {"methods": ["mutagenesis"], "region": [0, 2]}
    added = explain(toy(explain=more)[0], model)
    assert added.computed == GENES
    assert {name: time for name, time in times(added).items() if not name.startswith("mutagenesis")} == before
    changed = explain(toy(explain={**more, "region": [0, 3]})[0], model)
    assert changed.computed == GENES
    assert {name: time for name, time in times(changed).items() if not name.startswith("mutagenesis")} == before
    manifest = read_manifest(Path(changed.folder))
    assert manifest is not None
    assert {name: record.complete for name, record in manifest.methods.items()} == {
        "scores": True,
        "saliency": True,
        "mutagenesis": True,
    }
    # What only tables and figures depend on computes nothing.
    assert len(undrawn) == 3
    drawn = explain(toy(explain={**more, "region": [0, 3], "smoothing": 5})[0], model)
    assert (drawn.computed, len(undrawn)) == (0, 4)


@pytest.mark.usefixtures("undrawn")
def test_another_model_or_more_genes_are_refused_and_forced(toy):
    config, model = toy(explain={"methods": ["saliency"]})
    explain(config, model)
    _, other = toy(model={"kind": "cnn_dna_only"})
    more = toy(explain={"methods": ["saliency"], "genes": 14})[0]
    for refused, by, word in (
        (config, other, "another checkpoint"),
        (more, model, "number of genes (13 there, 14 here)"),
    ):
        with pytest.raises(CheckpointError) as found:
            explain(refused, by)
        assert word in str(found.value)
        assert "--force" in str(found.value)
        assert "\n" not in str(found.value)
    result = explain(more, model, force=True)
    assert (result.genes, result.computed) == (14, 28)


def test_tables_and_figures_and_a_model_without_dna(toy):
    config, model = toy(model={"kind": "cnn_halflife_only"}, explain={"methods": ["halflife"]})
    result = explain(config, model)
    folder = Path(result.folder)
    assert (result.window, result.methods["halflife"]["genes"]) == (0, GENES)
    with (folder / "halflife_importance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert result.summary["halflife"]["feature"] == rows[0]["feature"]
    found, scores = parts(result, "halflife"), parts(result, SCORES)
    # Shapley values share out the logit.
    np.testing.assert_allclose(found["attribution"].sum(axis=1) + found["base"], scores["logit"], rtol=1e-4, atol=1e-5)
    assert json.loads((folder / "projection.json").read_text())["genes"] == GENES
    assert {"halflife.svg", "halflife_importance.png", "projection_label.svg"} <= {
        path.name for path in (folder / "figures").iterdir()
    }
    with pytest.raises(ConfigError, match="reads no DNA"):
        explain(toy(model={"kind": "cnn_halflife_only"}, explain={"methods": ["saliency"]})[0], model)


def test_genes_without_labels_have_no_importance_but_everything_else(toy, promoters: Path, tmp_path: Path):
    bare = tmp_path / "bare.h5"
    shutil.copy(promoters / "valid.h5", bare)
    with h5py.File(bare, "r+") as file:
        del file["label"]
    config, model = toy(data={"valid": str(bare)}, explain={"methods": ["saliency", "input_x_gradient", "halflife"]})
    result = explain(config, model)
    folder = Path(result.folder)
    assert parts(result, SCORES)["label"].tolist() == [-1] * GENES
    assert result.summary["halflife"] is None
    assert not (folder / "halflife_importance.csv").exists()
    assert parts(result, "halflife")["permuted"].shape == (GENES, 0, 8)
    with (folder / "importance_saliency.csv").open() as file:
        positions = [int(row["position"]) for row in csv.DictReader(file) if row["group"] == "all"]
    # Simulated windows are centred on the TSS.
    assert positions == list(range(-100, 100))
    assert set(result.summary["agreement"]) == {"saliency and input_x_gradient"}
    assert {"importance_saliency.svg", "top_saliency.png"} <= {path.name for path in (folder / "figures").iterdir()}
    assert any((folder / "logos").iterdir())
    assert (folder / "projection.html").stat().st_size > 10**6
