"""What is left of tables that were drawn before, and what the summary says of those that are drawn now."""

import numpy as np
import pytest
from toy_models import columns, save_toy, small_config, write_promoters

from raygenex.config.load import parse_config
from raygenex.explain.job import prepare
from raygenex.explain.parts import SCORES, write_part
from raygenex.explain.results import derive
from raygenex.explain.results.explained import Drawn
from raygenex.train.checkpoint import InputInfo

BASES = InputInfo(kind="bases", length=20, channels=4, window=20)


@pytest.fixture
def job(tmp_path):
    save_toy(tmp_path / "checkpoint", small_config(), BASES)
    write_promoters(tmp_path / "valid.h5", columns(3, 20))
    values = {"output": str(tmp_path), "data": {"valid": str(tmp_path / "valid.h5")}, "explain": {"smoothing": 5}}
    config = parse_config(values, "test")
    found = prepare(config, str(tmp_path / "checkpoint"))
    numbers = {name: np.zeros(3) for name in ("label", "logit", "probability")}
    write_part(found.folder / SCORES, 0, {"gene_id": np.array(list("abc")), "dense": np.zeros((3, 0))} | numbers)
    return config, found


def test_nothing_is_left_of_a_method_that_is_left_out(job, monkeypatch):
    config, found = job
    tables = ("importance_saliency.csv", "top_saliency.csv", "top_saliency.npz", "projection.csv", "projection.html")
    for name in (*tables, "logos/saliency.csv"):
        (found.folder / name).parent.mkdir(exist_ok=True)
        (found.folder / name).write_text("of before")
    drawn = []
    monkeypatch.setattr(derive, "draw_results", lambda *arguments: drawn.append(arguments[3]) or Drawn())
    summary = derive.derive(config, found.folder, found.genes, found.manifest)
    # No method is complete.
    assert drawn == [[]]
    assert [path.name for path in found.folder.rglob("*") if path.is_file()] == ["part-00000000-00000003.npz"]
    assert summary["smoothing"] == 5
