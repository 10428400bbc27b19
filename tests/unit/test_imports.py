"""What may import what: the contracts of pyproject.toml, and what `--help` and `--dry-run` may load."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_models import save_toy, small_config

import raygenex
from raygenex.cluster.warm_workers import MODULES, RAY_MODULES
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.train.checkpoint import InputInfo

PACKAGE = Path(raygenex.__file__).parent
CONTRACTS = PACKAGE.parent / "pyproject.toml"

# What `raygenex --help` must not wait for.
HEAVY = (
    *("torch", "ray", "mlflow", "transformers", "pandas", "h5py", "sklearn", "scipy", "matplotlib", "pyarrow", "numpy"),
    *("xgboost", "pysam"),
)


def calls(path):
    functions = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {getattr(function, "id", getattr(function, "attr", None)) for function in functions}


def contracts_hold(path):
    # A process of its own: the linter silences the loggers of the one that calls it.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    run = subprocess.run([*command, "--config", str(path), "--no-cache"], capture_output=True, text=True, check=False)
    assert "Contracts: " in run.stdout, run.stdout + run.stderr
    return run.returncode == 0


def test_the_contracts_hold():
    assert contracts_hold(CONTRACTS)


def test_a_contract_that_does_not_hold_is_found(tmp_path):
    text = CONTRACTS.read_text()
    door = '    "raygenex.data.source",\n'
    assert door in text
    (tmp_path / "contracts.toml").write_text(text.replace(door, ""))
    assert not contracts_hold(tmp_path / "contracts.toml")


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda path: path.name)
def test_models_know_no_files(path):
    assert calls(path).isdisjoint({"open", "read_text", "write_text", "load", "save", "save_file", "load_file"})


def test_nothing_is_imported_by_a_string_but_optional_packages():
    # Their full names are in the calls of `extras.require`, and nothing of raygenex is imported so.
    paths = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "extras.py", PACKAGE / "cluster" / "fork_server.py"})
    assert not [name for name in (*MODULES, *RAY_MODULES) if name.startswith("raygenex")]
    assert len(paths) > 200
    assert not [path for path in paths if calls(path) & {"__import__", "import_module"}]


def test_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, raygenex, raygenex.cli.main, raygenex.config.load, raygenex.errors\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


# What `--dry-run` of the main verbs must not wait for.
SLOW = ("torch", "ray", "mlflow", "transformers", "pandas", "sklearn", "scipy", "matplotlib", "xgboost", "optuna")


def test_the_door_for_python_imports_nothing_slow():
    code = f"import sys, raygenex.api\nprint(*[name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("verb", ["train", "embed", "run", "benchmark", "tune", "explain"])
def test_a_dry_run_imports_nothing_slow(verb, tmp_path):
    for number, name in enumerate(("train", "valid")):
        with PromoterWriter(tmp_path / f"{name}.h5", window=60) as writer:
            genes = [f"G{number}{i}" for i in range(8)]
            writer.append(genes, np.zeros((8, 60), np.uint8), np.ones((8, 8)), np.arange(8) % 2)
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: a\noutput: {tmp_path}/runs\nbackbone: {{kind: onehot}}\n"
        f"data: {{train: {tmp_path}/train.h5, valid: {tmp_path}/valid.h5}}\n"
    )
    kinds = ("lstm", "xgboost_kmer", "autoencoder_xgboost", "logistic")
    rows = [{"name": kind, "set": {"model.kind": kind}} for kind in kinds]
    options = {
        "embed": ["-o", "backbone.kind=hyenadna"],
        "benchmark": ["-o", "benchmark.split=valid", "-o", f"benchmark.models={json.dumps(rows)}"],
        "tune": ["-o", "tune.space={train.weight_decay: {uniform: [0, 0.1]}}"],
    }.get(verb, [])
    models = []
    if verb == "explain":
        models = [str(tmp_path / "model")]
        save_toy(Path(models[0]), small_config(), InputInfo(kind="bases", length=60, channels=4, window=60))
    code = (
        f"import sys\nsys.argv = {['raygenex', verb, *models, str(config), '--dry-run', *options]!r}\n"
        "from raygenex.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        f"print('imported', *[name for name in {SLOW!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1].split() == ["imported"]
    assert not (tmp_path / "runs").exists()
