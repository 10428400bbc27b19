"""The notebooks of the documentation run from their first cell to their last, on the Ray of all tests."""

import json
import os
import shutil
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"


def read_cells(name: str) -> list[dict]:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_notebook(name: str, folder: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Run the cells of a notebook one after another and return its variables.

    In this process and not in a kernel of its own, which would start another Ray.
    """
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    (folder / "runs").mkdir()
    shutil.copy(mlflow_template, folder / "runs" / "mlflow.db")
    monkeypatch.chdir(folder)
    matplotlib.use("Agg")
    variables: dict = {}
    for cell in read_cells(name):
        exec("".join(cell["source"]), variables)
    matplotlib.pyplot.close("all")
    return variables


@pytest.mark.slow
def test_the_demo(ray_cluster: None, tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch):
    found = run_notebook("demo", tmp_path, mlflow_template, monkeypatch)
    assert found["result"].registered.version == "1"
    assert len(found["history"]) == 10
    assert found["test"].metrics["auroc"].value > 0.6
    scores = found["model"].predict_table(found["genes"])
    assert scores.index.tolist() == ["even", "rich in GC", "rich in AT"]


@pytest.mark.slow
def test_real_promoters(
    ray_cluster: None, shared_data: Path, tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch
):
    if not (shared_data / "core60").is_dir():
        pytest.skip(f"there is no {shared_data / 'core60'}")
    monkeypatch.setenv("RAYGENEX_SHARED_DATA", os.path.abspath(shared_data))
    found = run_notebook("promoters", tmp_path, mlflow_template, monkeypatch)
    assert found["splits"]["train"].rows == 12681
    assert found["result"].genes == 989
    assert found["result"].metrics["auroc"].value > 0.7


@pytest.mark.parametrize("name", ["demo", "promoters"])
def test_outputs_name_no_folder_of_a_machine(name: str):
    outputs = [cell["outputs"] for cell in read_cells(name)]
    assert any(outputs), "run the notebook before it is kept"
    text = json.dumps(
        [entry.get("text", entry.get("data", {}).get("text/plain")) for cell in outputs for entry in cell]
    )
    assert not [word for word in ("/home/", "/root/", "/work/", "/tmp/", "/Users/") if word in text]
