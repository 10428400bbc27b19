"""What a comparison of models of several targets found: their scores, and for each target metrics and paired tests.

Every target is compared on the genes that have a value of it. Its p-values are adjusted for all models and all targets
of the comparison together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raygenex.benchmark.results import best_model
from raygenex.benchmark.tables import Failure
from raygenex.benchmark.target_results import Predicted, TargetModel, TargetSeed, mean_predictions
from raygenex.config.train import EvaluateConfig
from raygenex.predict.target_scores import main_difference, resampled_difference
from raygenex.stats import metrics, quantities
from raygenex.stats.compare import Summary, holm, seed_summary
from raygenex.stats.resamples import Comparison, Floats, Interval
from raygenex.train.targets import TargetInfo


@dataclass(frozen=True)
class ModelRow:
    """One model of which at least one training finished."""

    name: str
    kind: str
    seeds: tuple[int, ...]
    """Seeds that finished."""
    failed: int
    """Number of seeds that failed."""
    score: Summary
    """What chooses the best model, on valid."""
    median_seed: int
    """The training whose score on valid is the median over the seeds."""
    epochs: Summary
    seconds: Summary
    peak_mb: Summary


@dataclass(frozen=True)
class TargetVersus:
    """A model against the reference on one target, on the same genes, by the mean predictions of their seeds."""

    main: Comparison
    """Difference of the main metric, by DeLong's test of AUROCs or Steiger's of correlations."""
    adjusted_p: float
    """Its p-value, adjusted by Holm's rule for all models and targets."""
    other: Comparison
    """Difference of the table's `TargetTable.other`, by the paired bootstrap; its p-value is not adjusted."""


@dataclass(frozen=True)
class TargetRow:
    """One model on one target."""

    name: str
    valid: dict[str, Summary]
    test: dict[str, Summary]
    """Each metric over the seeds, on the split that the models are compared on."""
    by_seed: tuple[float, ...]
    """The main metric of each seed."""
    ensemble: Interval
    """The main metric of the mean prediction over the seeds, with its bootstrap interval over genes."""
    versus: TargetVersus | None
    """None for the reference itself."""


@dataclass(frozen=True)
class TargetTable:
    """All models on one target."""

    target: str
    kind: str
    unit: str
    transform: str
    """What values are changed by before they are measured."""
    main: str
    """The metric that is tested: ``auroc`` or ``pearson``."""
    other: str
    """The metric beside it: ``auprc`` or ``mae``."""
    genes: int
    """Genes of the split that have a value."""
    rows: tuple[TargetRow, ...]

    @property
    def titles(self) -> dict[str, str]:
        """Titles of its metrics."""
        return metrics.TITLES if self.kind == "binary" else quantities.TITLES


@dataclass(frozen=True)
class TargetBenchmark:
    """The models, best mean score on valid first, a table for each target, and what they rest on."""

    models: tuple[ModelRow, ...]
    targets: tuple[TargetTable, ...]
    failures: tuple[Failure, ...]
    split: str
    monitor: str | None
    """The metric on valid that chooses the best model; None: the mean over targets of their main metrics."""
    best: str | None
    """Name of that model, which the others are compared with; None if every training failed."""
    resamples: int
    confidence: float

    def numbers(self) -> dict[str, float]:
        """Return the means of all models that are defined, as MLflow is told of them."""
        found = {f"{row.name}_valid_score": row.score.mean for row in self.models}
        for one in self.targets:
            for row in one.rows:
                for split, values in {"valid": row.valid, self.split: row.test}.items():
                    found |= {f"{row.name}_{split}_{one.target}_{name}": mean for name, (mean, _, _) in values.items()}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def target_benchmark(
    results: Sequence[TargetModel], split: str, monitor: str | None, options: EvaluateConfig, seed: int
) -> TargetBenchmark:
    """Turn the trainings of a comparison into rows.

    Parameters
    ----------
    results
        The models, of different names.
    split
        The split that they are compared on.
    monitor
        What chooses the best of them; None for the mean over targets.
    options
        Resamples and coverage of all intervals.
    seed
        Seed of the bootstrap.

    Raises
    ------
    DataError
        If the trainings scored different genes, or too few of them to be compared.
    """
    best = best_model(results)
    failures = tuple(Failure(m.name, m.kind, s.seed, s.error) for m in results for s in m.seeds if s.error is not None)
    models = sorted((_model(result) for result in results if result.finished), key=lambda row: -row.score.mean)
    targets = next((seed.targets for result in results for seed in result.finished), ())
    order = {row.name: place for place, row in enumerate(models)}
    ranked = sorted((result for result in results if result.finished), key=lambda result: order[result.name])
    predicted = {target.name: mean_predictions(ranked, target.name) for target in targets}
    versus = _against(targets, predicted, best, options, seed)
    tables = tuple(
        _table(target, ranked, *predicted[target.name], versus[target.name], options, seed) for target in targets
    )
    return TargetBenchmark(tuple(models), tables, failures, split, monitor, best, options.bootstrap, options.confidence)


