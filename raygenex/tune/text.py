"""What `raygenex tune` prints."""

from typing import TYPE_CHECKING, Any

from raygenex.text import short_path

if TYPE_CHECKING:
    from raygenex.tune.run import TuneResult


def tune_values(result: "TuneResult") -> dict[str, Any]:
    """Return what came of a study, as plain values."""
    trained = result.trained
    return {
        **{name: value for name, value in vars(result).items() if name != "trained"},
        "trained": trained
        and {
            "seeds": trained.seeds,
            "split": trained.split,
            "valid": trained.valid,
            trained.split: trained.test,
            "registered": trained.registered,
        },
    }


def tune_text(result: "TuneResult") -> str:
    """Return what came of a study, on a few lines."""
    states = ", ".join(f"{count} {name}" for name, count in result.states.items() if count)
    lines = [
        f"trials: {result.trials} ({states}), {result.overhead_s:.2f} s each beside their training, the start of "
        "processes included",
        f"best: trial {result.best}, valid AUROC {result.valid_auroc:.4f} (the best of many, so rather high)",
    ]
    if result.first_auroc is not None:
        lines.append(f"first: trial 0, valid AUROC {result.first_auroc:.4f}")
    width = max(map(len, result.params))
    lines += ["", *(f"  {key:<{width}}  {_short(value)}" for key, value in result.params.items()), ""]
    if result.trained is not None:
        lines += _trained_lines(result.trained)
    lines.append(f"table, plots, best.yaml: {short_path(result.folder)}")
    minutes, seconds = divmod(round(result.seconds), 60)
    lines.append(f"done in {minutes} min {seconds} s" if minutes else f"done in {seconds} s")
    return "\n".join(lines)


def _trained_lines(trained: Any) -> list[str]:
    noun = "seed" if len(trained.seeds) == 1 else "seeds"
    lines = [f"trained anew with {noun} {', '.join(map(str, trained.seeds))}:"]
    splits = ["valid"] if trained.split == "valid" else ["valid", "test"]
    for split in splits:
        parts = []
        for metric in ("auroc", "auprc", "f1"):
            summary = trained.summary(split, metric)
            spread = f" +- {summary.sd:.4f}" if summary.n > 1 else ""
            parts.append(f"{metric} {summary.mean:.4f}{spread}")
        lines.append(f"  {split:<6} {', '.join(parts)}")
    return [*lines, f"registered: the seed of the median valid AUROC, as {trained.registered}"]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
