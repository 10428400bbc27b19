"""Cutting windows and computing features, along the genome, on Ray."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import Request, connect
from raygenex.cluster.tasks import in_tasks
from raygenex.config.data import BuildConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.build.candidates import Candidate
from raygenex.data.build.halflife import halflife_features
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.sketches import protein_sketch, sketch
from raygenex.files.errors import disk_errors_told
from raygenex.sequence import UNKNOWN, from_string
from raygenex.terminal.progress import progress

BATCH_BYTES = 64 * 2**20
"""Most bases of one batch: with sketches, a task holds some ten times as many bytes."""

START_CODON = from_string("ATG")


@dataclass(frozen=True)
class ExtractionBatch:
    """Neighbouring genes: what one task extracts."""

    number: int
    genes: tuple[Candidate, ...]


@dataclass(frozen=True)
class Extracted:
    """What was extracted of a batch; one value or row per gene, but for the path."""

    number: int
    path: str
    """A .npy file of the promoters: base indices, uint8, shape ``(n, window)``."""
    halflife: NDArray[np.float64]
    """Features, shape ``(n, 8)``; NaN if they come from a table."""
    unknown: NDArray[np.int64]
    """Unknown bases of the promoter."""
    starts: NDArray[np.bool_]
    """Whether the coding sequence starts with ATG."""
    promoter_sketch: NDArray[np.uint32] | None
    """MinHash of the promoter; None if not asked for."""
    protein_sketch: NDArray[np.uint32] | None
    """MinHash of the protein; None if not asked for."""


def cut_batches(genes: Sequence[Candidate], size: int) -> list[ExtractionBatch]:
    """Cut genes into batches of ``size`` genes, the last one of what is left; their order stays."""
    return [
        ExtractionBatch(number, tuple(genes[at : at + size])) for number, at in enumerate(range(0, len(genes), size))
    ]


def extract_batch(genome_path: str, batch: ExtractionBatch, folder: str, sketches: tuple[bool, bool]) -> Extracted:
    """Extract one batch.

    Parameters
    ----------
    genome_path
        The FASTA.
    batch
        The genes; windows are all of one length.
    folder
        Where the promoters are written.
    sketches
        Whether promoters, and proteins, are sketched.

    Raises
    ------
    DataError
        If the genome cannot be read.
    FileError
        If the disk does not take the promoters.
    """
    genes = batch.genes
    window = genes[0].stop - genes[0].first
    promoters = np.empty((len(genes), window), dtype=np.uint8)
    features = np.full((len(genes), len(HALFLIFE_FEATURES)), np.nan)
    starts = np.zeros(len(genes), dtype=bool)
    coding: list[NDArray[np.uint8]] = []
    with GenomeReader(open_genome(genome_path)) as reader:
        for row, gene in enumerate(genes):
            promoters[row] = reader.window(gene.chrom, gene.tss, gene.strand, gene.first, gene.stop)
            if gene.transcript is not None:
                features[row], cds = halflife_features(gene.transcript, partial(reader.fetch, gene.chrom))
                starts[row] = np.array_equal(cds[:3], START_CODON)
                coding.append(cds)
    path = Path(folder, f"{batch.number:06d}.npy")
    # What np.save writes; but where a disk refuses it, that does not say why.
    with disk_errors_told(str(path)), path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(promoters))
        stream.write(promoters.data)
    return Extracted(
        number=batch.number,
        path=str(path),
        halflife=features,
        unknown=(promoters == UNKNOWN).sum(axis=1),
        starts=starts,
        promoter_sketch=sketch(promoters) if sketches[0] else None,
        protein_sketch=protein_sketch(coding) if sketches[1] and coding else None,
    )


def extract(
    genome_path: str,
    genes: Sequence[Candidate],
    folder: Path,
    config: BuildConfig,
    cluster: ClusterConfig,
    sketches: tuple[bool, bool],
) -> list[Extracted]:
    """Extract all genes on the Ray cluster, in bounded memory, with a progress bar.

    Parameters
    ----------
    genome_path
        The FASTA; every node must reach it.
    genes
        Ordered by chromosome.
    folder
        Where the promoters are written, reached by every node.
    config, cluster
        Batch size and CPUs of a task; the cluster.
    sketches
        As in `extract_batch`.

    Returns
    -------
    The batches in the order of the genes.

    Raises
    ------
    ClusterError
        If the cluster cannot hold a task.
    DataError
        If the genome cannot be read.
    """
    window = genes[0].stop - genes[0].first
    batches = cut_batches(genes, max(1, min(config.genes_per_task, BATCH_BYTES // window)))
    request = Request("building", 1, config.cpus_per_task, 0.0, "build.cpus_per_task")
    with connect(cluster, request), progress("extracting genes", len(genes)) as advance:
        found = []
        work = partial(extract_batch, genome_path, folder=str(folder), sketches=sketches)
        for extracted in in_tasks(work, batches, config.cpus_per_task):
            advance(len(extracted.unknown), "")
            found.append(extracted)
    return sorted(found, key=lambda extracted: extracted.number)
