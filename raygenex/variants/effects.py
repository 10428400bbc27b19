"""What variants change of the logits of genes, as rows of the table and as a plot."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

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


class Effects:
    """Turns logits into rows of the table, and keeps what the plot needs: 8 bytes per row.

    Genes are called high from the probability ``threshold``. The reference of a gene comes before its effects.
    """

    def __init__(self, genes: ScoredGenes, threshold: float, parts: list[SpooledPart]) -> None:
        self._genes = genes
        self._threshold = threshold
        self._reference = np.full(len(genes.gene_id), np.nan)
        self._position: list[NDArray[np.int32]] = []
        self._delta: list[NDArray[np.float32]] = []
        self.rows = 0
        self.known = 0
        """Rows with an effect."""
        self.changed_calls = 0
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
        effects = effect_columns(self._reference[gene], logit[rows], self._threshold)
        self.rows += len(gene)
        known = effects["prediction_alt"] >= 0
        self.known += int(known.sum())
        self.changed_calls += int((known & (effects["prediction_alt"] != effects["prediction_ref"])).sum())
        self._position.append(table["position"].to_numpy()[known].astype(np.int32))
        self._delta.append(effects["delta_logit"][known].astype(np.float32))
        values = {name: table[name] for name in table.column_names} | effects
        values["prediction_alt"] = pa.array(effects["prediction_alt"], mask=effects["prediction_alt"] < 0)
        values["gene_id"], values["strand"] = self._genes.gene_id[gene], self._genes.strand[gene]
        writer.write(values)

    def draw(self, path: Path) -> None:
        """Draw the effects against their distance from the TSS, as SVG and as PNG."""
        from raygenex.variants.figures import write_effects

        first, stop = self._genes.first, self._genes.first + self._genes.window
        write_effects(np.concatenate(self._position), np.concatenate(self._delta), first, stop, path)
