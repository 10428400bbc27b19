"""Random kills over embed, train and tune, and what the artefacts must be in the end.

`chaos` runs the three commands undisturbed, then again with kills, each of which is drawn from a seed: what dies, how
far the command is by then, and how long after that. The training runs on a cluster of several nodes, the others on an
embedded Ray. Only processes that were started here are killed.
"""

import json
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import psutil
import pyarrow.parquet as pq
import yaml
from safetensors import safe_open
from toy_cluster import ToyCluster
from toy_commands import Command, below, last_epoch, wait_for, write

from raygenex.config.data import SimulateConfig
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.simulate.run import simulate
from raygenex.embed.store import list_shards
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info
from raygenex.tune.records import Ledger, TrialRecord

MARK = "RAYGENEX_CHAOS"
"""The variable that all processes below a command inherit, by which orphans are known."""
# Ray's agents of a driver that was killed at once try for up to a minute to tell its control plane, which is gone too.
GONE_S = 90.0
ACTOR, WORKER, TRIAL, NODE = "embedding actor", "training worker", "trial", "node"
DRIVERS = {"driver, SIGKILL": signal.SIGKILL, "driver, SIGTERM": signal.SIGTERM, "driver, Ctrl-C": signal.SIGINT}
_TITLES = {ACTOR: "MapWorker", WORKER: "RayTrainWorker", TRIAL: "ResourceTrainable"}
# Processes of a cluster that serve all its jobs, and workers that wait for the next one.
_OF_THE_CLUSTER = (
    *("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent"),
    *("ray::_StatsActor", "ray::_AutoscalingCoordinatorActor", "ray::_UsageCollectionActor"),
)
Plan = dict[str, dict[str, int]]
"""By stage: kills of each kind."""
TWENTY: Plan = {
    "embed": {ACTOR: 5, "driver, SIGKILL": 1, "driver, Ctrl-C": 1},
    "train": {WORKER: 3, NODE: 2, "driver, SIGKILL": 1, "driver, SIGTERM": 1},
    "tune": {TRIAL: 4, "driver, SIGKILL": 1, "driver, SIGTERM": 1},
}
NINE: Plan = {
    "embed": {ACTOR: 2, "driver, SIGKILL": 1},
    "train": {WORKER: 1, NODE: 1, "driver, SIGTERM": 1},
    "tune": {TRIAL: 2, "driver, Ctrl-C": 1},
}
"""Every kind, in a third of the time: each driver that dies starts a whole command again."""
# Kills fall before this share of the work, so that there is something left to disturb.
LAST = 0.8
ROWS_PER_FILE = 2
EPOCHS, TRIALS, TRIAL_EPOCHS = 30, 5, 100
SPLITS = {"train": 160, "valid": 64, "test": 32}


@dataclass(frozen=True)
class Kill:
    """A kill that happened: what died, in which command, and how far that was."""

    stage: str
    what: str
    at: str
    pid: int


