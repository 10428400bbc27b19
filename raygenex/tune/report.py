"""What a study leaves to read: the table of its trials, plots, and the best settings as a configuration."""

import csv
from pathlib import Path
from typing import Any

from raygenex.config.load import config_text
from raygenex.config.run import RunConfig
from raygenex.config.tune import OBJECTIVES, TuneConfig
from raygenex.files.whole import replace_text, whole_file
from raygenex.redact import redact_values
from raygenex.tune.records import Ledger, TrialRecord
from raygenex.tune.space import Space

FOLDER = "report"


def choose(scored: list[TrialRecord], options: TuneConfig) -> TrialRecord:
    """Return the best of the trials that can be compared, the first of equal ones.

    With one objective that of the highest valid AUROC, or score of targets; with several, of those within
    ``tolerance`` of it, the best by the other objectives in the order of the configuration.
    """
    assert scored, "a study without a trial to compare has no best one"
    highest = max(record.score for record in scored)
    others = [name for name in options.objectives if name != options.metric]
    near = [record for record in scored if record.score >= highest - (options.tolerance if others else 0.0)]

    def cost(record: TrialRecord) -> tuple[float, ...]:
        return (*(record.values[name] for name in others), -record.score)

    return min(near, key=cost)


def pareto_front(scored: list[TrialRecord], objectives: tuple[str, ...]) -> list[TrialRecord]:
    """Return the trials that no other one beats in every objective, by falling score."""

    def costs(record: TrialRecord) -> list[float]:
        return [record.values[name] * (1.0 if OBJECTIVES[name] == "min" else -1.0) for name in objectives]

    def beaten(record: TrialRecord) -> bool:
        mine = costs(record)
        return any(
            theirs != mine and all(their <= my for their, my in zip(theirs, mine, strict=True))
            for theirs in map(costs, scored)
        )

    return sorted((record for record in scored if not beaten(record)), key=lambda record: -record.score)


def write_report(space: Space, ledger: Ledger, wall_s: float) -> Path:
    """Write ``trials.csv``, ``best.yaml`` and ``plots.html``; with several objectives ``pareto.csv`` as well.

    If no trial can be compared, the table alone is written.

    Returns
    -------
    The folder of the files.
    """
    folder = ledger.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    options = space.config.tune
    _write_table(folder / "trials.csv", ledger.ended, space)
    if not ledger.scored:
        return folder
    best = choose(ledger.scored, options)
    if len(options.objectives) > 1:
        _write_table(folder / "pareto.csv", pareto_front(ledger.scored, options.objectives), space)
    replace_text(folder / "best.yaml", best_yaml(space, best))
    replace_text(folder / "plots.html", _plots(space, ledger, wall_s))
    return folder


def best_yaml(space: Space, best: TrialRecord) -> str:
    """Return the configuration of the study with the settings of a trial, for ``raygenex train``."""
    config = space.settings(best.params)
    values = config.dump() | {"name": f"{config.name}-best"}
    if config.reads_store:
        # Embeddings are where the study has them, whatever the name of the run.
        values["embed"]["store"] = config.store
    plain = RunConfig().dump()
    kept = {key: value for key, value in values.items() if value != plain[key] and key not in ("tune", "benchmark")}
    note = f"# The settings of trial {best.number} of the study {config.name}: {space.title} {best.score:.4f} there.\n"
    return note + config_text(redact_values(kept))


def _write_table(path: Path, records: list[TrialRecord], space: Space) -> None:
    metric = space.config.tune.metric
    objectives = [name for name in space.config.tune.objectives if name != metric]
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        seconds = ("training_s", "wall_s", "overhead_s")
        writer.writerow(["trial", "state", "reason", "epochs", metric, *objectives, *space.keys, *seconds])
        for record in records:
            values = [record.values.get(name, "") for name in (metric, *objectives)]
            times = record.training_s, record.wall_s, record.wall_s - record.training_s
            writer.writerow(
                [
                    *(record.number, record.state, record.reason, len(record.history)),
                    *(repr(value) if isinstance(value, float) else value for value in values),
                    *(record.params[key] for key in space.keys),
                    *(f"{value:.2f}" for value in times),
                ]
            )


def _plots(space: Space, ledger: Ledger, wall_s: float) -> str:
    """Return a page of Optuna's plots, which needs no network."""
    import plotly.io

    figures = _figures(space, ledger)
    parts = []
    for place, (title, figure) in enumerate(figures.items()):
        figure.update_layout(title=title, template="plotly_white", margin={"t": 60})
        # Half of the page is the library that draws it, which the first figure brings.
        parts.append(plotly.io.to_html(figure, include_plotlyjs=place == 0, full_html=False))
    ended = ledger.ended
    name = space.config.name
    summary = f"{len(ended)} trials in {wall_s / 60:.1f} minutes, searching {', '.join(space.keys)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title></head>\n'
        '<body style="font-family: sans-serif; max-width: 70em; margin: 2em auto">\n'
        f"<h1>{name}</h1>\n<p>{summary}</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _figures(space: Space, ledger: Ledger) -> dict[str, Any]:
    """Draw Optuna's plots of the trials that can be compared."""
    from optuna import visualization

    from raygenex.tune.optuna_study import optuna_study

    options = space.config.tune
    scored = ledger.scored
    study = optuna_study(options.objectives, space.distributions(), scored)
    shown: dict[str, Any] = {"target_name": space.title}
    if len(options.objectives) > 1:
        place = options.objectives.index(options.metric)
        shown["target"] = lambda trial: trial.values[place]
    measure = space.title.removeprefix("valid ")
    title = space.title[0].upper() + space.title[1:]
    figures = {f"{title}, trial by trial": visualization.plot_optimization_history(study, **shown)}
    if len(options.objectives) > 1:
        names = list(options.objectives)
        if len(options.objectives) <= 3:
            figures["What no trial beats in every objective"] = visualization.plot_pareto_front(
                study, target_names=names
            )
    # An analysis of variance needs some.
    if len({record.score for record in scored}) > 1 and len(scored) >= 4:
        importances = visualization.plot_param_importances(study, **shown)
        figures[f"How much of the {measure}'s variance each key explains (fANOVA)"] = importances
    figures[f"Settings and {space.title}"] = visualization.plot_parallel_coordinate(study, **shown)
    figures[f"{title} along each key"] = visualization.plot_slice(study, **shown)
    return figures
