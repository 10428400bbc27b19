"""What an explanation is of, and what its folder lacks: checked before anything is started."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raygenex import __version__
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.tables import shown
from raygenex.errors import CheckpointError
from raygenex.explain.genes import ExplainedGenes, open_explained
from raygenex.explain.methods.needs import SHARED, check_methods, method_settings
from raygenex.explain.parts import (
    PARTS,
    SCORES,
    ExplainedTarget,
    ExplanationManifest,
    MethodRecord,
    damaged_parts,
    folder_of,
    missing_ranges,
    read_manifest,
    refuse_differences,
)
from raygenex.explain.results.meme import read_meme
from raygenex.explain.target import explained_target
from raygenex.extras import check_installed
from raygenex.files.fingerprint import array_sha256
from raygenex.files.parts import MANIFEST, cut
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import checkpoint_sha256

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainJob:
    """What an explanation is of, checked as far as it can be without a cluster."""

    checkpoint: Path
    genes: ExplainedGenes
    folder: Path
    manifest: ExplanationManifest
    """As it would be in an empty folder."""


@dataclass(frozen=True)
class Work:
    """What is missing in a folder: the methods, and the ranges of genes that each lacks."""

    gaps: dict[str, list[tuple[int, int]]]

    @property
    def genes(self) -> dict[str, int]:
        """How many genes each method lacks."""
        return {method: sum(stop - start for start, stop in ranges) for method, ranges in self.gaps.items()}

    @property
    def count(self) -> int:
        """Genes times methods."""
        return sum(self.genes.values())

    def pieces(self, rows_per_file: int) -> Iterator[tuple[str, int, int]]:
        """Yield methods, joined by commas, and the range of genes that they lack, scores first."""
        seen: dict[tuple[str, int, int], list[str]] = {}
        for method, ranges in self.gaps.items():
            group = SHARED[0] if method in SHARED else method
            for start, stop in ranges:
                for low, high in cut(start, stop, rows_per_file):
                    seen.setdefault((group, low, high), []).append(method)
        for (_, low, high), methods in seen.items():
            yield ",".join(methods), low, high


def prepare(config: RunConfig, model: str, name: str | None = None) -> ExplainJob:
    """Check everything that needs neither a cluster nor the loaded model.

    Parameters
    ----------
    config, model, name
        See `raygenex.explain.run.explain`.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        See `explain`.
    """
    checkpoint = Path(model).absolute()
    info = Predictor.describe(checkpoint)
    # Said before the data are looked at.
    explained_target(info, config.explain.target)
    check_methods(info, config.explain)
    # What tables and figures need is missed now, rather than when everything is computed.
    require_packages(config.explain.discover)
    if config.explain.motifs is not None:
        read_meme(config.explain.motifs)
    genes = open_explained(config, info)
    # The files' own fingerprints do not tell when a table of features changed.
    values = {"features_sha256": array_sha256(genes.halflife)} if info.reads_other_features else {}
    methods = {
        name: MethodRecord(settings=method_settings(config, name, genes.labelled, genes.window_first) | values)
        for name in (SCORES, *config.explain.methods)
    }
    if genes.target is not None and config.explain.target is None and len(info.targets) > 1:
        others = shown([target.name for target in info.targets[1:]])
        logger.info("explaining %s, the first target: explain.target names another of %s", genes.target.name, others)
    manifest = ExplanationManifest(
        package_version=__version__,
        checkpoint=name or str(checkpoint),
        checkpoint_sha256=checkpoint_sha256(checkpoint),
        run_name=config.name,
        model_kind=info.run_config.model.kind,
        split=config.explain.split,
        genes=genes.count,
        window=genes.rows.window,
        window_first=genes.window_first,
        window_first_assumed=genes.assumed,
        threshold=info.threshold if genes.target is None else genes.target.threshold,
        target=None if genes.target is None else ExplainedTarget.of(genes.target),
        features=info.inputs.features if info.reads_other_features else HALFLIFE_FEATURES,
        confidence=config.evaluate.confidence,
        fingerprints=genes.fingerprints,
        methods=methods,
    )
    return ExplainJob(checkpoint, genes, folder_of(config), manifest)


def require_packages(motifs: bool) -> None:
    """Check that what draws the results is installed, with ``motifs`` what discovers them too.

    Raises
    ------
    ConfigError
        If a package is missing.
    """
    drawing = {"umap": "umap-learn", "plotly": "plotly", "logomaker": "logomaker"}
    check_installed(drawing, "explain", "explaining a model")
    if motifs:
        check_installed({"modiscolite": "modisco-lite", "memelite": "memelite"}, "motifs", "discovering motifs")


def plan(job: ExplainJob, force: bool) -> tuple[Work, list[str]]:
    """Return what `explain` would compute, and the methods that it would compute again; nothing is written.

    Raises
    ------
    CheckpointError
        If the folder holds an explanation of something else, unless ``force``.
    """
    existing = None if force else _existing(job)
    stale = _stale(job, existing)
    if existing is None:
        return Work({name: [(0, job.genes.count)] for name in job.manifest.methods}), stale
    work = missing(job, remove=False)
    return Work(work.gaps | {name: [(0, job.genes.count)] for name in stale}), stale


def _existing(job: ExplainJob) -> ExplanationManifest | None:
    """Return the manifest of what the folder holds, which must be of the same model, genes and data."""
    manifest = read_manifest(job.folder)
    if manifest is not None:
        refuse_differences(job.folder, manifest.differences(job.manifest))
    elif next(job.folder.glob("*/part-*.npz"), None) is not None:
        raise CheckpointError(
            f"{job.folder} holds parts, and no {MANIFEST} that says what they are of: pass --force to replace them"
        )
    return manifest


def _stale(job: ExplainJob, existing: ExplanationManifest | None) -> list[str]:
    """Return the methods whose parts were made by other settings."""
    if existing is None:
        return []
    wanted = job.manifest.methods
    return [
        name for name, record in existing.methods.items() if name in wanted and record.settings != wanted[name].settings
    ]


def open_folder(job: ExplainJob, force: bool) -> ExplanationManifest:
    """Return the manifest to go on with, of a folder from which everything of other settings is gone."""
    # A damaged manifest is replaced too when the user asks for it.
    existing = None if force else _existing(job)
    if force and job.folder.exists():
        shutil.rmtree(job.folder)
    if existing is None:
        return job.manifest
    for name in _stale(job, existing):
        logger.info("%s was computed with other settings: computing it again", name)
        shutil.rmtree(job.folder / name, ignore_errors=True)
        del existing.methods[name]
    methods = existing.methods | {
        name: record for name, record in job.manifest.methods.items() if name not in existing.methods
    }
    summary = {"derived": existing.derived, "summary": existing.summary}
    return job.manifest.model_copy(update={"methods": methods, **summary})


def missing(job: ExplainJob, remove: bool) -> Work:
    """Return what the folder lacks; with ``remove``, damaged parts are named and go."""
    gaps = {}
    for name in job.manifest.methods:
        folder = job.folder / name
        damaged = damaged_parts(folder)
        if remove:
            PARTS.remove_leftovers(folder)
            for part in damaged:
                logger.warning("%s is damaged: computing its genes again", part.path)
                Path(part.path).unlink()
        gaps[name] = missing_ranges(folder, job.genes.count, damaged)
    return Work(gaps)


def leave_out_incomplete(job: ExplainJob, manifest: ExplanationManifest) -> None:
    """Mark the methods that are not asked for now, were complete and lost parts, so that nothing is drawn of them."""
    for name, record in manifest.methods.items():
        if name in job.manifest.methods or not record.complete:
            continue
        folder = job.folder / name
        gaps = missing_ranges(folder, job.genes.count, damaged_parts(folder))
        if gaps:
            record.complete = False
            record.genes = job.genes.count - sum(stop - start for start, stop in gaps)
            logger.warning(
                "%s lacks %d of %d genes and is left out of tables and figures: name %s in explain.methods to have "
                "them computed again",
                folder,
                job.genes.count - record.genes,
                job.genes.count,
                name,
            )