@dataclass
class Chaos:
    """What a run with kills gave."""

    seed: int
    plan: Plan
    kills: list[Kill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each command: undisturbed, and with kills and what followed them."""

    def rows(self) -> list[tuple[str, str, int, str]]:
        """Return the rows of the table: command, what died, how often, and how far the command was."""
        found = []
        for stage, kinds in self.plan.items():
            for what in kinds:
                mine = [kill for kill in self.kills if (kill.stage, kill.what) == (stage, what)]
                found.append((stage, what, len(mine), ", ".join(kill.at for kill in mine)))
        return [*found, ("all", "", len(self.kills), "")]


def chaos(folder: Path, seed: int, plan: Plan, say: Callable[[str], None] = print) -> Chaos:
    """Run embed, train and tune undisturbed and with kills, and compare what they leave.

    Parameters
    ----------
    folder
        Where everything is written.
    seed
        Of the kills; the same seed draws the same ones.
    plan
        How many of each kind, by stage.
    say
        Told what happens.
    """
    found = Chaos(seed, plan)
    draw = random.Random(seed)
    data = folder / "data"
    simulate(SimulateConfig(window=200, seed=3, **SPLITS), data)
    quiet, loud = (_config(folder, data, name) for name in ("undisturbed", "killed"))
    path = write(quiet, folder)
    for stage in plan:
        started = time.monotonic()
        _Stage(stage, quiet, path, [], found, say).run()
        found.seconds[f"{stage}, undisturbed"] = time.monotonic() - started
    # Ray Train looks at the dashboard to free the places of workers whose driver is gone.
    with ToyCluster(cpus=2, dashboard=True) as cluster:
        for stage, kinds in plan.items():
            started = time.monotonic()
            on_nodes = stage == "train"
            if on_nodes:
                for _ in range(2):
                    cluster.add_node(cpus=2)
            config = loud.model_copy(
                update={"cluster": loud.cluster.model_copy(update={"address": cluster.address if on_nodes else None})}
            )
            kills = _draw(draw, kinds, _work(stage))
            _Stage(stage, config, write(config, folder), kills, found, say, cluster if on_nodes else None).run()
            found.seconds[f"{stage}, killed"] = time.monotonic() - started
        owned = [cluster.nodes[0].process.pid, *(node.process.pid for node in cluster.nodes[1:])]
        owned += [process.pid for pid in owned for process in below(pid)]
    _wait_gone(found, "train: the cluster", lambda: [pid for pid in owned if psutil.pid_exists(pid)])
    found.problems += differences(quiet, loud)
    for config in (quiet, loud):
        found.problems += leftovers(config) + unreadable(config) + running(config)
    return found


def _config(folder: Path, data: Path, name: str) -> RunConfig:
    output = folder / name
    output.mkdir()
    values: dict[str, Any] = {
        "name": "run",
        "output": str(output),
        "data": {split: str(data / f"{split}.h5") for split in SPLITS},
        "backbone": {"kind": "hyenadna", "d_model": 64, "n_layer": 2},
        "embed": {"bin_size": 50, "batch_size": 4, "rows_per_file": ROWS_PER_FILE, "min_actors": 2, "max_actors": 2},
        "halflife": {"channels": [8, 16], "epochs": 2, "batch_size": 32, "finetune": True},
        "model": {"width": 16, "channels": [8], "dense": [8], "dropout": 0.2},
        "train": {"epochs": EPOCHS, "global_batch_size": 16, "learning_rate": 1e-4, "workers": 2, "max_failures": 20}
        | {"cpus_per_worker": 1.5},
        "tune": {"space": {"model.dropout": {"uniform": [0.0, 0.5]}}, "trials": TRIALS}
        # What a sampler proposes may be something else after an interruption; these settings are given.
        | {"first": [{"model.dropout": number / 10} for number in range(TRIALS)]}
        | {"seeds": [], "stop_early": False, "sampler": "random", "max_failures": 20},
    }
    return parse_config(values, "the configuration of the chaos test")


def _work(stage: str) -> int:
    """Return how much a command has to do, in the units of `_Stage.done`."""
    return {"embed": sum(SPLITS.values()) // ROWS_PER_FILE, "train": EPOCHS, "tune": TRIALS * TRIAL_EPOCHS}[stage]


def _draw(draw: random.Random, kinds: dict[str, int], work: int) -> list[tuple[str, int, float]]:
    """Draw the kills of a command: what dies, after how much work, and how many seconds after that."""
    what = [kind for kind, count in kinds.items() for _ in range(count)]
    draw.shuffle(what)
    at = sorted(draw.randrange(round(LAST * work)) for _ in what)
    return [(kind, place, draw.choice((0.0, draw.uniform(0.0, 2.0)))) for kind, place in zip(what, at, strict=True)]


class _Stage:
    """One command, and the kills that are to happen to it."""

    def __init__(
        self,
        stage: str,
        config: RunConfig,
        path: str,
        plan: list[tuple[str, int, float]],
        found: Chaos,
        say: Callable[[str], None],
        cluster: ToyCluster | None = None,
    ) -> None:
        self.stage, self.config, self.path = stage, config, path
        self.plan, self.found, self.say, self.cluster = plan, found, say, cluster
        self.draw = random.Random(f"{found.seed} {stage}")
        self.nodes_to_kill = 0
        self.marks: list[bytes] = []

    def start(self) -> Command:
        """Start the command, or start it again after its driver died."""
        # What a killed driver left running in MLflow runs there until the next one comes that far.
        self.running = set(running(self.config))
        mark = uuid.uuid4().hex
        self.marks.append(f"{MARK}={mark}".encode())
        more = ["--resume"] if self.stage == "tune" and Path(self.config.folder, "tune", "study.json").exists() else []
        # Two trials at a time, with a process each, whatever the training has.
        one = ("train.workers=1", "tune.parallel=2", f"train.epochs={TRIAL_EPOCHS}")
        more += [word for pair in one for word in ("-o", pair)] if self.stage == "tune" else []
        return Command(self.stage, self.path, *more, environment={MARK: mark})

    def run(self) -> None:
        """Run it to its end, with the kills."""
        command = self.start()
        try:
            for number, (what, at, delay) in enumerate(self.plan):
                self.nodes_to_kill = sum(kind == NODE for kind, _, _ in self.plan[number + 1 :])
                wait_for(f"{self.stage} at {at}", lambda at=at: self.done() >= at, command)
                # Shards follow one another so fast that the command would be over after a longer wait.
                time.sleep(delay / 10 if self.stage == "embed" else delay)
                if what in DRIVERS:
                    command = self.kill_driver(command, what)
                elif what == NODE:
                    self.kill_node()
                else:
                    self.kill_process(command, what)
            errors = command.finish()
            assert "Traceback" not in errors, errors
            self.wait_gone("its end", also_services=True)
        finally:
            command.close()

    def done(self) -> int:
        """Return how much is done: shards, epochs, or epochs of all trials."""
        if self.stage == "embed":
            return len(list(Path(self.config.store).glob("split=*/*.parquet")))
        if self.stage == "train":
            return last_epoch(self.config) + 1
        return sum(len(record.history) for record in records_of(self.config).values())

    def kill_process(self, command: Command, what: str) -> None:
        """Kill one of the command's actors, drawn by chance."""

        def candidates() -> list[psutil.Process]:
            roots = [command.pid] if self.cluster is None else [node.process.pid for node in self.cluster.nodes]
            return [process for root in roots for process in below(root) if _TITLES[what] in _title(process)]

        found = wait_for(what, candidates, command)
        assert isinstance(found, list)
        victim = self.draw.choice(found)
        self.note(what, victim.pid)
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        wait_for(f"the end of {victim.pid}", lambda: not _lives(victim), seconds=GONE_S)

    def kill_node(self) -> None:
        """Kill a node, drawn by chance but not the head, and add another one."""
        assert self.cluster is not None
        node = self.draw.choice(self.cluster.nodes[1:])
        self.note(NODE, node.process.pid)
        self.cluster.kill(node)
        if len(self.cluster.nodes) < 3 and self.nodes_to_kill:
            self.cluster.add_node(cpus=2)

    def kill_driver(self, command: Command, what: str) -> Command:
        """Kill the command itself, wait until none of its workers is left, and start it again."""
        number = DRIVERS[what]
        self.note(what, command.pid)
        command.send(number)
        code = -number if number == signal.SIGKILL else 128 + number
        errors = command.finish(code)
        if number != signal.SIGKILL:
            sentence = errors.strip().splitlines()[-1]
            assert sentence.startswith("interrupted: run the same command again"), errors
            assert "Traceback" not in errors, errors
            assert "stack trace" not in errors, errors
            left = set(running(self.config)) - self.running
            self.found.problems += [f"{self.stage}: after {what}, {one}" for one in sorted(left)]
        self.wait_gone(what, also_services=False)
        return self.start()

    def note(self, what: str, pid: int) -> None:
        """Remember and say what is killed."""
        at = f"{self.done()}/{_work(self.stage)}"
        self.found.kills.append(Kill(self.stage, what, at, pid))
        self.say(f"{len(self.found.kills):2d} {self.stage} at {at}: {what} (process {pid})")

    def wait_gone(self, what: str, also_services: bool) -> None:
        """Wait until no process of the command is left, however often it was started, nor one on the cluster.

        ``also_services``: Ray's own too, some of which take a minute to find that a killed driver is gone.
        """

        def left() -> list[str]:
            titles = {process.pid: _title(process) for process in marked(*self.marks)}
            mine = [f"{pid} {title[:60]}" for pid, title in titles.items() if also_services or not _serves(title)]
            on_nodes = [node.process.pid for node in self.cluster.nodes] if self.cluster is not None else []
            titles = {process.pid: _title(process).strip() for pid in on_nodes for process in below(pid)}
            busy = {pid: title for pid, title in titles.items() if title.startswith("ray::")}
            return mine + [f"{pid} {title}" for pid, title in busy.items() if not title.startswith(_OF_THE_CLUSTER)]

        _wait_gone(self.found, f"{self.stage}: after {what}", left)


def _wait_gone(found: Chaos, what: str, left: Callable[[], list[Any]]) -> None:
    deadline = time.monotonic() + GONE_S
    while (rest := left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if rest:
        found.problems.append(f"{what}, processes are left after {GONE_S:.0f} s: {rest}")


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _serves(title: str) -> bool:
    return title.startswith((*_OF_THE_CLUSTER, "sleep ")) or "/site-packages/ray/" in title


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def marked(*marks: bytes) -> list[psutil.Process]:
    """Return the living processes whose environment has one of these variables."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if not set(marks).isdisjoint((folder / "environ").read_bytes().split(b"\0")):
                found.append(psutil.Process(int(folder.name)))
        except (OSError, psutil.NoSuchProcess):
            continue
    return [process for process in found if _lives(process)]


def records_of(config: RunConfig) -> dict[int, TrialRecord]:
    ledger = Ledger(Path(config.folder, "tune"))
    return ledger.records if ledger.read() is not None else {}


def differences(one: RunConfig, other: RunConfig) -> list[str]:
    """Name what the artefacts of two runs differ in: rows of the store, the model and its numbers, the study."""
    found = []
    for split in SPLITS:
        mine, theirs = (
            {Path(shard.path).name: Path(shard.path).read_bytes() for shard in list_shards(config.store, split)}
            for config in (one, other)
        )
        if mine != theirs or not mine:
            found.append(f"embed: the rows of {split} differ")
    first, second = (Path(config.folder, "checkpoint") for config in (one, other))
    if len(read_info(first).history) != EPOCHS:
        found.append("train: the undisturbed run lacks epochs")
    for name in ("history", "metrics", "threshold", "epoch"):
        mine, theirs = (getattr(read_info(folder), name) for folder in (first, second))
        if mine != theirs:
            found.append(f"train: {name} differ: {mine} {theirs}")
    if (first / "model.safetensors").read_bytes() != (second / "model.safetensors").read_bytes():
        found.append("train: the weights differ")
    studies = [records_of(config) for config in (one, other)]
    for records in studies:
        if sorted(records) != list(range(TRIALS)):
            found.append(f"tune: the study has the trials {sorted(records)}")
        for number, record in records.items():
            epochs = [int(entry["epoch"]) for entry in record.history]
            if record.state != "finished" or epochs != list(range(TRIAL_EPOCHS)):
                found.append(f"tune: trial {number} is {record.state} with the epochs {epochs}")
    for number in range(TRIALS):
        mine, theirs = (records.get(number) for records in studies)
        if mine is None or theirs is None or (mine.params, mine.history) != (theirs.params, theirs.history):
            found.append(f"tune: trial {number} differs")
    best = [Path(config.folder, "tune", "report", "best.yaml").read_text(encoding="utf-8") for config in (one, other)]
    if len({text.replace("killed", "undisturbed") for text in best}) > 1:
        found.append("tune: the best settings differ")
    return found


def leftovers(config: RunConfig) -> list[str]:
    """Name files that should not be left: all hidden ones but locks."""
    return [
        f"{config.output}: {path.relative_to(config.output)} is left"
        for path in Path(config.output).rglob(".*")
        if not (path.name.endswith(".lock") and path.is_file())
    ]


def unreadable(config: RunConfig) -> list[str]:
    """Name files that cannot be read to their end."""
    readers: dict[str, Callable[[Path], object]] = {
        ".parquet": pq.read_table,
        ".safetensors": _read_tensors,
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".yaml": lambda path: yaml.safe_load(path.read_text(encoding="utf-8")),
        ".h5": lambda path: h5py.File(path).close(),
        ".png": lambda path: path.read_bytes().index(b"IEND"),
        ".csv": lambda path: path.read_bytes()[-1:].index(b"\n"),
    }
    found = []
    for path in Path(config.output).rglob("*"):
        if not path.is_file() or path.suffix not in readers:
            continue
        try:
            readers[path.suffix](path)
        except Exception as error:  # noqa: BLE001
            found.append(f"{path.relative_to(config.output)} cannot be read: {error}")
    return found


def _read_tensors(path: Path) -> None:
    with safe_open(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118
            file.get_tensor(name)


def running(config: RunConfig) -> list[str]:
    """Name the runs that MLflow takes for running."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(config))
    experiment = client.get_experiment_by_name("raygenex")
    if experiment is None:
        return []
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    return [f"MLflow has {run.info.run_name} running" for run in runs]
