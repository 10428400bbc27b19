"""Where the genes of a table of features lie: in a genome, by the table or a BED, in a FASTA of windows, or nowhere."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig
from raygenex.data.build.bed import Place, read_windows
from raygenex.data.build.candidates import NOT_CHOSEN, Candidate, Candidates
from raygenex.data.build.chosen import check_chosen, is_chosen
from raygenex.data.build.feature_table import ImportedFeatures, has_records
from raygenex.data.genome import Genome
from raygenex.data.tables import shown
from raygenex.data.windows import window_bounds
from raygenex.errors import DataError


def choose_rows(table: ImportedFeatures, config: BuildConfig) -> Candidates:
    """Choose the genes of a table for a data set without promoters: they have no window, and the table's order.

    A table without the columns chrom and tss has its genes at no place; in one with them, every gene needs both.

    Raises
    ------
    DataError
        If ``build.chromosomes`` is set and the table does not say chromosomes, or none of them is there.
    """
    placed = table.chrom is not None and table.tss is not None
    count = len(table.gene_id)
    chroms = _chromosomes(table, config)
    tss = np.zeros(count) if table.tss is None else table.tss
    strands = np.full(count, "", dtype=object) if table.strand is None else table.strand
    found, dropped = [], {}
    for gene, values, chrom, place, strand in zip(table.gene_id, table.halflife, chroms, tss, strands, strict=True):
        if np.isnan(values).any():
            dropped[gene] = "no value of a half-life feature"
        elif placed and (not chrom or np.isnan(place)):
            dropped[gene] = "no chromosome or TSS"
        elif not is_chosen(chrom, config.chromosomes):
            dropped[gene] = NOT_CHOSEN
        else:
            found.append(Candidate(gene, chrom, 0 if np.isnan(place) else int(place), strand, None, "table", 0, 0))
    return Candidates(found, dropped)


def _chromosomes(table: ImportedFeatures, config: BuildConfig) -> NDArray[np.object_]:
    """Return the chromosome of every gene as the table names it, empty where it does not say.

    Raises
    ------
    DataError
        If ``build.chromosomes`` is set and the table has none, or a pattern matches none.
    """
    if table.chrom is not None:
        check_chosen(config.chromosomes, table.chrom.tolist(), table.path)
        return table.chrom
    if config.chromosomes:
        raise DataError(f"{table.path} has no column chrom: add one, or leave build.chromosomes out")
    return np.full(len(table.gene_id), "", dtype=object)


def place_windows(table: ImportedFeatures, genome: Genome, config: BuildConfig) -> Candidates:
    """Find the window of every gene of a table in a genome or in a FASTA of windows.

    The features of the genes are to be taken from the table.

    Parameters
    ----------
    table
        The genes.
    genome
        The genome, or a FASTA with one record per gene, named as the gene.
    config
        Window, BED of windows, chromosome names.

    Raises
    ------
    DataError
        If the table does not say where its genes lie and neither does a BED, no window, or a record of the FASTA, has
        the length of ``build.window``, or a chromosome is not in the genome.
    """
    first, stop = config.window
    order = {chrom: number for number, chrom in enumerate(genome.lengths)}
    records = has_records(config)
    dropped: dict[str, str] = {}
    places: dict[str, Place] = {}
    if config.windows is not None and not records:
        places, dropped = read_windows(config.windows, config, set(table.gene_id.tolist()))
    elif records:
        chroms = _chromosomes(table, config)
        for gene, chrom in zip(table.gene_id, chroms, strict=True):
            if not is_chosen(chrom, config.chromosomes):
                dropped[gene] = NOT_CHOSEN
            elif gene in order:
                places[gene] = (gene, 1 - first, "+")
    elif table.chrom is not None and table.tss is not None and table.strand is not None:
        chroms = _chromosomes(table, config)
        for gene, chrom, tss, strand in zip(table.gene_id, chroms, table.tss, table.strand, strict=True):
            if chrom and not is_chosen(chrom, config.chromosomes):
                dropped[gene] = NOT_CHOSEN
            elif chrom and not np.isnan(tss):
                places[gene] = (str(chrom), int(tss), str(strand))
    else:
        raise DataError(
            f"{table.path} does not say where its genes lie (it needs chrom, tss and strand): add the columns, or name "
            "a BED or a FASTA of windows in build.windows"
        )
    found = []
    for gene, values in zip(table.gene_id, table.halflife, strict=True):
        if np.isnan(values).any():
            dropped[gene] = "no value of a half-life feature"
        elif gene not in places:
            dropped.setdefault(gene, "no window")
        else:
            chrom, tss, strand = places[gene]
            chrom = chrom if chrom in order else _other_name(chrom, order, genome, config.windows or table.path)
            low, high = window_bounds(tss, strand, first, stop)
            length = genome.lengths[chrom]
            if not records:
                _check_place(gene, chrom, tss, length, genome, config.windows or table.path)
            elif length != stop - first:
                raise DataError(
                    f"{genome.path}: {gene} has {length} bases, but build.window [{first}, {stop}] asks for "
                    f"{stop - first}: set build.window to what the file holds, the TSS at 0"
                )
            if config.out_of_bounds == "drop" and (low < 0 or high > length):
                dropped[gene] = "window leaves the chromosome"
            else:
                found.append(Candidate(gene, chrom, tss, strand, None, "table", first, stop))
    found.sort(key=lambda gene: (order[gene.chrom], gene.tss, gene.gene_id))
    return Candidates(found, dropped)


def _check_place(gene: str, chrom: str, tss: int, length: int, genome: Genome, where: str) -> None:
    if tss > length:
        raise DataError(
            f"{where}: the TSS of gene {gene} is base {tss} of {chrom}, but in {genome.path} that has {length} bases: "
            "use the table and the genome of one build"
        )


def _other_name(chrom: str, order: Mapping[str, int], genome: Genome, where: str) -> str:
    """Take 1 for chr1 and the reverse: published tables write either."""
    other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
    if other not in order:
        raise DataError(
            f"{where} has genes on {chrom}, which {genome.path} does not have (it has {shown(list(order))}): "
            "name the chromosomes you want in build.chromosomes, or use the genome of the table"
        )
    return other
