"""What the command line prints for each result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygenex.stats.metrics import METRICS
from raygenex.tracking.runs import ui_command

if TYPE_CHECKING:
    # Types alone: what a verb prints must not load what other verbs need.
    from raygenex.benchmark.run import BenchmarkResult
    from raygenex.config.run import RunConfig
    from raygenex.data.build.run import BuildResult
    from raygenex.data.simulate.run import SimulationResult
    from raygenex.data.splits.resplit import SplitResult
    from raygenex.embed.run import EmbedResult
    from raygenex.evaluate import EvaluateResult
    from raygenex.pipeline import RunResult
    from raygenex.predict.run import PredictResult
    from raygenex.registry.register import RegisterResult
    from raygenex.train.run import TrainResult


def short_path(path: str) -> str:
    """Show a path from the working directory where it lies below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def simulation_text(result: SimulationResult) -> str:
    """Say what was simulated, and the AUROC that no model can beat but by luck."""
    counts = ", ".join(f"{name} {count}" for name, count in result.rows.items())
    best = result.bayes_auroc["valid"]
    ceiling = f"{best:.4f}" if best is not None else "undefined"
    verb = "reusing" if result.reused else "simulated"
    return f"data: {verb} {counts} genes in {short_path(result.folder)}; best possible valid AUROC {ceiling}"


def build_text(result: BuildResult) -> str:
    """Say what was built, from how many genes, and which stay out."""
    counts = ", ".join(
        f"{name} {count} ({100 * result.positives[name] / count:.0f} % high)" for name, count in result.rows.items()
    )
    verb = "reusing" if result.reused else "built"
    limit = "" if result.threshold is None else f"; high is above {result.threshold:g}"
    lines = [f"data: {verb} {counts} in {short_path(result.folder)}{limit}"]
    if result.dropped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items())
        lines.append(f"left out: {sum(result.dropped.values())} genes ({reasons}), each listed in genes.tsv")
    return "\n".join(lines)


def split_text(result: SplitResult) -> str:
    """Say how many genes each split has, and where the split is."""
    total = sum(result.counts.values())
    counts = ", ".join(f"{name} {count} ({100 * count / total:.1f} %)" for name, count in result.counts.items())
    lines = [f"split: {counts} by {result.rule['rule']}, in {short_path(result.output)}"]
    if result.left_out:
        lines.append(f"left out: {result.left_out} genes that the split file does not name")
    lines += [f"{name}: {short_path(path)}" for name, path in result.files.items()]
    return "\n".join(lines)


def embed_text(result: EmbedResult) -> str:
    """Say in one line what the embedding job did."""
    total = sum(result.rows.values())
    shape = " x ".join(str(size) for size in result.shape)
    if result.embedded == 0:
        return f"embeddings: all {total} genes are in {short_path(result.store)} already, nothing to do"
    kept = f", {result.reused} were there" if result.reused else ""
    return f"embeddings: {result.embedded} genes embedded{kept}, {shape} each, in {short_path(result.store)}"


def train_text(result: TrainResult) -> str:
    """Say which epoch was kept and how good it is on valid."""
    verb = "reusing" if result.reused else "trained"
    return (
        f"training: {verb} {short_path(result.checkpoint)}, epoch {result.epoch} of 0 to {result.epochs - 1} kept, "
        f"valid AUROC {result.metrics['auroc']:.4f}, threshold {result.threshold:.4f}"
    )


def evaluate_text(result: EvaluateResult) -> str:
    """Return a table of metrics with their intervals."""
    lines = [f"{result.split}: {result.genes} genes, threshold {result.threshold:.4f}", ""]
    lines.append(f"{'metric':<12}{'value':>8}   {'interval'}")
    for name in METRICS:
        interval = result.metrics[name]
        lines.append(f"{name:<12}{interval.value:>8.4f}   {interval.low:.4f} to {interval.high:.4f}")
    lines.append(f"{'calib. error':<12}{result.calibration_error:>8.4f}")
    (tn, fp), (fn, tp) = result.confusion
    lines += ["", f"true high {tp}, false high {fp}, true low {tn}, false low {fn}"]
    lines.append(f"figures and predictions: {short_path(result.folder)}")
    return "\n".join(lines)


def register_text(result: RegisterResult) -> str:
    """Say which version the model is, and how to load it."""
    state = "is already" if result.reused else "registered as"
    return f"model: {state} version {result.version} of {result.name}, loads as {result.uri}"


def predict_text(result: PredictResult) -> str:
    """Say where the predictions are."""
    return (
        f"predictions: {result.genes} genes in {short_path(result.output)}, {result.high} high "
        f"(probability >= {result.threshold:.4f})"
    )


def benchmark_text(result: BenchmarkResult) -> str:
    """Return the tables, where they are, and which model won."""
    from raygenex.benchmark.table_files import to_markdown

    lines = [to_markdown(result.table), f"tables and figures: {short_path(result.folder)}"]
    if result.winner is None:
        lines.append("every training failed, see the table")
    else:
        lines.append(f"best on valid: {result.winner}, registered as {result.registered}")
    return "\n".join([*lines, f"done in {result.seconds:.0f} s"])


def benchmark_values(result: BenchmarkResult) -> dict[str, Any]:
    """Return the result as plain values."""
    from raygenex.benchmark.table_files import to_json

    values = {name: getattr(result, name) for name in ("folder", "winner", "registered", "run_id", "seconds")}
    return values | {"table": json.loads(to_json(result.table))}


def run_text(config: RunConfig, result: RunResult) -> str:
    """Return the closing table of the chain."""
    lines = []
    if result.simulation:
        lines.append(simulation_text(result.simulation))
    if result.built:
        lines.append(build_text(result.built))
    if result.embeddings:
        lines.append(embed_text(result.embeddings))
    lines += [train_text(result.training), "", evaluate_text(result.evaluation), "", register_text(result.registered)]
    lines += [f"open the runs: {ui_command(config)}", f"done in {result.seconds:.0f} s"]
    return "\n".join(lines)
