"""The genes that variants are scored against: where their windows lie, and their half-life features."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig
from raygenex.config.run import RunConfig
from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.candidates import find_candidates, none_left
from raygenex.data.build.halflife import halflife_features
from raygenex.data.genome import Genome, GenomeReader
from raygenex.data.hdf5.read import inspect, read_locations, read_rows, read_table
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.repeats import first_repeat
from raygenex.data.tables import shown
from raygenex.errors import DataError
from raygenex.files.locate import locate
from raygenex.predict.inputs import features_of_genes, refuse_other_place, refuse_other_scale, repeated_gene
from raygenex.predict.training_range import check_range
from raygenex.sequence import crop_start
from raygenex.terminal.progress import progress, steps
from raygenex.train.checkpoint import CheckpointInfo

_MITOCHONDRIA = ("chrM", "MT", "M", "chrMT", "Mito", "chrMito")

COMPARED = 16
"""Promoters of each file that are compared with the genome."""

_FILE = "genes.npz"

_LOG = logging.getLogger(__name__)


class ChromosomeNames:
    """Finds the chromosomes of a genome under the names of other files.

    A name stands for itself if the genome has it; otherwise for the one with or without ``chr`` before it; and every
    usual name of the mitochondrial chromosome stands for the one that the genome has.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = set(known)
        self._found: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        """Return the genome's name of a chromosome, None if it has no such chromosome."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    @property
    def unknown(self) -> list[str]:
        """Names that were looked for and not found, in the order of their first appearance."""
        return [name for name, found in self._found.items() if found is None]

    @property
    def resolved(self) -> bool:
        """Whether any name was found."""
        return any(found is not None for found in self._found.values())

    def _look(self, name: str) -> str | None:
        options = [name, name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"]
        if name in _MITOCHONDRIA:
            options += _MITOCHONDRIA
        return next((option for option in options if option in self._known), None)


@dataclass(frozen=True)
class ScoredGenes:
    """Genes and the windows that a model reads around their TSS; one value or row per gene."""

    gene_id: NDArray[np.str_]
    chrom: NDArray[np.str_]
    """Names of the genome."""
    tss: NDArray[np.int64]
    """From 0."""
    strand: NDArray[np.str_]
    """``+`` or ``-``."""
    halflife: NDArray[np.float32]
    """Features, shape ``(N, features)``."""
    first: int
    """The windows' first base, from the TSS, on the gene's strand."""
    window: int
    """Bases of each window."""
    assumed: bool = False
    """Whether the windows were taken as centred because nothing says where they start."""

    @cached_property
    def low(self) -> NDArray[np.int64]:
        """Position of the leftmost base of each window, from 0; it may lie outside the chromosome."""
        return np.where(self.strand == "+", self.tss + self.first, self.tss - self.first - self.window + 1)

    def save(self, folder: Path) -> None:
        """Write the genes into a folder, for other processes."""
        columns = {name: getattr(self, name) for name in ("gene_id", "chrom", "tss", "strand", "halflife")}
        np.savez(folder / _FILE, **columns, first=self.first, window=self.window, assumed=self.assumed)

    @classmethod
    def load(cls, folder: Path) -> "ScoredGenes":
        """Read the genes that `save` wrote."""
        with np.load(folder / _FILE, allow_pickle=False) as found:
            columns = {name: found[name] for name in ("gene_id", "chrom", "tss", "strand", "halflife")}
            first, window, assumed = (found[name].item() for name in ("first", "window", "assumed"))
            return cls(**columns, first=first, window=window, assumed=assumed)


def open_genes(config: RunConfig, info: CheckpointInfo, genome: Genome) -> ScoredGenes:
    """Read the genes of a configuration, from HDF5 files or from an annotation; warn if their windows are assumed.

    Raises
    ------
    DataError
        If there are no files, one does not say where its genes lie, a gene is there twice, a chromosome is not in the
        genome, promoters are not those of the genome, or the features are scaled otherwise than the model's.
    """
    if config.variants.annotation is not None:
        genes = _from_annotation(config, config.variants.annotation, info, genome)
    else:
        genes = _from_files(config, info, genome)
    names, what = info.inputs.features, "the genes that variants are scored against"
    check_range(genes.halflife, names, info.checked_range, what, strict=False)
    if genes.assumed:
        _LOG.warning(
            "the windows were taken as centred, from base %+d from the TSS, because nothing says otherwise: if the "
            "model was trained on others, set variants.window_first",
            genes.first,
        )
    return genes


def _from_files(config: RunConfig, info: CheckpointInfo, genome: Genome) -> ScoredGenes:
    patterns = config.variants.genes
    where = "variants.genes"
    if not patterns:
        patterns = tuple(path for name in config.data.configured for path in config.data.split(name))
        where = "data"
    if not patterns:
        raise DataError("no genes to score variants against: set variants.genes, variants.annotation or data")
    files = [inspect(path, require_label=False) for path in locate(patterns, where)]
    found = [_first(config, info, file) for file in files]
    firsts = {first: file for (first, _), file in zip(found, files, strict=True)}
    if len(firsts) > 1:
        (one, file), (other, other_file) = list(firsts.items())[:2]
        raise DataError(
            f"the windows start at base {one} in {file.path} and at base {other} in {other_file.path}: use files that "
            "were made in one way, or set variants.window_first"
        )
    names = ChromosomeNames(genome.lengths)
    parts = [_of_file(file, info, genome, names) for file in files]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["halflife"] = _features(config, info, columns["gene_id"], columns["halflife"], files)
    if (repeat := first_repeat(lambda: (part["gene_id"] for part in parts))) is not None:
        raise repeated_gene(repeat, files)
    assumed = all(assumed for _, assumed in found)
    genes = ScoredGenes(**columns, first=next(iter(firsts)), window=info.inputs.window, assumed=assumed)
    _check_ends(genes, genome, where)
    start = 0
    with GenomeReader(genome) as reader:
        for file in files:
            _compare(file, genes, start, reader, genome)
            start += file.rows
    return genes


def _first(config: RunConfig, info: CheckpointInfo, file: PromoterFile | None = None) -> tuple[int, bool]:
    """Return where the window that the model reads starts, and whether that is only assumed."""
    wanted = info.inputs.window
    if config.variants.window_first is not None:
        return config.variants.window_first, False
    if file is None or file.first is None:
        if info.inputs.first is not None:
            return info.inputs.first, False
        first, is_assumed = _as_built(config, info)
        # Promoters are compared with the genome, so that of them nothing is assumed.
        return first, is_assumed and not (file and file.window)
    if file.window and file.window < wanted:
        raise DataError(
            f"the model reads {wanted} bases per promoter and {file.path} has {file.window}: use other genes"
        )
    first = file.first + (crop_start(file.window, wanted) if file.window else 0)
    if file.window:
        refuse_other_place(file.path, first, info)
    return first, False


def _as_built(config: RunConfig, info: CheckpointInfo) -> tuple[int, bool]:
    """Return where `build` places the window: that of the configuration, or else that of the model's training."""
    wanted = info.inputs.window
    for build in (config.build, info.run_config.build):
        if build is None or not build.promoters or not build.makes_data:
            continue
        if (length := build.window[1] - build.window[0]) >= wanted:
            return build.window[0] + crop_start(length, wanted), False
    return -(wanted // 2), True


def _of_file(file: PromoterFile, info: CheckpointInfo, genome: Genome, names: ChromosomeNames) -> dict[str, NDArray]:
    refuse_other_scale(file.path, file.halflife_scale, info)
    places = read_locations(file)
    if places is None or places.strand is None:
        raise DataError(
            f"{file.path} does not say where its genes lie (chrom, tss, strand): name files that `data build` made in "
            "variants.genes, or an annotation in variants.annotation"
        )
    found = [names.find(chrom) for chrom in places.chrom]
    if None in found:
        raise DataError(
            f"{file.path} has genes on {shown(names.unknown)}, which {genome.path} does not have (it has "
            f"{shown(list(genome.lengths))}): name the genome that the genes lie on in variants.genome"
        )
    table = read_table(file)
    return {
        "gene_id": table.gene_id.astype(np.str_),
        "chrom": np.array(found, dtype=np.str_),
        "tss": places.tss - 1,
        "strand": places.strand.astype(np.str_),
        "halflife": table.halflife,
    }


def _features(
    config: RunConfig,
    info: CheckpointInfo,
    gene_id: NDArray[np.str_],
    eight: NDArray[np.float32],
    files: list[PromoterFile],
) -> NDArray[np.float32]:
    """Return what the model reads of genes, whose half-life features are ``eight``, beside their DNA."""
    ids = gene_id.astype(object)
    found = features_of_genes(info, config.data.features, ids, eight, files, "the variants")
    return eight if found is None else found


def _check_ends(genes: ScoredGenes, genome: Genome, where: str) -> None:
    lengths = np.array([genome.lengths[chrom] for chrom in genes.chrom])
    if (beyond := np.flatnonzero((genes.tss < 0) | (genes.tss >= lengths))).size:
        at = beyond[0]
        raise DataError(
            f"{where}: the TSS of gene {genes.gene_id[at]} is base {genes.tss[at] + 1} of {genes.chrom[at]}, but in "
            f"{genome.path} that has {lengths[at]} bases: name the genome that the genes lie on in variants.genome"
        )


def _compare(file: PromoterFile, genes: ScoredGenes, start: int, reader: GenomeReader, genome: Genome) -> None:
    """Refuse a genome that the promoters of a file, which starts at row ``start``, were not cut from."""
    if not file.window:
        return
    # Of a file that does not say where its promoters start, the middle is the model's window, as in training.
    first = file.first if file.first is not None else genes.first - crop_start(file.window, genes.window)
    for row in np.unique(np.linspace(0, file.rows - 1, COMPARED).astype(np.int64)):
        gene = start + row
        stored = read_rows(file, int(row), int(row) + 1)["sequence"][0]
        cut = reader.window(
            str(genes.chrom[gene]), int(genes.tss[gene]) + 1, str(genes.strand[gene]), first, first + file.window
        )
        if (different := int((stored != cut).sum())) > 0:
            raise DataError(
                f"the promoter of gene {genes.gene_id[gene]} in {file.path} differs from {genome.path} in {different} "
                f"of {file.window} bases from base {first:+} from the TSS: name the genome that the promoters were cut "
                "from in variants.genome" + (", or set variants.window_first" if file.first is None else "")
            )


def _from_annotation(config: RunConfig, path: str, info: CheckpointInfo, genome: Genome) -> ScoredGenes:
    refuse_other_scale(path, "log10", info)
    wanted = info.inputs.window
    first, is_assumed = _first(config, info)
    changes = {"annotation": path, "genome": genome.path, "features": None, "out_of_bounds": "pad"}
    # The rules alone are needed: labels, which a build cannot do without, are not.
    rules = (config.build or BuildConfig.model_construct()).model_copy(update=changes)
    with steps("reading the annotation") as on_progress:
        annotation = read_annotation(path, on_progress, rules.chromosomes)
    if wanted > (longest := max(genome.lengths.values())):
        raise DataError(
            f"the model reads {wanted} bases a promoter, but the longest chromosome of {genome.path} has {longest}: "
            "name the genome of its genes in variants.genome"
        )
    found, dropped = find_candidates(annotation, genome, rules.model_copy(update={"window": (first, first + wanted)}))
    if not found:
        raise none_left(path, dropped)
    halflife = np.empty((len(found), 8), dtype=np.float32)
    with GenomeReader(genome) as reader, progress("features of genes", len(found)) as advance:
        for row, gene in enumerate(found):
            assert gene.transcript is not None, "genes of an annotation have one"
            halflife[row] = halflife_features(gene.transcript, partial(reader.fetch, gene.chrom))[0]
            advance(1, "")
    gene_id = np.array([gene.gene_id for gene in found], dtype=np.str_)
    return ScoredGenes(
        gene_id=gene_id,
        chrom=np.array([gene.chrom for gene in found], dtype=np.str_),
        tss=np.array([gene.tss - 1 for gene in found], dtype=np.int64),
        strand=np.array([gene.strand for gene in found], dtype=np.str_),
        halflife=_features(config, info, gene_id, halflife, []),
        first=first,
        window=wanted,
        assumed=is_assumed,
    )
