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
from raygenex.data.source import UNCOUNTED_READS, to_dataset
from raygenex.errors import DataError
from raygenex.explain.actors import Explainer
from raygenex.explain.genes import donors_of
from raygenex.explain.job import Job, Work, leave_out_incomplete, missing, open_folder, prepare
from raygenex.explain.mlflow_run import ExplainTrack
from raygenex.explain.parts import SCORES, Manifest, MethodRecord, read_parts, write_manifest
from raygenex.explain.results.derive import derive, derived_key
from raygenex.files.lock import exclusive
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
    started = time.monotonic()
    job = prepare(config, model, name)
    track = ExplainTrack(config, job.manifest.checkpoint_sha256, job.folder)
    with exclusive(job.folder, "explaining"):
        manifest = open_folder(job, force)
        work = missing(job, remove=True)
        leave_out_incomplete(job, manifest)
        key = derived_key(config, manifest)
        if work.count or manifest.derived != key:
            manifest.derived = None
            track.owe()
        for method, ranges in work.gaps.items():
            record = manifest.methods[method]
            record.genes = job.genes.count - sum(stop - start for start, stop in ranges)
            record.complete = record.complete and not ranges
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
    )


def _shown(record: MethodRecord) -> dict[str, Any]:
    return record.model_dump(include={"genes", "seconds", "largest_delta", "unconverged"}, exclude_none=True)


def _compute(config: RunConfig, job: Job, manifest: Manifest, work: Work) -> None:
    """Let the actors compute and write what is missing."""
    import ray.data

    options = config.explain
    donors = donors_of(job.genes.halflife, _permutations(job, work, options.permutations), config.seed)
    pieces = [
        job.genes.piece(methods, start, stop, donors) for methods, start, stop in work.pieces(options.rows_per_file)
    ]
    sample = job.genes.piece(SCORES, 0, 1, donors)
    request = Request(
        "explaining", options.workers, options.cpus_per_worker, options.gpus_per_worker, "explain.workers"
    )
    total = job.genes.count * len(job.manifest.methods)
    with connect(config.cluster, request), progress("explaining, genes x methods", total, total - work.count) as shown:
        advance = _recorder(job.folder, manifest, shown)
        # Reads take no CPU, as in embedding: those that were free may go to the actors of a node that was lost.
        results = to_dataset(pieces, sample, max(UNCOUNTED_READS, options.workers)).map_batches(
            Explainer,
            fn_constructor_args=(
                str(job.checkpoint),
                manifest.checkpoint_sha256,
                str(job.folder),
                options.model_dump(mode="json"),
                config.seed,
                job.genes.window_first,
                np.median(job.genes.halflife, axis=0).tolist(),
            ),
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(options.workers, len(pieces))),
            num_cpus=options.cpus_per_worker,
            num_gpus=options.gpus_per_worker or None,
        )
        for batch in results.iter_batches(batch_size=None, batch_format="numpy"):
            advance(batch)


def _permutations(job: Job, work: Work, wanted: int) -> int:
    return wanted if work.gaps.get("halflife") and job.genes.labelled else 0


def _recorder(
    folder: Path, manifest: Manifest, shown: Callable[[int, str], None]
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


def _finish(config: RunConfig, job: Job, manifest: Manifest) -> None:
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
        found = read_parts(job.folder / name, job.genes.count, ("gene_id", "delta", "converged"))
        if not np.array_equal(found["gene_id"], expected["gene_id"]):
            raise DataError(f"the parts in {job.folder / name} are of other genes than the scores: pass --force")
        record.complete, record.genes = True, job.genes.count
        if "delta" in found:
            record.largest_delta = float(np.abs(found["delta"]).max())
        if "converged" in found:
            record.unconverged = int((~found["converged"]).sum())
            if record.unconverged:
                logger.warning(
                    "%s: the attributions of %d of %d genes miss the change of the logit by more than "
                    "explain.tolerance, %g of it (by %.2g logits at most): raise explain.max_steps",
                    name,
                    record.unconverged,
                    record.genes,
                    config.explain.tolerance,
                    record.largest_delta,
                )
    write_manifest(job.folder, manifest)
