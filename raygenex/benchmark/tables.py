"""What a comparison of models found, as rows of tables: means over seeds, intervals over genes, and paired tests.

The mean and standard deviation over seeds say what one training gives. The interval over genes and the tests
against the reference need one score per gene, which is the mean probability over the seeds. An average of several
trainings usually ranks genes a little better than any of them, so its AUROC is a column of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raygenex.benchmark.results import MeanScores, ModelResult, SeedResult, best_model, mean_scores
from raygenex.errors import DataError
from raygenex.stats import metrics
from raygenex.stats.compare import Summary, delong, holm, paired_bootstrap, seed_summary
from raygenex.stats.metrics import METRICS
from raygenex.stats.resamples import Comparison, Interval

PAPER = "Duan, Huang and Li: GM12878, hg19, promoters of 20,000 bases"


class Published(NamedTuple):
    """AUROC and F1 of a model in the paper."""

    auroc: float
    f1: float


PUBLISHED = {
    "valid": {
        "cnn_halflife_encoded": Published(0.8999, 0.8282),
        "cnn_halflife_raw": Published(0.8662, 0.8114),
        "cnn_dna_only": Published(0.8579, 0.7800),
        "lstm": Published(0.7861, 0.7373),
        "cnn_halflife_only": Published(0.7245, 0.6383),
        "autoencoder_xgboost": Published(0.7755, 0.7894),
    },
    "test": {
        "cnn_halflife_encoded": Published(0.8965, 0.8199),
        "cnn_halflife_raw": Published(0.8822, 0.8239),
        "cnn_dna_only": Published(0.8793, 0.8119),
        "lstm": Published(0.8233, 0.7533),
        "cnn_halflife_only": Published(0.7336, 0.6421),
        "autoencoder_xgboost": Published(0.7666, 0.7794),
    },
}
"""The paper's Table 1 (valid) and Table 2 (test), by model kind."""


@dataclass(frozen=True)
class Versus:
    """A model against the reference, on the same genes, by the mean probabilities of their seeds."""

    auroc: Comparison
    """Difference of the AUROCs, model minus reference, by DeLong's test."""
    adjusted_p: float
    """Its p-value, adjusted by Holm's rule for all models of the table."""
    auprc: Comparison
    """Difference of the average precisions, by the paired bootstrap; its p-value is not adjusted."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One model of which at least one training finished."""

    name: str
    kind: str
    seeds: tuple[int, ...]
    """Seeds that finished."""
    failed: int
    """Number of seeds that failed."""
    valid: dict[str, Summary]
    test: dict[str, Summary]
    """Each of `METRICS` over the seeds, on the split that the models are compared on."""
    calibration_error: Summary
    auroc_by_seed: tuple[float, ...]
    ensemble_auroc: Interval
    """AUROC of the mean probability over the seeds, with its bootstrap interval over genes."""
    versus: Versus | None
    """None for the reference itself."""
    median_seed: int
    """The training whose valid AUROC is the median over the seeds."""
    intervals: dict[str, Interval]
    """The median seed's `METRICS` on that split, each with its bootstrap interval over genes."""
    threshold: float
    """The median seed's."""
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """The median seed's [[TN, FP], [FN, TP]]."""
    epochs: Summary
    seconds: Summary
    peak_mb: Summary
    published: dict[str, Published]
    """The paper's figures for this kind by split, on another data set; empty if the paper has none."""


class Failure(NamedTuple):
    """A training that failed."""

    name: str
    kind: str
    seed: int
    error: str


