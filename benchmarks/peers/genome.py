"""A random genome, and genes on it, for comparisons that read one."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.data.genome import open_genome
from raygenex.sequence import ALPHABET, to_string

LINE = 60


class Genes(NamedTuple):
    """Windows of one length on a genome, one value a gene, in the order of the genome."""

    fasta: str
    chrom: NDArray[np.object_]
    tss: NDArray[np.int64]
    """From 1."""
    strand: NDArray[np.object_]
    window: int

    @property
    def low(self) -> NDArray[np.int64]:
        """First base of each window, from 0; the TSS is its base ``window // 2`` on the gene's strand."""
        half = self.window // 2
        return np.where(self.strand == "+", self.tss - 1 - half, self.tss - self.window + half)


def write_genome(folder: Path, chromosomes: int, length: int, genes: int, window: int, both: bool = True) -> Genes:
    """Write a FASTA file with its index, and draw genes, on both strands or on the forward one."""
    # What raygenex indexes goes with the folder.
    os.environ["RAYGENEX_CACHE"] = str(folder / "cache")
    rng = np.random.default_rng(0)
    fasta = folder / "genome.fa"
    with fasta.open("w", encoding="ascii") as file:
        for number in range(chromosomes):
            text = to_string(rng.choice(5, length, p=[0.2999, 0.2, 0.2, 0.2999, 0.0002]).astype(np.uint8))
            file.write(f">chr{number + 1}\n")
            file.writelines(f"{text[at : at + LINE]}\n" for at in range(0, length, LINE))
    chrom = np.sort(rng.integers(0, chromosomes, genes))
    tss = rng.integers(window, length - window, genes)
    order = np.lexsort((tss, chrom))
    names = np.array([f"chr{number + 1}" for number in chrom[order]], dtype=object)
    strand = np.array(list("+-" if both else "++"), dtype=object)[np.arange(genes) % 2]
    open_genome(str(fasta))
    return Genes(str(fasta), names, tss[order], strand, window)


# Letters of either case to base indices, and to the index of the complement.
CODE = np.full(256, 4, np.uint8)
CODE[[ord(letter) for letter in ALPHABET[:4]]] = CODE[[ord(letter.lower()) for letter in ALPHABET[:4]]] = range(4)
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


def encode(texts: list[str]) -> NDArray[np.uint8]:
    """Return base indices of sequences of one length, shape ``(n, length)``."""
    return CODE[np.frombuffer("".join(texts).encode(), np.uint8)].reshape(len(texts), -1)
