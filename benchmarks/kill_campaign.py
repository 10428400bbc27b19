"""Kills of `data build`, `embed`, `tune`, `benchmark` and `explain` at random moments, and what they leave in the end.

Each command runs undisturbed once. Then it is started in another folder and its driver killed with SIGKILL, at moments
drawn evenly from the time it took, until it was killed often enough; and once more to its end. What both wrote must be
equal: the values of HDF5 files and arrays, the bytes of Parquet and CSV, the parameters and histories of trials, and
all numbers of a comparison but seconds and memory. Hidden files that are left are named too.

``data build`` is tried on the yeast genome of ``--yeast``, a folder as `jobs/yeast.yaml` takes it.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from toy_chaos import GONE_S, MARK, leftovers, marked, records_of  # noqa: E402
from toy_commands import Command  # noqa: E402

from raygenex.config.data import SimulateConfig  # noqa: E402
from raygenex.config.load import load_config  # noqa: E402
from raygenex.config.run import RunConfig  # noqa: E402
from raygenex.data.simulate.run import simulate  # noqa: E402

# What differs between two trainings of the same thing.
_COSTS = {"seconds", "peak_mb"}


def main() -> None:
    """Run the campaign and print the table; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yeast", type=Path, default=Path("data/yeast"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=VERBS)
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["YEAST"] = str(options.yeast.absolute())
    from measure import print_table

    rows, problems = [], []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for verb in options.verbs:
            draw = random.Random(f"{options.seed} {verb}")
            seconds, moments, found = campaign(verb, Path(folder, verb.replace(" ", "-")), options.kills, draw)
            shown = ", ".join(f"{moment:.1f}" for moment in moments)
            rows.append((verb, len(moments), f"{seconds:.1f}", shown, "; ".join(found) or "equal"))
            problems += found
            print(rows[-1], flush=True)
    print_table(("command", "kills", "undisturbed (s)", "killed after (s)", "what is left"), rows)
    sys.exit(1 if problems else 0)


def campaign(verb: str, folder: Path, kills: int, draw: random.Random) -> tuple[float, list[float], list[str]]:
    """Return the seconds of an undisturbed run, the moments of the kills, and what differs in the end."""
    read = VERBS[verb]
    paths = [_prepare(folder / name, verb) for name in ("undisturbed", "killed")]
    if verb == "explain":
        _run(["train", str(paths[0])])
        shutil.copytree(*(load_config(path).folder for path in paths))
    started = time.monotonic()
    _run([*verb.split(), str(paths[0])])
    seconds = time.monotonic() - started
    killed = load_config(paths[1])
    study = Path(killed.folder, "tune", "study.json")
    moments: list[float] = []
    while len(moments) < kills:
        moment = draw.uniform(0.0, seconds)
        if _run([*verb.split(), str(paths[1]), *(["--resume"] if study.exists() else [])], moment):
            moments.append(moment)
        else:
            # It came to its end, and the next would have nothing to do.
            for made in MADE[verb]:
                shutil.rmtree(Path(killed.output, made))
    _run([*verb.split(), str(paths[1]), *(["--resume"] if study.exists() else [])])
    one, other = (read(load_config(path)) for path in paths)
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    found = [f"{name} differs" for name in names] or ([] if one else ["nothing was written"])
    return seconds, moments, found + leftovers(killed)


def _run(arguments: list[str], moment: float | None = None) -> bool:
    """Run a command to its end, or kill its driver after some seconds; return whether it was killed."""
    mark = uuid.uuid4().hex
    command = Command(*arguments, environment={MARK: mark})
    try:
        if moment is None:
            command.finish()
            return False
        time.sleep(moment)
        killed = command.code() is None
        command.kill()
        deadline = time.monotonic() + GONE_S
        while marked(f"{MARK}={mark}".encode()):
            assert time.monotonic() < deadline, f"processes are left after {GONE_S:.0f} s"
            time.sleep(0.2)
        return killed
    finally:
        command.close()