@dataclass(frozen=True)
class BenchmarkTable:
    """The rows, best mean valid AUROC first, the failures, and what they rest on."""

    rows: tuple[BenchmarkRow, ...]
    failures: tuple[Failure, ...]
    split: str
    genes: int
    high: int
    best: str | None
    """Name of the model with the highest mean valid AUROC; None if every training failed."""
    reference: str | None
    """Name of the model that the others are compared with."""
    resamples: int
    confidence: float

    def numbers(self) -> dict[str, float]:
        """Return the means of all models that are defined, as MLflow is told of them."""
        found: dict[str, float] = {}
        for row in self.rows:
            found |= {f"{row.name}_{self.split}_{name}": summary.mean for name, summary in row.test.items()}
            found |= {f"{row.name}_valid_{name}": summary.mean for name, summary in row.valid.items()}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def benchmark_table(
    results: Sequence[ModelResult[SeedResult]],
    split: str = "test",
    reference: str | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BenchmarkTable:
    """Turn the trainings of a comparison into rows.

    Parameters
    ----------
    results
        The models, of different names.
    split
        The split that they are compared on: ``valid`` or ``test``.
    reference
        Name of the model that the others are compared with; by default the one with the highest mean valid AUROC.
    resamples
        Bootstrap resamples of the intervals.
    confidence
        Coverage of all intervals, in (0, 1).
    seed
        Seed of the bootstrap.

    Returns
    -------
    A row for each model with a finished training, and a failure for each training without.

    Raises
    ------
    DataError
        If the reference failed, the trainings scored different genes, or a class has fewer than two genes.
    """
    names = [result.name for result in results]
    assert len(set(names)) == len(names), names
    best = best_model(results)
    reference = best if reference is None else reference
    assert reference is None or reference in names, (reference, names)
    scores = mean_scores(results)
    if reference is not None and reference not in scores.probability:
        raise DataError(f"every training of {reference} failed: name another model to compare with")
    versus = _against(scores, reference, resamples, confidence, seed) if reference is not None else {}
    rows = []
    for result in results:
        if result.finished:
            area = metrics.bootstrap_intervals(
                scores.labels, scores.probability[result.name], 0.5, resamples, confidence, seed
            )["auroc"]
            median = result.median_seed
            assert median is not None, "a row has a finished training"
            single = metrics.bootstrap_intervals(
                median.labels, median.probability, median.threshold, resamples, confidence, seed
            )
            rows.append(_row(result, median, area, single, versus.get(result.name)))
    rows.sort(key=lambda row: -row.valid["auroc"].mean)
    failures = (Failure(m.name, m.kind, s.seed, s.error) for m in results for s in m.seeds if s.error is not None)
    return BenchmarkTable(
        tuple(rows),
        tuple(failures),
        split,
        scores.labels.size,
        int(scores.labels.sum()),
        best,
        reference,
        resamples,
        confidence,
    )


def _against(scores: MeanScores, reference: str, resamples: int, confidence: float, seed: int) -> dict[str, Versus]:
    base = scores.probability[reference]
    others = {name: probability for name, probability in scores.probability.items() if name != reference}
    areas = {name: delong(scores.labels, values, base, confidence) for name, values in others.items()}
    adjusted = dict(zip(areas, holm([area.p_value for area in areas.values()]), strict=True))
    return {
        name: Versus(
            areas[name],
            adjusted[name],
            paired_bootstrap(scores.labels, values, base, "auprc", resamples, confidence, seed),
        )
        for name, values in others.items()
    }


def _row(
    result: ModelResult[SeedResult],
    median: SeedResult,
    area: Interval,
    single: dict[str, Interval],
    versus: Versus | None,
) -> BenchmarkRow:
    done = result.finished
    (tn, fp), (fn, tp) = metrics.confusion(median.labels, median.probability >= median.threshold).tolist()
    return BenchmarkRow(
        name=result.name,
        kind=result.kind,
        seeds=tuple(part.seed for part in done),
        failed=len(result.seeds) - len(done),
        valid={name: seed_summary([part.valid[name] for part in done]) for name in METRICS},
        test={name: seed_summary([part.test[name] for part in done]) for name in METRICS},
        calibration_error=seed_summary([metrics.calibration_error(part.labels, part.probability) for part in done]),
        auroc_by_seed=tuple(part.test["auroc"] for part in done),
        ensemble_auroc=area,
        versus=versus,
        median_seed=median.seed,
        intervals=single,
        threshold=median.threshold,
        confusion=((tn, fp), (fn, tp)),
        epochs=seed_summary([len(part.epochs) for part in done]),
        seconds=seed_summary([part.seconds for part in done]),
        peak_mb=seed_summary([part.peak_mb for part in done]),
        published={split: kinds[result.kind] for split, kinds in PUBLISHED.items() if result.kind in kinds},
    )
