"""What `raygenex explain` prints."""

from typing import TYPE_CHECKING, Any

from raygenex.text import short_path

if TYPE_CHECKING:
    from raygenex.explain.run import ExplainResult


def explain_text(result: "ExplainResult") -> str:
    """Say what was explained by which methods, how well, and where the files are."""
    lines = [f"{result.split}: {result.genes} genes explained by {result.model_kind}, {_window(result)}", ""]
    lines += [_method_line(name, numbers) for name, numbers in result.methods.items()]
    lines.append("")
    if not result.computed:
        lines.append("nothing was computed: everything was there")
    if result.summary["projection"] is not None:
        lines.append(_projection_line(result.summary["projection"]))
    if result.summary["halflife"] is not None:
        best = result.summary["halflife"]
        lines.append(
            f"most important half-life feature: {best['feature']}, AUROC loses {best['drop']:.4f} "
            f"({best['low']:.4f} to {best['high']:.4f}) when it is shuffled"
        )
    for row in result.summary["agreement"]:
        if row["spearman_median"] is None:
            continue
        median = f"{row['spearman_median']:.2f}, the median over genes"
        lines.append(f"rank correlation of {row['method']} and {row['other']}: {median}")
    lines += result.summary["notes"]
    lines.append(f"{result.seconds:.1f} s; tables, figures and parts: {short_path(result.folder)}")
    return "\n".join(lines)


def _window(result: "ExplainResult") -> str:
    if not result.window:
        return "which reads no DNA"
    last = result.window_first + result.window - 1
    assumed = " (assumed to be centred: set explain.window_first)" if result.window_first_assumed else ""
    return f"{result.window_first:+,} to {last:+,} from the TSS{assumed}"


def _method_line(name: str, numbers: dict[str, Any]) -> str:
    line = f"  {name:<22}{numbers['genes']:>7,} genes {numbers['seconds']:>9.1f} s"
    if "largest_delta" in numbers:
        line += f", largest gap {numbers['largest_delta']:.2g} logits"
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
