"""What the command line prints of scored variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raygenex.text import short_path

if TYPE_CHECKING:
    from raygenex.variants.run import VariantsResult


def variants_text(result: VariantsResult) -> str:
    """Say how many effects were written, what they change, and what became of all other alleles."""
    lines = [
        f"variants: {result.effects} effects on {result.genes} of {result.known_genes} genes in "
        f"{short_path(result.output)}, {result.changed_calls} change the prediction (threshold {result.threshold:.4f})",
        f"model: {result.model}",
        f"windows: {window_text(result.window_first, result.window, result.window_first_assumed)}",
        f"read: {result.records} records, {result.alleles} alleles, {result.outside} of them outside every window",
    ]
    if result.mismatched:
        lines.append(f"without effect: {result.mismatched} alleles whose REF is not in the genome (ref_match false)")
    if result.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in result.skipped.items())
        listing = "" if result.skipped_file is None else f", each listed in {short_path(result.skipped_file)}"
        lines.append(f"skipped: {sum(result.skipped.values())} alleles ({reasons}){listing}")
    if result.figure is not None:
        lines.append(f"plot: {short_path(result.figure)}")
    return "\n".join(lines)


def window_text(first: int, window: int, assumed: bool) -> str:
    """Say which bases are read: ``window`` of them from ``first``, both counted from the TSS."""
    note = " (assumed to be centred: set variants.window_first)" if assumed else ""
    return f"bases {first:+,} to {first + window - 1:+,} from the TSS{note}"