def _model(result: TargetModel) -> ModelRow:
    done, median = result.finished, result.median_seed
    assert median is not None, "a row has a finished training"
    return ModelRow(
        name=result.name,
        kind=result.kind,
        seeds=tuple(part.seed for part in done),
        failed=len(result.seeds) - len(done),
        score=seed_summary([part.score for part in done]),
        median_seed=median.seed,
        epochs=seed_summary([len(part.epochs) for part in done]),
        seconds=seed_summary([part.seconds for part in done]),
        peak_mb=seed_summary([part.peak_mb for part in done]),
    )


def _against(
    targets: Sequence[TargetInfo],
    predicted: Mapping[str, tuple[Predicted, dict[str, Floats]]],
    best: str | None,
    options: EvaluateConfig,
    seed: int,
) -> dict[str, dict[str, TargetVersus]]:
    """Return each other model against the best, by target and by name."""
    found: dict[tuple[str, str], tuple[Comparison, Comparison]] = {}
    for target in targets:
        genes, means = predicted[target.name]
        for name, values in means.items():
            if name != best and best is not None:
                pair = values, means[best]
                found[target.name, name] = (
                    main_difference(target, genes.truth, *pair, options.confidence),
                    resampled_difference(target, genes.truth, pair, _other(target), options, seed),
                )
    adjusted = dict(zip(found, holm([main.p_value for main, _ in found.values()]), strict=True))
    return {
        target.name: {
            name: TargetVersus(main, adjusted[of, name], other)
            for (of, name), (main, other) in found.items()
            if of == target.name
        }
        for target in targets
    }


def _table(
    target: TargetInfo,
    ranked: Sequence[TargetModel],
    genes: Predicted,
    means: Mapping[str, Floats],
    versus: Mapping[str, TargetVersus],
    options: EvaluateConfig,
    seed: int,
) -> TargetTable:
    names = metrics.METRICS if target.kind == "binary" else quantities.METRICS
    # A mean over seeds has no threshold, and its main metric needs none.
    plain = target.model_copy(update={"threshold": 0.5})

    def summaries(seeds: Sequence[TargetSeed], of_valid: bool) -> dict[str, Summary]:
        measured = [part.valid if of_valid else part.test for part in seeds]
        return {name: seed_summary([values[f"{target.name}_{name}"] for values in measured]) for name in names}

    rows = [
        TargetRow(
            name=model.name,
            valid=summaries(model.finished, of_valid=True),
            test=summaries(model.finished, of_valid=False),
            by_seed=tuple(part.test[f"{target.name}_{target.main_metric}"] for part in model.finished),
            ensemble=plain.intervals(genes.truth, means[model.name], options.bootstrap, options.confidence, seed)[
                target.main_metric
            ],
            versus=versus.get(model.name),
        )
        for model in ranked
    ]
    return TargetTable(
        target=target.name,
        kind=target.kind,
        unit=target.unit,
        transform=target.transform,
        main=target.main_metric,
        other=_other(target),
        genes=genes.truth.size,
        rows=tuple(rows),
    )


def _other(target: TargetInfo) -> str:
    return "auprc" if target.kind == "binary" else "mae"
