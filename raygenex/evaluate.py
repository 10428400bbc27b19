"""Metrics with their uncertainty, and the figures that go with them, for one split."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.config.run import RunConfig
from raygenex.data.opening import open_splits, window_offsets
from raygenex.data.rows import PromoterRows, Rows
from raygenex.embed.store import StoreManifest, open_store, read_manifest, settings_differences
from raygenex.errors import ConfigError, DataError
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path
from raygenex.files.whole import whole_folder
from raygenex.predict.inputs import NO_DNA, refuse_other_place, refuse_other_scale
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import score_rows
from raygenex.predict.table import write_predictions
from raygenex.stats.metrics import METRICS, bootstrap_intervals, calibration_error, confusion
from raygenex.stats.resamples import Interval
from raygenex.terminal.table import columns
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.train.checkpoint import CheckpointInfo, checkpoint_sha256, read_info
from raygenex.train.state import read_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateResult:
    """Metrics of one split, each with its interval, and the folder with tables and figures."""

    split: str
    genes: int
    threshold: float
    metrics: dict[str, Interval]
    calibration_error: float
    confusion: list[list[int]]
    folder: str
    reused: bool

    def values(self) -> dict[str, Any]:
        """Return the result as plain values, with the ends of intervals by name."""
        return asdict(self) | {"metrics": {name: interval._asdict() for name, interval in self.metrics.items()}}

    def text(self) -> str:
        """Return a table of metrics with their intervals."""
        rows = [("metric", "value", " interval")]
        for name in METRICS:
            value, low, high = self.metrics[name]
            rows.append((name, f"{value:.4f}", f" {low:.4f} to {high:.4f}"))
        rows.append(("calib. error", f"{self.calibration_error:.4f}", ""))
        (tn, fp), (fn, tp) = self.confusion
        lines = [f"{self.split}: {self.genes} genes, threshold {self.threshold:.4f}", "", *columns(rows, "<><")]
        lines += ["", f"true high {tp}, false high {fp}, true low {tn}, false low {fn}"]
        lines.append(f"figures and predictions: {short_path(self.folder)}")
        return "\n".join(lines)


def evaluate(config: RunConfig, split: str, force: bool = False) -> EvaluateResult:
    """Score one split with the run's checkpoint and measure it.

    The threshold is the checkpoint's, chosen on valid. A split that was measured with the same checkpoint before is not
    scored again: the written numbers are returned.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the split or the checkpoint cannot be used.
    """
    checkpoint = Path(config.checkpoint)
    info = read_info(checkpoint)
    assert info.threshold is not None, "a run's checkpoint is final"
    folder = Path(config.folder, "evaluation", split)
    untracked = folder.with_name(f".{split}.untracked")
    prints, rows = open_rows(config, split, info)
    key = {
        "checkpoint_sha256": checkpoint_sha256(checkpoint),
        "fingerprints": prints,
        "evaluate": config.evaluate.model_dump(mode="json"),
        "seed": config.seed,
    }
    if not force and (written := _read_report(folder)) is not None and written["key"] == key:
        logger.info("%s was measured with this checkpoint already: reusing %s", split, short_path(str(folder)))
        if untracked.exists():
            _track(Tracker(config), config, split, folder, written, prints)
            untracked.unlink()
        return _result(written, folder, reused=True)
    tracker = Tracker(config)
    # Loaded here as well, so that a damaged checkpoint is named before a cluster is started.
    predictor = Predictor(checkpoint)
    if info.inputs.kind == "embedding" and info.reads_dna and isinstance(rows, PromoterRows):
        predictor.load_backbone()
    scored = score_rows(rows, str(checkpoint), config, "evaluation")
    labels, probability = scored["label"].astype(np.uint8), scored["probability"]
    options = config.evaluate
    if len(np.unique(labels)) < 2:
        raise DataError(f"data.{split} has one class only, so nothing can be measured on it: add genes of the other")
    intervals = bootstrap_intervals(
        labels, probability, info.threshold, options.bootstrap, options.confidence, config.seed
    )
    report = {
        "key": key,
        "split": split,
        "genes": len(labels),
        "threshold": info.threshold,
        "confidence": options.confidence,
        "metrics": {name: interval._asdict() for name, interval in intervals.items()},
        "calibration_error": calibration_error(labels, probability),
        "confusion": confusion(labels, probability >= info.threshold).tolist(),
    }
    with whole_folder(folder) as aside:
        (aside / "metrics.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        calls = (probability >= info.threshold).astype(np.int8)
        write_predictions(aside / "predictions.parquet", scored["gene_id"], probability, calls)
        _draw(aside, labels, probability, info.threshold, intervals, options.confidence)
        # While this file is there, MLflow lacks the numbers; the next call completes them.
        untracked.touch()
    _track(tracker, config, split, folder, report, prints)
    untracked.unlink()
    return _result(report, folder, reused=False)


def open_rows(config: RunConfig, split: str, info: CheckpointInfo) -> tuple[list[str], Rows]:
    """Open a split as the model reads it: from the embedding store where it is there, otherwise from HDF5.

    Returns
    -------
    The sha256 of each of its files, and its rows.
    """
    if not config.data.split(split):
        raise ConfigError(f"data.{split} is not set: name its HDF5 files to evaluate on them")
    # All splits, so that a gene that is in two of them is found before anything is measured.
    data = open_splits(config.data, config.data.configured)[split]
    refuse_other_scale(f"data.{split}", data.halflife_scale, info)
    if not info.reads_dna:
        return data.fingerprints, PromoterRows(data.files, 0, split)
    if not data.window:
        raise DataError(
            f"the model reads {info.inputs.window} bases a promoter and data.{split} has no promoters: {NO_DNA}"
        )
    if data.window != info.inputs.window:
        raise DataError(
            f"the model reads {info.inputs.window} bases a promoter and data.{split} has {data.window}: "
            f"set data.window to {info.inputs.window}, or train on this window"
        )
    if (offsets := window_offsets(data)) is not None:
        refuse_other_place(f"data.{split}", offsets[0], info)
    if info.inputs.kind == "embedding" and info.run_config.reads_store:
        manifest = read_manifest(config.store)
        if manifest is not None and _made_for(manifest, info, split, data.fingerprints):
            return data.fingerprints, open_store(config.store, split)
    return data.fingerprints, PromoterRows(data.files, data.window, split)


def _made_for(manifest: StoreManifest, info: CheckpointInfo, split: str, prints: list[str]) -> bool:
    """Whether a store holds a split's embeddings as the model was trained on them."""
    if not manifest.complete or manifest.weights_sha256 != info.backbone_sha256 or split not in manifest.fingerprints:
        return False
    return not settings_differences(manifest, info.run_config, info.inputs.window, {split: prints}, paths=False)


