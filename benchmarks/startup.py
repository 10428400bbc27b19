"""From the command to its first answer: ``--help``, every verb's ``--dry-run``, and the parts of a training's start.

    python benchmarks/startup.py

The seconds are of whole processes, Python's own start among them; those of the processor leave out what other load
and the disk add, and do not depend on how busy the machine is. The training has 64 genes, so that its first epoch is
its first steps.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import print_table

HEAVY = ("torch", "ray", "mlflow", "transformers", "pandas", "scipy", "matplotlib", "pyarrow", "h5py", "numpy")
NEED_MODEL = ("evaluate", "register", "predict", "explain")
COMMAND = (
    "import sys\n"
    "from raygenex.cli.main import main\n"
    "try:\n    main()\nfinally:\n"
    f"    print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
)


def write_data(folder: Path) -> Path:
    from raygenex.data.hdf5.write import PromoterWriter

    rng = np.random.default_rng(0)
    for name, genes in (("train", 64), ("valid", 32), ("test", 32)):
        with PromoterWriter(folder / f"{name}.h5", window=60) as writer:
            bases = rng.integers(0, 4, (genes, 60)).astype(np.uint8)
            names = [f"{name}{gene}" for gene in range(genes)]
            writer.append(names, bases, rng.normal(size=(genes, 8)), np.arange(genes) % 2)
    config = folder / "run.yaml"
    data = ", ".join(f"{name}: {folder}/{name}.h5" for name in ("train", "valid", "test"))
    config.write_text(
        f"name: start\noutput: {folder}/runs\ndata: {{{data}}}\nbackbone: {{kind: onehot}}\n"
        "model: {kind: cnn_dna_only, width: 16, channels: [16], dense: [16]}\n"
        "train: {epochs: 1, workers: 1, global_batch_size: 32}\n"
        "tune: {space: {train.learning_rate: {log_uniform: [0.0001, 0.01]}}}\n"
    )
    return config


def timed(arguments: list[str]) -> tuple[float, float, str, int]:
    """Return seconds, seconds of the processor, what was imported, and the exit status of a command."""
    before, started = os.times(), time.perf_counter()
    code = f"import sys; sys.argv = {['raygenex', *arguments]!r}\n{COMMAND}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - started, os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return seconds, used, (ended.stderr.splitlines() or [""])[-1], ended.returncode


def verbs(config: Path) -> dict[str, list[str]]:
    plain = {name: [name, str(config), "--dry-run"] for name in ("train", "run", "evaluate", "register", "benchmark")}
    return {
        "--help": ["--help"],
        **plain,
        "embed": ["embed", str(config), "--dry-run", "-o", "backbone.kind=hyenadna"],
        "tune": ["tune", str(config), "--dry-run"],
        "predict": ["predict", str(config), f"{config.parent}/test.h5", "--output", "x.csv", "--dry-run"],
        "explain": ["explain", str(config), "--dry-run"],
    }


def watch_training(config: str) -> None:
    """Train in this process, and print the seconds of each part of the start as JSON."""
    began = time.perf_counter()
    parts: dict[str, float] = {}

    def mark(name: str, holder: Any, attribute: str) -> None:
        call: Callable[..., Any] = getattr(holder, attribute)

        def measured(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                parts[name] = parts.get(name, 0.0) + time.perf_counter() - started

        setattr(holder, attribute, measured)

    from raygenex.cluster import connect, embedded
    from raygenex.config.load import load_config
    from raygenex.tracking import runs
    from raygenex.train import run

    parts["imports of the command"] = time.perf_counter() - began
    settings = load_config(Path(config), ())
    mark("checks of data and leaks", run, "open_splits")
    mark("checks of data and leaks", run, "open_inputs")
    mark("checks of data and leaks", run, "guard")
    mark("MLflow: import, its database", runs.Tracker, "__init__")
    mark("MLflow: the run", runs.Tracker, "start")
    mark("Ray: import", connect, "_quieten")
    mark("Ray: start, beside it the import of torch", embedded, "_start")

    from raygenex.train.training import TrackedTraining

    shower = TrackedTraining.epoch_shower

    def first_epoch(self: TrackedTraining, advance: Any) -> Any:
        parts["begun"] = time.perf_counter()
        show = shower(self, advance)

        def shown(numbers: Any) -> Any:
            parts.setdefault("epoch", time.perf_counter())
            return show(numbers)

        return shown

    TrackedTraining.epoch_shower = first_epoch
    fit = run._fit

    def fitted(*arguments: Any) -> Any:
        parts["fit"] = time.perf_counter()
        return fit(*arguments)

    run._fit = fitted
    run.train(settings)
    parts["training: import of Ray Train"] = parts["begun"] - parts.pop("fit")
    parts["training: workers, first batch, first epoch"] = parts["epoch"] - parts.pop("begun")
    total = parts.pop("epoch") - began
    print(json.dumps(parts | {"in all, to the first epoch's end": total}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train", metavar="CONFIG", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        watch_training(options.train)
        return
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = write_data(Path(folder))
        for verb, arguments in verbs(config).items():
            # Verbs that need a trained model refuse, after what comes before; no other may.
            assert timed(arguments)[3] == 0 or verb in NEED_MODEL, verb
            found = [timed(arguments) for _ in range(options.repeats)]
            wall, used = (statistics.median(run[column] for run in found) for column in (0, 1))
            what = verb if verb.startswith("-") else f"{verb} --dry-run"
            note = found[0][2] or "nothing of these"
            rows.append(
                (what, f"{wall:.2f}", f"{used:.2f}", note + (" (refused: no model yet)" if found[0][3] else ""))
            )
        command = [sys.executable, __file__, "--train", str(config)]
        trained = []
        for _ in range(options.repeats):
            shutil.rmtree(f"{folder}/runs", ignore_errors=True)
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            trained.append(json.loads(output.splitlines()[-1]))
        for part in trained[0]:
            rows.append((f"train: {part}", f"{statistics.median(run[part] for run in trained):.2f}", "", ""))
    print_table(("what", "seconds", "of the processor", "imported"), rows)


if __name__ == "__main__":
    main()
