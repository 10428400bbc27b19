"""Metrics with their uncertainty, and the figures that go with them, for one split."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raygenex.config.run import RunConfig
from raygenex.data.feature_values import chosen_features
from raygenex.data.opening import SplitData, open_run, window_offsets
from raygenex.data.rows import Columns, PromoterRows, ReplacedRows, Rows
from raygenex.embed.store import StoreManifest, open_store, read_manifest, settings_differences
from raygenex.errors import ConfigError, DataError
from raygenex.files.fingerprint import array_sha256
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path
from raygenex.files.whole import whole_folder
from raygenex.predict.inputs import NO_DNA, features_of_genes, refuse_other_place, refuse_other_scale
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import score_rows
from raygenex.predict.table import open_predictions, prediction_types
from raygenex.predict.target_scores import Scored, measured_values, targets_scored
from raygenex.stats.metrics import bootstrap_intervals, calibration_error, confusion
from raygenex.stats.resamples import Interval
from raygenex.terminal.table import columns
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.train.checkpoint import CheckpointInfo, checkpoint_sha256, read_info
from raygenex.train.state import read_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateResult:
    """Metrics of one split, each with its interval, and the folder with tables and figures."""

    split: str
    genes: int
    threshold: float | None
    """Of the label; this and the next two are None of a model of targets."""
    metrics: dict[str, Interval]
    """By name; of a model of targets ``TARGET_METRIC``."""
    calibration_error: float | None
    confusion: list[list[int]] | None
    folder: str
    reused: bool
    measured: dict[str, int]
    """Genes that have a value, by target; empty of the label."""
    specificity: float | None
    """How well a gene's targets are told apart, `raygenex.stats.quantities.specificity`; None if not measured."""

    def values(self) -> dict[str, Any]:
        """Return the result as plain values, with the ends of intervals by name."""
        return asdict(self) | {"metrics": {name: interval._asdict() for name, interval in self.metrics.items()}}

    def text(self) -> str:
        """Return a table of metrics with their intervals."""
        rows = [("metric", "value", " interval")]
        for name, (value, low, high) in self.metrics.items():
            rows.append((name, f"{value:.4f}", f" {low:.4f} to {high:.4f}"))
        where = f"figures and predictions: {short_path(self.folder)}"
        if self.specificity is not None:
            rows.append(("specificity", f"{self.specificity:.4f}", ""))
        if self.confusion is None:
            known = ", ".join(f"{name} of {genes}" for name, genes in self.measured.items())
            return "\n".join([f"{self.split}: {self.genes} genes, {known}", "", *columns(rows, "<><"), "", where])
        rows.append(("calib. error", f"{self.calibration_error:.4f}", ""))
        (tn, fp), (fn, tp) = self.confusion
        lines = [f"{self.split}: {self.genes} genes, threshold {self.threshold:.4f}", "", *columns(rows, "<><")]
        return "\n".join([*lines, "", f"true high {tp}, false high {fp}, true low {tn}, false low {fn}", where])


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
    assert info.is_final, "a run's checkpoint"
    folder = Path(config.folder, "evaluation", split)
    untracked = folder.with_name(f".{split}.untracked")
    _refuse_other_model(config, info)
    prints, rows, data = open_rows(config, split, info)
    measured = measured_values(config.targets, info.targets, data) if info.targets else None
    key = {
        "checkpoint_sha256": checkpoint_sha256(checkpoint),
        "fingerprints": prints,
        "evaluate": config.evaluate.model_dump(mode="json"),
        "seed": config.seed,
    }
    if measured is not None:
        key["values"] = array_sha256(measured)
    # A table beside the files may change, and they not.
    if isinstance(rows, PromoterRows | ReplacedRows) and rows.features is not None:
        key["features"] = array_sha256(rows.features)
    if not force and (written := _read_report(folder)) is not None and written["key"] == key:
        logger.info("%s was measured with this checkpoint already: reusing %s", split, short_path(str(folder)))
        if untracked.exists():
            _track(Tracker(config), config, split, folder, written, prints)
            untracked.unlink()
        return _result(written, folder, reused=True)
    from raygenex.drawing.style import save

    tracker = Tracker(config)
    # Loaded here as well, so that a damaged checkpoint is named before a cluster is started.
    predictor = Predictor(checkpoint)
    if info.inputs.kind == "embedding" and info.reads_dna and isinstance(rows, PromoterRows):
        predictor.load_backbone()
    scored = score_rows(rows, str(checkpoint), config, "evaluation")
    score = (
        _of_label(config, split, info, scored)
        if measured is None
        else targets_scored(config, split, info, scored["outputs"], measured)
    )
    report = {"key": key, "split": split, "genes": len(scored["gene_id"])} | score.numbers
    with whole_folder(folder) as aside:
        (aside / "metrics.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        with open_predictions(aside / "predictions.parquet", prediction_types(info)) as add:
            add(scored["gene_id"], score.columns)
        for name, figure in score.figures().items():
            save(figure, aside / f"{name}.png")
        # While this file is there, MLflow lacks the numbers; the next call completes them.
        untracked.touch()
    _track(tracker, config, split, folder, report, prints)
    untracked.unlink()
    return _result(report, folder, reused=False)


def _refuse_other_model(config: RunConfig, info: CheckpointInfo) -> None:
    """Raise a ConfigError if the checkpoint reads or predicts something else than the configuration names."""
    chosen = tuple(feature.name for feature in chosen_features(config.data.features))
    if info.run_config.reads_halflife and chosen != info.inputs.features:
        raise ConfigError(
            f"{config.said('data.features')} are {', '.join(chosen)}, and the model of this run reads "
            f"{', '.join(info.inputs.features)}: make them agree, or train again"
        )
    names, wanted = [target.name for target in info.targets], [target.name for target in config.targets]
    if names != wanted:
        raise ConfigError(
            f"{config.said('targets')} are {', '.join(wanted) or 'none, which means the label'}, and the model of this "
            f"run predicts {', '.join(names) or 'the label'}: make them agree, or train again"
        )


def _of_label(config: RunConfig, split: str, info: CheckpointInfo, scored: Columns) -> Scored:
    assert info.threshold is not None, "a final checkpoint of the label has it"
    labels, probability, threshold = scored["label"].astype(np.uint8), scored["probability"], info.threshold
    options = config.evaluate
    if len(np.unique(labels)) < 2:
        raise DataError(f"data.{split} has one class only, so nothing can be measured on it: add genes of the other")
    intervals = bootstrap_intervals(labels, probability, threshold, options.bootstrap, options.confidence, config.seed)
    calls = probability >= threshold
    numbers = {
        "threshold": threshold,
        "confidence": options.confidence,
        "metrics": {name: interval._asdict() for name, interval in intervals.items()},
        "calibration_error": calibration_error(labels, probability),
        "confusion": confusion(labels, calls).tolist(),
    }
    draw = partial(_figures, labels, probability, threshold, intervals, options.confidence)
    return Scored(numbers, {"probability": probability, "prediction": calls}, draw)


def open_rows(config: RunConfig, split: str, info: CheckpointInfo) -> tuple[list[str], Rows, SplitData]:
    """Open a split as the model reads it: from the embedding store where it is there, otherwise from HDF5.

    Returns
    -------
    The sha256 of each of its files, its rows, and its small columns.
    """
    if not config.data.split(split):
        raise ConfigError(f"data.{split} is not set: name its HDF5 files to evaluate on them")
    # All splits, so that a gene that is in two of them is found before anything is measured.
    data = open_run(config, config.data.configured)[split]
    refuse_other_scale(f"data.{split}", data.halflife_scale, info)
    features = features_of_genes(info, config.data.features, data.gene_id, data.halflife, data.files, f"data.{split}")
    if not info.reads_dna:
        return data.fingerprints, PromoterRows(data.files, 0, split, features), data
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
            stored = open_store(config.store, split)
            rows = stored if features is None else ReplacedRows(stored, {"halflife": features})
            return data.fingerprints, rows, data
    return data.fingerprints, PromoterRows(data.files, data.window, split, features), data


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
        report.get("threshold"),
        {name: Interval(**values) for name, values in report["metrics"].items()},
        report.get("calibration_error"),
        report.get("confusion"),
        str(folder),
        reused,
        report.get("measured", {}),
        report.get("specificity"),
    )


def _figures(
    labels: np.ndarray, probability: np.ndarray, threshold: float, intervals: dict[str, Interval], confidence: float
) -> "dict[str, Figure]":
    from raygenex.drawing import figures

    return {
        "roc": figures.roc_figure(labels, probability, intervals["auroc"], confidence),
        "precision_recall": figures.precision_recall_figure(labels, probability, intervals["auprc"], confidence),
        "calibration": figures.calibration_figure(labels, probability, confidence=confidence),
        "confusion": figures.confusion_figure(labels, probability, threshold),
    }


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
    numbers = {} if "measured" in report else {f"{split}_calibration_error": report["calibration_error"]}
    if "specificity" in report:
        numbers[f"{split}_specificity"] = report["specificity"]
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
    _refuse_other_model(config, info)
    _, rows, _ = open_rows(config, split, info)
    return f"evaluate: {rows.count} genes of {split} with {short_path(config.folder)}/checkpoint"
