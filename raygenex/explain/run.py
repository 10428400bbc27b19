"""The explaining job: HDF5 -> Ray Data -> actors that hold the model -> parts, and what is drawn from them."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import Request, connect
from raygenex.config.run import RunConfig
from raygenex.data.features import features_in_words
from raygenex.errors import DataError
from raygenex.explain.actors import Explainer
from raygenex.explain.genes import donors_of, typical
from raygenex.explain.job import ExplainJob, Work, leave_out_incomplete, missing, open_folder, prepare
from raygenex.explain.job import plan as plan_work
from raygenex.explain.mlflow_run import ExplainTrack
from raygenex.explain.parts import SCORES, ExplanationManifest, MethodRecord, read_parts
from raygenex.explain.results.words import words_of
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.files.parts import write_manifest
from raygenex.predict.predictor import Predictor
from raygenex.terminal.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainResult:
    """What an explanation found, and where it is."""

    folder: str
    model_kind: str
    split: str
    genes: int
    window: int
    window_first: int
    window_first_assumed: bool
    methods: dict[str, dict[str, Any]]
    """Of each method ``genes``, ``seconds``, ``largest_delta`` and ``unconverged``, see `MethodRecord`."""
    computed: int
    """Genes times methods that this call computed; the others were there."""
    summary: dict[str, Any]
    """The numbers that the tables end in, see `raygenex.explain.results.derive`."""
    seconds: float
    target: str | None = None
    """The target that is explained; None of a model of the label."""
    unit: str = "logit"
    """Of attributions, in words."""

    def text(self) -> str:
        """Say what was explained by which methods, how well, and where the files are."""
        lines = [f"{self.split}: {self.genes} genes explained by {self.model_kind}, {_window(self)}"]
        if self.target is not None:
            lines.append(f"target: {self.target}, in {self.unit}")
        lines.append("")
        unit = "logits" if self.target is None else f"in {self.unit}"
        lines += [_method_line(name, numbers, unit) for name, numbers in self.methods.items()]
        lines.append("")
        if not self.computed:
            lines.append("nothing was computed: everything was there")
        if "silhouette" in (self.summary["projection"] or {}):
            lines.append(_projection_line(self.summary["projection"]))
        if self.summary["halflife"] is not None:
            best = self.summary["halflife"]
            kind = features_in_words([best["feature"]]).removesuffix("s")
            lines.append(
                f"most important {kind}: {best['feature']}, {best.get('metric', 'AUROC')} loses "
                f"{best['drop']:.4f} "
                f"({best['low']:.4f} to {best['high']:.4f}) when it is shuffled"
            )
        for row in self.summary["agreement"]:
            if row["spearman_median"] is None:
                continue
            median = f"{row['spearman_median']:.2f}, the median over genes"
            lines.append(f"rank correlation of {row['method']} and {row['other']}: {median}")
        lines += self.summary["notes"]
        lines.append(f"{self.seconds:.1f} s; tables, figures and parts: {short_path(self.folder)}")
        return "\n".join(lines)


def explain(config: RunConfig, model: str, force: bool = False, name: str | None = None) -> ExplainResult:
    """Explain the configured split with a checkpoint: parts of every method, then tables and figures.

    What is there already of the same checkpoint and data is kept: a method that is added, or whose settings changed, is
    computed alone, and an interrupted job goes on where it stopped.

    Parameters
    ----------
    config
        Names the data and holds the section ``explain``.
    model
        Folder of a checkpoint that every node can read.
    force
        Remove an explanation that is there, whatever it is of.
    name
        What the model is called, such as ``models:/raygenex@champion``; None: by its folder.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If a method cannot be used with the model, or the data, the model or the folder cannot be used.
    """
    from raygenex.explain.results.derive import derive, derived_key

    started = time.monotonic()
    # Loaded here as well, so that what is wrong with it is said before a cluster is started.
    Predictor.check(model)
    job = prepare(config, model, name)
    track = ExplainTrack(config, job.manifest.checkpoint_sha256, job.folder)
    with exclusive(job.folder, "explaining"):
        manifest = open_folder(job, force)
        work = missing(job, remove=True)
        leave_out_incomplete(job, manifest)
        key = derived_key(config, manifest, job.genes.measured)
        if work.count or manifest.derived != key:
            manifest.derived = None
            track.owe()
        for method, lacking in work.genes.items():
            record = manifest.methods[method]
            record.genes = job.genes.count - lacking
            record.complete = record.complete and not lacking
        write_manifest(job.folder, manifest)
        if work.count:
            logger.info("explaining %d genes by %s", job.genes.count, ", ".join(config.explain.methods))
            _compute(config, job, manifest, work)
        _finish(config, job, manifest)
        if manifest.derived is None:
            manifest.summary = derive(config, job.folder, job.genes, manifest)
            manifest.derived = key
            write_manifest(job.folder, manifest)
        track.settle(manifest.methods)
    assert manifest.summary is not None, "written with the tables"
    return ExplainResult(
        str(job.folder),
        manifest.model_kind,
        manifest.split,
        manifest.genes,
        manifest.window,
        manifest.window_first,
        manifest.window_first_assumed,
        {method: _shown(manifest.methods[method]) for method in job.manifest.methods},
        work.count,
        manifest.summary,
        time.monotonic() - started,
        None if manifest.target is None else manifest.target.name,
        words_of(manifest.target).unit,
    )


def _shown(record: MethodRecord) -> dict[str, Any]:
    return record.model_dump(include={"genes", "seconds", "largest_delta", "unconverged"}, exclude_none=True)


def _compute(config: RunConfig, job: ExplainJob, manifest: ExplanationManifest, work: Work) -> None:
    """Let the actors compute and write what is missing."""
    from raygenex.data.source import by_actors

    # Imports torch, which `--dry-run` has no need of.
    from raygenex.explain.estimate import say_how_long

    options = config.explain
    permutations = options.permutations if work.gaps.get("halflife") and job.genes.labelled else 0
    donors = donors_of(job.genes.halflife, permutations, config.seed)
    pieces = [
        job.genes.piece(methods, start, stop, donors) for methods, start, stop in work.pieces(options.rows_per_file)
    ]
    sample = job.genes.piece(SCORES, 0, 1, donors)
    request = Request(
        "explaining", options.workers, options.cpus_per_worker, options.gpus_per_worker, "explain.workers"
    )
    say_how_long(str(job.checkpoint), options, work.genes, sample.read())
    total = job.genes.count * len(job.manifest.methods)
    with connect(config.cluster, request), progress("explaining, genes x methods", total, total - work.count) as shown:
        advance = _recorder(job.folder, manifest, shown)
        arguments = (
            str(job.checkpoint),
            manifest.checkpoint_sha256,
            str(job.folder),
            options.model_dump(mode="json"),
            config.seed,
            job.genes.window_first,
            typical(job.genes.halflife).tolist(),
        )
        count = min(options.workers, len(pieces))
        for batch in by_actors(pieces, sample, Explainer, arguments, request, count, count):
            advance(batch)


def _recorder(
    folder: Path, manifest: ExplanationManifest, shown: Callable[[int, str], None]
) -> Callable[[dict[str, NDArray[Any]]], None]:
    """Return a call that takes what an actor reports into the manifest and the bar."""

    def record(batch: dict[str, NDArray[Any]]) -> None:
        for name, genes, seconds in zip(batch["method"], batch["genes"], batch["seconds"], strict=True):
            method = manifest.methods[str(name)]
            method.genes += int(genes)
            method.seconds = round(method.seconds + float(seconds), 3)
            shown(int(genes), str(name))
        write_manifest(folder, manifest)

    return record


def _finish(config: RunConfig, job: ExplainJob, manifest: ExplanationManifest) -> None:
    """Check every method's parts against the genes, and sum up how well it did.

    Raises
    ------
    CheckpointError, DataError
        If genes are missing, or are not those of the data.
    """
    expected = read_parts(job.folder / SCORES, job.genes.count, ("gene_id", "row"))
    if not np.array_equal(expected["row"], job.genes.chosen):
        raise DataError(f"the parts in {job.folder / SCORES} are of other genes than the data: pass --force")
    for name in job.manifest.methods:
        record = manifest.methods[name]
        columns = read_parts(job.folder / name, job.genes.count, ("gene_id", "delta", "converged"))
        if not np.array_equal(columns["gene_id"], expected["gene_id"]):
            raise DataError(f"the parts in {job.folder / name} are of other genes than the scores: pass --force")
        record.complete, record.genes = True, job.genes.count
        if "delta" in columns:
            record.largest_delta = float(np.abs(columns["delta"]).max())
        if "converged" in columns:
            record.unconverged = int((~columns["converged"]).sum())
            if record.unconverged:
                logger.warning(
                    "%s: the attributions of %d of %d genes miss the change of the %s by more than "
                    "explain.tolerance, %g of it (by %.2g%s at most): raise explain.max_steps",
                    name,
                    record.unconverged,
                    record.genes,
                    "logit" if manifest.target is None else manifest.target.name,
                    config.explain.tolerance,
                    record.largest_delta,
                    " logits" if manifest.target is None else "",
                )
    write_manifest(job.folder, manifest)


def plan_explain(config: RunConfig, checkpoint: str, force: bool) -> list[str]:
    """Say which methods would be computed for how many genes, and what is there already."""
    job = prepare(config, checkpoint)
    work, stale = plan_work(job, force)
    genes, options = job.genes, config.explain
    where = f"{genes.window_first:+} to {genes.window_first + genes.rows.window - 1:+} from the TSS"
    lines = [
        f"explain: {genes.count} of {genes.rows.count} genes of {options.split} with {short_path(str(job.checkpoint))}"
        + (f", {where}{' (assumed)' if genes.assumed else ''}" if genes.rows.window else ", no promoters")
    ]
    if genes.target is not None:
        lines.append(f"target: {genes.target.name}, in {genes.target.additive_title}")
    for method, ranges in work.gaps.items():
        todo = sum(stop - start for start, stop in ranges)
        note = " (its settings changed)" if method in stale else ""
        lines.append(f"{method}: {todo} of {genes.count} genes to do{note}")
    each = f"{options.cpus_per_worker:g} CPU" + (
        f" + {options.gpus_per_worker:g} GPU" if options.gpus_per_worker else ""
    )
    return [
        *lines,
        f"write: parts, tables and figures into {short_path(str(job.folder))}, by {options.workers} x {each}",
    ]


def _window(result: "ExplainResult") -> str:
    if not result.window:
        return "which reads no DNA"
    last = result.window_first + result.window - 1
    assumed = " (assumed to be centred: set explain.window_first)" if result.window_first_assumed else ""
    return f"{result.window_first:+,} to {last:+,} from the TSS{assumed}"


def _method_line(name: str, numbers: dict[str, Any], unit: str) -> str:
    line = f"  {name:<22}{numbers['genes']:>7,} genes {numbers['seconds']:>9.1f} s"
    if "largest_delta" in numbers:
        line += f", largest gap {numbers['largest_delta']:.2g} {unit}"
    if numbers.get("unconverged"):
        line += f", {numbers['unconverged']} genes above explain.tolerance"
    return line


def _projection_line(numbers: dict[str, Any]) -> str:
    silhouette, purity = numbers["silhouette"]["dense"], numbers["knn_purity"]
    if silhouette is None or purity["dense"] is None:
        return "projection: all genes are predicted to be of one class"
    shares = f"{100 * purity['dense']:.1f} % are predicted as it is ({100 * purity['chance']:.1f} % by chance)"
    return (
        f"projection: silhouette of the predicted classes {silhouette:.3f}; of a gene's {numbers['neighbours']} "
        f"nearest, {shares}"
    )
