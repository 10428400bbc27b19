"""What variants change of the predictions for genes, as rows of the table and as a plot."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from raygenex.train.targets import TargetInfo, outputs_of
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.spool import REFERENCE, SpooledPart, part_table
from raygenex.variants.table import TableWriter


def effect_columns(
    reference: NDArray[np.float64], changed: NDArray[np.float64], threshold: float
) -> dict[str, NDArray[Any]]:
    """Return what a change of sequence does to predictions.

    Parameters
    ----------
    reference, changed
        Logits without and with the variant, shape ``(n,)``; NaN in ``changed`` where there is none.
    threshold
        Probability from which a gene is called high.

    Returns
    -------
    ``logit_ref``, ``logit_alt``, ``delta_logit`` (alt minus ref), the same of ``probability``, and
    ``prediction_ref`` and ``prediction_alt``, which are 1 for high, 0 for low and -1 where there is no logit.
    """
    before, after = expit(reference), expit(changed)
    return {
        "logit_ref": reference,
        "logit_alt": changed,
        "delta_logit": changed - reference,
        "probability_ref": before,
        "probability_alt": after,
        "delta_probability": after - before,
        "prediction_ref": (before >= threshold).astype(np.int8),
        "prediction_alt": np.where(np.isnan(after), -1, after >= threshold).astype(np.int8),
    }


def target_effects(
    targets: Sequence[TargetInfo], reference: NDArray[np.float64], changed: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return what a change of sequence does to the predictions of targets.

    Parameters
    ----------
    targets
        Those of the model.
    reference, changed
        Outputs without and with the variant, shape ``(n, outputs)``; NaN in ``changed`` where there is none.

    Returns
    -------
    The columns of `raygenex.variants.table.columns_for`: of a binary target those of `effect_columns`, of another one
    its predictions on the scale of `TargetInfo.transformed`, and their change, alt minus ref.
    """
    found: dict[str, NDArray[Any]] = {}
    for target, place in zip(targets, outputs_of(targets), strict=True):
        if target.kind == "binary":
            assert target.threshold is not None, "a final checkpoint has it"
            before, after = (target.additive(outputs[:, place]) for outputs in (reference, changed))
            columns = effect_columns(before, after, target.threshold)
        else:
            before, after = (target.predicted(outputs[:, place]) for outputs in (reference, changed))
            columns = {"ref": before, "alt": after, "delta": after - before}
        found |= {f"{target.name}_{name}": values for name, values in columns.items()}
    return found


def shown_target(targets: Sequence[TargetInfo]) -> TargetInfo | None:
    """Return the target that the plot and the count of changed calls are of: the first binary one, or the first."""
    return next((target for target in targets if target.kind == "binary"), targets[0] if targets else None)


class Effects:
    """Turns logits into rows of the table, and keeps what the plot needs: 8 bytes per row.

    Genes are called high from the probability ``threshold``, or that of their target. The reference of a gene comes
    before its effects.
    """

    def __init__(
        self,
        genes: ScoredGenes,
        threshold: float | None,
        parts: list[SpooledPart],
        targets: Sequence[TargetInfo] = (),
    ) -> None:
        self._genes = genes
        self._threshold = threshold
        self._targets = targets
        self._shown = shown_target(targets)
        outputs = (sum(target.outputs for target in targets),) if targets else ()
        self._reference = np.full((len(genes.gene_id), *outputs), np.nan)
        self._position: list[NDArray[np.int32]] = []
        self._delta: list[NDArray[np.float32]] = []
        self.rows = 0
        self.known = 0
        """Rows with an effect."""
        self.changed_calls = None if self._shown is not None and self._shown.kind != "binary" else 0
        """Rows with another call; None if the target that is shown has none."""
        assert all(before.first + before.rows == after.first for before, after in pairwise(parts)), parts

    def take(self, part: SpooledPart, logit: NDArray[np.float64], writer: TableWriter) -> None:
        """Keep the logits of references, and write the effects of variants."""
        import pyarrow as pa

        table = part_table(part.path)
        gene, is_reference = table["gene"].to_numpy(), table["start"].to_numpy() == REFERENCE
        self._reference[gene[is_reference]] = logit[is_reference]
        rows = np.flatnonzero(~is_reference)
        if not len(rows):
            return
        gene, table = gene[rows], table.take(rows)
        effects = self._effects(self._reference[gene], logit[rows])
        self.rows += len(gene)
        prefix = "" if self._shown is None else f"{self._shown.name}_"
        delta = effects[f"{prefix}delta" if self.changed_calls is None else f"{prefix}delta_logit"]
        known = ~np.isnan(delta)
        self.known += int(known.sum())
        if self.changed_calls is not None:
            differs = effects[f"{prefix}prediction_alt"] != effects[f"{prefix}prediction_ref"]
            self.changed_calls += int((known & differs).sum())
        self._position.append(table["position"].to_numpy()[known].astype(np.int32))
        self._delta.append(delta[known].astype(np.float32))
        values = {name: table[name] for name in table.column_names} | effects
        for name, column in effects.items():
            if column.dtype == np.int8:
                values[name] = pa.array(column, mask=column < 0)
        values["gene_id"], values["strand"] = self._genes.gene_id[gene], self._genes.strand[gene]
        writer.write(values)

    def _effects(self, reference: NDArray[np.float64], changed: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        if self._targets:
            return target_effects(self._targets, reference, changed)
        assert self._threshold is not None, "a final checkpoint of the label has it"
        return effect_columns(reference, changed, self._threshold)

    def draw(self, path: Path) -> None:
        """Draw the effects against their distance from the TSS, as SVG and as PNG."""
        from raygenex.variants.figures import write_effects

        first, stop = self._genes.first, self._genes.first + self._genes.window
        position, delta = np.concatenate(self._position), np.concatenate(self._delta)
        write_effects(position, delta, first, stop, path, self._shown)
