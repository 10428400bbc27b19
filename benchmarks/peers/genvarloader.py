"""The same windows of a genome by genvarloader, which holds the genome in memory, and from its own copy on the disk."""

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from peers.genome import CODE, Genes
from peers.rows import Row, beside, equal
from peers.windows import Call, genes_of, ours, what


def compare(small: bool) -> Iterator[Row]:
    """Yield the rows; its copy of the genome is there before."""
    with tempfile.TemporaryDirectory() as folder:
        genes = genes_of(folder, small)
        makers = {
            "genvarloader": lambda: with_reference(genes, False, True),
            "genvarloader (which opens the genome each time)": lambda: with_reference(genes, False, False),
            "genvarloader (genome in memory)": lambda: with_reference(genes, True, True),
        }
        yield from beside(what(genes), lambda: ours(genes), makers, equal, 3 if small else 5)


def with_reference(genes: Genes, in_memory: bool, opened: bool) -> Call:
    import genvarloader
    import polars

    columns = {"chrom": genes.chrom.astype(str), "chromStart": genes.low, "chromEnd": genes.low + genes.window}
    bed = polars.DataFrame(columns | {"strand": genes.strand.astype(str)})

    def open_genes() -> genvarloader.RefDataset:
        reference = genvarloader.Reference.from_path(genes.fasta, in_memory=in_memory)
        return genvarloader.RefDataset(reference, bed).with_len(genes.window)

    kept = open_genes()

    def call() -> NDArray[np.uint8]:
        found = (kept if opened else open_genes())[:]
        return CODE[np.ascontiguousarray(found).view(np.uint8)].reshape(len(genes.tss), -1)

    return call
