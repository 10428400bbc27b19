"""Windows around the TSS of genes, on their strands, as base indices: against pyfaidx, bioframe and tangermeme."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from peers.genome import COMPLEMENT, Genes, encode, write_genome
from peers.rows import Row, beside, equal
from raygenex.data.genome import GenomeReader, open_genome

Call = Callable[[], NDArray[np.uint8]]


def genes_of(folder: str, small: bool) -> Genes:
    """Return the genes of the comparison: of a small genome, or of 20 million bases."""
    return write_genome(Path(folder), *((2, 200_000, 200, 500) if small else (4, 5_000_000, 5000, 2000)))


def ours(genes: Genes) -> NDArray[np.uint8]:
    """Read the windows as `data build` does."""
    found = np.empty((len(genes.tss), genes.window), np.uint8)
    first = -(genes.window // 2)
    with GenomeReader(open_genome(genes.fasta)) as reader:
        for row, gene in enumerate(zip(genes.chrom, genes.tss, genes.strand, strict=True)):
            found[row] = reader.window(*gene, first, first + genes.window)
    return found


def what(genes: Genes) -> str:
    """Say what is read."""
    return f"{len(genes.tss):,} windows of {genes.window:,} bases of a genome"


def compare(small: bool) -> Iterator[Row]:
    """Yield the rows; every side opens the FASTA file, whose index is there, and reads it from the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        genes = genes_of(folder, small)
        makers = {
            "pyfaidx": lambda: with_pyfaidx(genes),
            "bioframe": lambda: with_bioframe(genes),
            "tangermeme": lambda: with_tangermeme(genes),
        }
        yield from beside(what(genes), lambda: ours(genes), makers, equal, 3 if small else 5)


def with_pyfaidx(genes: Genes) -> Call:
    from pyfaidx import Fasta

    def call() -> NDArray[np.uint8]:
        texts = []
        with Fasta(genes.fasta) as fasta:
            for chrom, low, strand in zip(genes.chrom, genes.low.tolist(), genes.strand, strict=True):
                found = fasta[chrom][low : low + genes.window]
                texts.append(found.seq if strand == "+" else found.reverse.complement.seq)
        return encode(texts)

    return call


def with_bioframe(genes: Genes) -> Call:
    import bioframe

    def call() -> NDArray[np.uint8]:
        texts, records = [], bioframe.load_fasta(genes.fasta)
        for chrom, low, strand in zip(genes.chrom, genes.low.tolist(), genes.strand, strict=True):
            text = records[chrom][low : low + genes.window]
            # It has no reverse complement of its own.
            texts.append(text if strand == "+" else text.translate(COMPLEMENT)[::-1])
        return encode(texts)

    return call


def with_tangermeme(genes: Genes) -> Call:
    from tangermeme.io import extract_loci

    loci = pd.DataFrame({"chrom": genes.chrom, "start": genes.low, "end": genes.low + genes.window})
    back = np.flatnonzero(genes.strand == "-")

    def call() -> NDArray[np.uint8]:
        one_hot = extract_loci(loci, genes.fasta, in_window=genes.window).numpy()
        one_hot[back] = one_hot[back, ::-1, ::-1]
        return np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), 4).astype(np.uint8)

    return call
