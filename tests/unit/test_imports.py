"""Who may import whom, read from the source of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import raygenex
from raygenex.data.hdf5.write import PromoterWriter

PACKAGE = Path(raygenex.__file__).parent

# From left to right; a module may import its own room and those before it.
ROOMS = (
    (
        "raygenex",
        "raygenex.redact",
        "raygenex.errors",
        "raygenex.files.json_file",
        "raygenex.config.yaml_file",
        "raygenex.sequence",
        "raygenex.config.load",
        "raygenex.config.data",
        "raygenex.config.model",
        "raygenex.config.run",
        "raygenex.config.tune",
        "raygenex.config.explain",
        "raygenex.config.variants",
    ),
    (
        "raygenex.cluster.connect",
        "raygenex.files.leftovers",
        "raygenex.files.lock",
        "raygenex.terminal.progress",
        "raygenex.terminal.signals",
        "raygenex.files.whole",
        "raygenex.stats.metrics",
        "raygenex.drawing.figures",
        "raygenex.drawing.html",
        "raygenex.drawing.svg",
        "raygenex.tracking.outbox",
        "raygenex.tracking.runs",
    ),
    ("raygenex.data",),
    ("raygenex.embed",),
    ("raygenex.models",),
    ("raygenex.train",),
)

MAY_IMPORT = {
    "ray": {
        "raygenex.cluster.connect",
        "raygenex.cluster.dashboard",
        "raygenex.data.build.extract",
        "raygenex.data.source",
        "raygenex.embed.run",
        "raygenex.explain.run",
        "raygenex.train.tables.autoencoder_worker",
        "raygenex.train.tables.autoencoder",
        "raygenex.train.tables.boosted_workers",
        "raygenex.train.checkpoint",
        "raygenex.train.network.halflife_stage",
        "raygenex.train.network.loop",
        "raygenex.train.network.driver",
        "raygenex.train.epoch_log",
        "raygenex.train.worker",
        "raygenex.predict.run",
        "raygenex.tune.search",
        "raygenex.tune.shared",
        "raygenex.tune.trial",
        "raygenex.tune.tuner",
        "raygenex.tune.callback",
        "raygenex.benchmark.jobs",
        "raygenex.serve",
        "raygenex.variants.run",
    },
    "mlflow": {"raygenex.tracking.runs", "raygenex.registry.register", "raygenex.registry.served_model"},
    "h5py": {"raygenex.data.hdf5.read"},
    "isal": {"raygenex.data.hdf5.chunks"},
    "pysam": {"raygenex.data.genome", "raygenex.variants.records"},
    "gffutils": {"raygenex.data.build.gff"},
}

# What `raygenex --help` must not wait for.
HEAVY = (
    *("torch", "ray", "mlflow", "transformers", "pandas", "h5py", "sklearn", "scipy", "matplotlib", "pyarrow", "numpy"),
    "xgboost",
    *("pysam", "gffutils"),
)


def module_name(path):
    parts = ["raygenex", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_in(module, parent):
    return module == parent or module.startswith(parent + ".")


def tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(node):
    """Return the full names of everything imported anywhere below a node; `from a import b` is `a.b` (and `a`)."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            found |= {alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and not part.level:
            found.add(part.module)
            found |= {f"{part.module}.{alias.name}" for alias in part.names}
    return found


def own_imports(module):
    """Return the modules of this package that a module imports."""
    return {name for name in imports(tree(module)) if name in MODULES and name != module}


def room(module):
    """Return the number of a module's room; what is in no room stands behind all of them."""
    for number, parents in enumerate(ROOMS):
        if module in parents or any(is_in(module, parent) for parent in parents if parent != "raygenex"):
            return number
    return len(ROOMS)


def test_the_list_of_modules_is_complete():
    assert {"raygenex", "raygenex.cli.main", "raygenex.data.hdf5.read", "raygenex.train.network.loop"} <= set(MODULES)
    assert imports(ast.parse("def f():\n    from a.b import c\nimport d.e as g")) == {"a.b", "a.b.c", "d.e"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_to_the_right_of_itself(module):
    later = {name for name in own_imports(module) if room(name) > room(module)}
    assert later == set()


@pytest.mark.parametrize(
    ("parent", "never"),
    [
        ("raygenex.data", ("raygenex.embed", "raygenex.models", "raygenex.train")),
        ("raygenex.embed", ("raygenex.models", "raygenex.train")),
        ("raygenex.models", ("raygenex.train", "ray", "mlflow", "h5py", "pathlib", "os", "io", "json", "safetensors")),
        ("raygenex.sequence", ("raygenex",)),
        ("raygenex.redact", ("raygenex",)),
        ("raygenex.errors", ("raygenex.config.load", "raygenex.data", "raygenex.sequence")),
        ("raygenex.train", ("h5py", "mlflow")),
        (
            "raygenex.explain",
            ("raygenex.variants", "raygenex.benchmark", "raygenex.tune", "raygenex.registry", "raygenex.report"),
        ),
        (
            "raygenex.variants",
            ("raygenex.explain", "raygenex.benchmark", "raygenex.tune", "raygenex.registry", "raygenex.report"),
        ),
        ("raygenex.predict.run", ("raygenex.explain", "raygenex.variants", "raygenex.report")),
    ],
)
def test_forbidden_arrows(parent, never):
    for module in MODULES:
        if is_in(module, parent):
            found = {name for name in imports(tree(module)) for other in never if is_in(name, other)}
            assert found == set(), module


@pytest.mark.parametrize("module", [name for name in MODULES if is_in(name, "raygenex.models")])
def test_models_know_no_files(module):
    calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    names = {getattr(func, "id", getattr(func, "attr", None)) for func in calls}
    assert names.isdisjoint({"open", "read_text", "write_text", "load", "save", "save_file", "load_file"})


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_some_packages_have_few_doors(package):
    found = {module for module in MODULES if any(is_in(name, package) for name in imports(tree(module)))}
    assert found - MAY_IMPORT[package] == set()


def test_checkpoints_ask_ray_for_its_version_alone():
    with_ray = [
        node for node in tree("raygenex.train.checkpoint").body if any(is_in(name, "ray") for name in imports(node))
    ]
    assert [getattr(node, "name", "import") for node in with_ray] == ["package_versions"]


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute(module):
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree(module)))


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_by_a_string(module):
    calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    names = {getattr(func, "id", getattr(func, "attr", None)) for func in calls}
    assert names.isdisjoint({"__import__", "import_module"})


def test_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, raygenex, raygenex.cli.main, raygenex.config.load, raygenex.errors\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


# What `--dry-run` of the main verbs must not wait for.
SLOW = ("torch", "ray", "mlflow", "transformers", "pandas", "sklearn", "scipy", "matplotlib", "xgboost")


@pytest.mark.parametrize("verb", ["train", "embed", "run"])
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
    options = [] if verb != "embed" else ["-o", "backbone.kind=hyenadna"]
    code = (
        f"import sys\nsys.argv = {['raygenex', verb, str(config), '--dry-run', *options]!r}\n"
        "from raygenex.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        f"print('imported', *[name for name in {SLOW!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1].split() == ["imported"]
    assert not (tmp_path / "runs").exists()
