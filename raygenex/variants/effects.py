"""The logit of every window of a spool, and what a variant changes of it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.rows import Columns
from raygenex.predict.predictor import Predictor
from raygenex.sequence import from_string
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.spool import REFERENCE
from raygenex.variants.windows import changed_window, reference_window


class WindowScorer:
    """Builds windows with and without variants and scores them: an actor of Ray Data, or a plain object.

    Parameters
    ----------
    folder
        The spool, which holds the genes.
    genome
        Path or URL of the FASTA.
    checkpoint
        Folder of the model.
    device
        Torch device.
    batch_size
        Windows a forward pass.
    threads
        Threads of torch in this process; None leaves them as they are.
    """

    def __init__(
        self, folder: str, genome: str, checkpoint: str, device: str, batch_size: int, threads: int | None
    ) -> None:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        self._genes = ScoredGenes.load(Path(folder))
        self._genome = open_genome(genome)
        self._predictor = Predictor(checkpoint, device, batch_size)

    def __call__(self, batch: Columns) -> Columns:
        """Return the ``row`` and the ``logit`` of every edit; NaN for those that are not to be scored."""
        logit = np.full(len(batch["row"]), np.nan)
        wanted = np.flatnonzero(batch["scored"])
        step = self._predictor.batch_size
        with GenomeReader(self._genome) as reader:
            # Whole windows of one forward pass at a time: a block of long ones would fill the memory.
            for at in range(0, len(wanted), step):
                rows = wanted[at : at + step]
                logit[rows] = self._predictor.logits(
                    self._windows(batch, rows, reader), self._genes.halflife[batch["gene"][rows]]
                )
        return {"row": batch["row"], "logit": logit}

    def _windows(self, batch: Columns, rows: NDArray[np.intp], reader: GenomeReader) -> NDArray[np.uint8]:
        genes = self._genes
        alleles = [from_string(str(allele)) for allele in batch["allele"][rows]]
        longest = max(len(allele) for allele in alleles)
        margin = max(longest, int((batch["stop"][rows] - batch["start"][rows]).max()))
        windows = np.empty((len(rows), genes.window), dtype=np.uint8)
        around: dict[int, NDArray[np.uint8]] = {}
        for number, (row, allele) in enumerate(zip(rows, alleles, strict=True)):
            gene = int(batch["gene"][row])
            low, strand = int(genes.low[gene]), str(genes.strand[gene])
            if gene not in around:
                size = genes.window + 2 * margin
                around[gene] = reader.window(str(genes.chrom[gene]), low - margin + 1, "+", 0, size)
            start, stop = int(batch["start"][row]), int(batch["stop"][row])
            if start == REFERENCE:
                windows[number] = reference_window(around[gene], margin, strand)
            else:
                tss = int(genes.tss[gene])
                windows[number] = changed_window(around[gene], margin, low, tss, strand, start, stop, allele)
        return windows


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