def _read_report(folder: Path) -> dict[str, Any] | None:
    path = folder / "metrics.json"
    if not path.exists():
        return None
    try:
        report: dict[str, Any] = load_json(path)
    except ValueError:
        logger.warning("%s is damaged: measuring again", short_path(str(path)))
        return None
    return report


def _result(report: dict[str, Any], folder: Path, reused: bool) -> EvaluateResult:
    return EvaluateResult(
        report["split"],
        report["genes"],
        report["threshold"],
        {name: Interval(**values) for name, values in report["metrics"].items()},
        report["calibration_error"],
        report["confusion"],
        str(folder),
        reused,
    )


def _draw(
    folder: Path,
    labels: np.ndarray,
    probability: np.ndarray,
    threshold: float,
    intervals: dict[str, Interval],
    confidence: float,
) -> None:
    from raygenex.drawing import figures
    from raygenex.drawing.style import save

    drawn = {
        "roc": figures.roc_figure(labels, probability, intervals["auroc"], confidence),
        "precision_recall": figures.precision_recall_figure(labels, probability, intervals["auprc"], confidence),
        "calibration": figures.calibration_figure(labels, probability, confidence=confidence),
        "confusion": figures.confusion_figure(labels, probability, threshold),
    }
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")


def _track(
    tracker: Tracker, config: RunConfig, split: str, folder: Path, report: dict[str, Any], prints: list[str]
) -> None:
    """Log an evaluation, waiting for an MLflow that is away."""
    state = read_state(Path(config.folder))
    remedy = f"its numbers are in {folder}, and the same command completes MLflow"
    with Outbox(f"the evaluation on {split}", config.tracking.patience_s, remedy) as outbox:
        if state is None or not outbox.ask(lambda: tracker.exists(state.run_id), "the evaluation"):
            logger.warning("the run is not in MLflow at %s any more: its evaluation is only in %s", tracker.uri, folder)
            return
        measured_ms = int(time.time() * 1000)
        outbox.add(lambda: tracker.log_series(state.run_id, {0: _numbers(split, report)}, measured_ms), "the metrics")
        if split == "test":
            # Train and valid were recorded when training began.
            sources = list(config.data.test)
            outbox.add(lambda: tracker.log_dataset(state.run_id, split, sources, prints, report["genes"]), "the data")
        outbox.add(lambda: tracker.log_folder(state.run_id, folder, f"evaluation/{split}"), "the figures")


def _numbers(split: str, report: dict[str, Any]) -> dict[str, float]:
    numbers = {f"{split}_calibration_error": report["calibration_error"]}
    for name, interval in report["metrics"].items():
        numbers |= {
            f"{split}_{name}": interval["value"],
            f"{split}_{name}_low": interval["low"],
            f"{split}_{name}_high": interval["high"],
        }
    return numbers


def plan_evaluate(config: RunConfig, split: str) -> str:
    """Say how many genes would be measured."""
    info = read_info(Path(config.checkpoint))
    _, rows = open_rows(config, split, info)
    return f"evaluate: {rows.count} genes of {split} with {short_path(config.folder)}/checkpoint"