def _prepare(folder: Path, verb: str) -> Path:
    """Write the configuration of a run, and the simulated genes that all verbs but one read."""
    yeast = yaml.safe_load((ROOT / "jobs" / "yeast.yaml").read_text(encoding="utf-8"))
    values: dict[str, Any] = {
        "name": "run",
        "output": str(folder / "runs"),
        "data": {name: str(folder / "runs" / "data" / f"{name}.h5") for name in ("train", "valid", "test")},
        "halflife": {"channels": [8, 16], "epochs": 2},
        "model": {"width": 16, "channels": [8], "dense": [8]},
        "train": {"epochs": 6, "global_batch_size": 16, "workers": 1, "learning_rate": 1e-3},
        "evaluate": {"bootstrap": 100},
    }
    if verb == "data build":
        values |= {"build": yeast["build"], "split": yeast["split"]}
    else:
        simulate(SimulateConfig(train=240, valid=80, test=80, window=400, seed=3), folder / "runs" / "data")
    if verb == "embed":
        values["backbone"] = {"kind": "hyenadna", "d_model": 32, "n_layer": 2}
        values["embed"] = {"bin_size": 20, "batch_size": 4, "rows_per_file": 8, "max_actors": 2}
    if verb == "tune":
        first = [{"model.dropout": number / 10} for number in range(4)]
        values["tune"] = {"space": {"model.dropout": {"uniform": [0.0, 0.5]}}, "trials": 4, "parallel": 2}
        # What a sampler proposes may be something else after an interruption; these settings are given.
        values["tune"] |= {"sampler": "random", "first": first, "seeds": [], "stop_early": False}
    if verb == "benchmark":
        rows = [{"name": kind, "set": {"model.kind": kind}} for kind in ("cnn_dna_only", "logistic")]
        values["benchmark"] = {"models": rows, "seeds": [0, 1], "split": "test"}
    if verb == "explain":
        values["explain"] = {"methods": ["saliency", "mutagenesis"], "region": [-20, 20], "genes": 40}
        values["explain"] |= {"rows_per_file": 4}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _digest(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()


def _parts(handle: h5py.File) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = []
    handle.visititems(lambda key, item: parts.append((key, item)))
    return parts


def _of_part(key: str, item: Any) -> tuple[str, str, list[tuple[str, str]]]:
    values = np.asarray(item[()]) if isinstance(item, h5py.Dataset) else np.empty(0)
    data = _digest(values.tolist() if values.dtype.hasobject else values.tobytes())
    return key, data, sorted((name, str(value)) for name, value in item.attrs.items())


def _files(root: Path, suffixes: set[str]) -> dict[str, str]:
    """Return a digest of what each file of some kinds holds, by its path below a folder."""
    found = {}
    for path in root.rglob("*"):
        if path.suffix not in suffixes:
            continue
        name = str(path.relative_to(root))
        if path.suffix == ".h5":
            with h5py.File(path) as handle:
                parts = [_of_part(key, item) for key, item in _parts(handle)]
            found[name] = _digest(parts)
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = _digest([(key, arrays[key].dtype.str, arrays[key].tolist()) for key in sorted(arrays)])
        else:
            found[name] = _digest(path.read_bytes())
    return found


def _built(config: RunConfig) -> dict[str, str]:
    return _files(Path(config.output), {".h5", ".csv", ".tsv"})


def _embedded(config: RunConfig) -> dict[str, str]:
    return _files(Path(config.store), {".parquet"})


def _tuned(config: RunConfig) -> dict[str, str]:
    records = records_of(config)
    return {f"trial {number}": _digest((one.state, one.params, one.history)) for number, one in records.items()}


def _benchmarked(config: RunConfig) -> dict[str, str]:
    tables = json.loads(Path(config.folder, "benchmark", "tables.json").read_text(encoding="utf-8"))

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key not in _COSTS}
        return [without(item) for item in value] if isinstance(value, list) else value

    return {key: _digest(without(value)) for key, value in tables.items()}


def _explained(config: RunConfig) -> dict[str, str]:
    return _files(Path(config.folder, "explain"), {".npz", ".csv", ".svg"})


VERBS: dict[str, Callable[[RunConfig], dict[str, str]]] = {
    "data build": _built,
    "embed": _embedded,
    "tune": _tuned,
    "benchmark": _benchmarked,
    "explain": _explained,
}
MADE = {
    "data build": ["data"],
    "embed": ["run/embeddings"],
    "tune": ["run/tune"],
    "benchmark": ["run/benchmark"],
    "explain": ["run/explain"],
}


if __name__ == "__main__":
    main()
