"""The rules that put genes into train, valid and test, and the file that keeps what they decided.

Every rule makes whole units (genes, chromosomes, groups or clusters), and a unit goes to one split. Drawn units are
put in seeded order, the largest first; each goes to a split with free seats for it, drawn with a probability
proportional to the free seats; a unit that fits nowhere goes where most seats are free, and the last units go to
splits that are still empty. So a unit's chance of a split is about the split's fraction, small units even out what
large ones leave, and the fractions are met to within about the size of the smallest units.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import SPLITS
from raygenex.config.data import ChromosomeSplit, FileSplit, GroupSplit, RandomSplit, SimilaritySplit, Split
from raygenex.data.gene_ids import match_genes
from raygenex.data.similarity import clusters, components
from raygenex.data.splits.file import SplitTable, apply_split, read_split
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, shown, text
from raygenex.data.windows import GeneWindows, chromosome_keys
from raygenex.errors import ConfigError, DataError
from raygenex.redact import redact_values

_SHOWN = 30
_UNITS = {
    "chromosome": ("chromosome", "name another split.rule"),
    "group": ("group", "name another split.column or split.rule"),
    "similarity": (
        "cluster",
        "use a shorter window, raise split.promoter and split.protein, or name another split.rule",
    ),
}
NO_SIMILARITY = "name another split.rule (chromosome, group, random or file)"
"""What to do about genes without promoters, which nothing tells alike."""

_Drawn = RandomSplit | ChromosomeSplit | GroupSplit | SimilaritySplit

logger = logging.getLogger(__name__)


def assign(genes: GeneWindows, config: Split) -> SplitTable:
    """Put every gene into a split.

    The result depends on the genes, not on their order, and on the seed.

    Parameters
    ----------
    genes
        What the rule looks at: chromosomes for ``chromosome``; groups for ``group``; for ``similarity`` one or more
        of promoter sketches, protein sketches, and chromosomes with TSSs, strands and windows.
    config
        The rule.

    Returns
    -------
    A row per gene, in the order of ``genes``. By the rule ``file``, genes that the file does not name have None.

    Raises
    ------
    DataError
        If the genes lack what the rule needs, a chromosome or group is named that does not exist, or there are too
        few units to fill every split whose fraction is above 0.
    """
    chrom = _text(genes.chrom, len(genes.gene_id))
    rule = redact_values(config.model_dump(mode="json"))
    if isinstance(config, FileSplit):
        known = read_split(config.file)
        group = dict(zip(known.gene_id, known.group, strict=True))
        kept = np.array([group.get(gene, "") for gene in genes.gene_id], dtype=object)
        return SplitTable(genes.gene_id, chrom, kept, apply_split(known, genes.gene_id), rule)
    unit = _units(genes, config, chrom)
    names, which, sizes = np.unique(unit.astype(str), return_inverse=True, return_counts=True)
    if isinstance(config, ChromosomeSplit | GroupSplit) and (config.valid or config.test):
        places = _named(names, config)
    else:
        places = _draw(names, sizes, config)
        _warn_if_uneven(names, sizes, places, config)
    if isinstance(config, ChromosomeSplit):
        rule |= {name: names[places == SPLITS.index(name)].tolist() for name in ("valid", "test")}
    if isinstance(config, SimilaritySplit):
        rule |= {"overlap": genes.bounds() is not None}
        rule |= {"promoter": config.promoter if genes.promoter_sketch is not None else None}
        rule |= {"protein": config.protein if genes.protein_sketch is not None else None}
    table = SplitTable(genes.gene_id, chrom, unit, np.array(SPLITS, dtype=object)[places[which]], rule)
    shares = ", ".join(f"{name} {count} ({count / len(unit):.1%})" for name, count in table.counts.items())
    logger.info("split by %s: %s of %d genes", config.rule, shares, len(unit))
    return table


def _text(values: NDArray[np.object_] | None, count: int) -> NDArray[np.object_]:
    if values is None:
        return np.full(count, "", dtype=object)
    return np.array([value if isinstance(value, str) else "" for value in values], dtype=object)


def _units(genes: GeneWindows, config: Split, chrom: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the name of what each gene is kept together with."""
    if isinstance(config, RandomSplit):
        return genes.gene_id
    if isinstance(config, ChromosomeSplit):
        if (lost := np.flatnonzero(chrom == "")).size:
            raise DataError(
                f"{lost.size:,} of {len(chrom):,} genes, such as {genes.gene_id[lost[0]]}, have no chromosome, so "
                "they cannot be split by chromosome: name another split.rule (random, group, similarity or file)"
            )
        return chrom
    if isinstance(config, GroupSplit):
        assert genes.group is not None, "groups are read by the caller"
        group = _text(genes.group, len(chrom))
        return np.where(group == "", genes.gene_id, group)
    assert isinstance(config, SimilaritySplit), config
    return _clusters(genes, config)


def _clusters(genes: GeneWindows, config: SimilaritySplit) -> NDArray[np.object_]:
    """Name the cluster of every gene; clusters are numbered by their first gene in the order of the ids."""
    order = np.argsort(genes.gene_id.astype(str), kind="stable")
    labels = []
    if genes.chrom is not None and (bounds := genes.bounds()) is not None:
        labels.append(_overlapping(genes.chrom, *bounds))
    if genes.promoter_sketch is not None:
        labels.append(clusters(genes.promoter_sketch, config.promoter))
    if genes.protein_sketch is not None and config.protein is not None:
        labels.append(clusters(genes.protein_sketch, config.protein))
    assert labels, "nothing to compare"
    # A gene is tied to the first of each of its clusters.
    ties = [np.unique(label, return_index=True, return_inverse=True)[1:] for label in labels]
    first = np.concatenate([index[inverse] for index, inverse in ties])
    joined = components(len(order), first, np.tile(np.arange(len(order)), len(labels)))[order]
    _, seen, inverse = np.unique(joined, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(seen))[inverse] + 1
    names = np.empty(len(order), dtype=object)
    names[order] = [f"cluster-{value:06d}" for value in number]
    return names


def _overlapping(chrom: NDArray[np.object_], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label genes whose windows form a chain of overlaps; a gene whose place is unknown stays alone."""
    keys = chromosome_keys(chrom)
    label = np.arange(len(keys)) + len(keys)
    placed = np.flatnonzero(keys >= 0)
    placed = placed[np.argsort((keys + start)[placed], kind="stable")]
    reach = np.maximum.accumulate((keys + end)[placed])
    label[placed[1:]] = np.cumsum((keys + start)[placed[1:]] >= reach[:-1])
    label[placed[:1]] = 0
    return label


def _named(names: NDArray[np.str_], config: ChromosomeSplit | GroupSplit) -> NDArray[np.int64]:
    """Return the split of every unit, by the user's lists; what they do not name is train."""
    what = "chromosome" if isinstance(config, ChromosomeSplit) else "group"
    places = np.zeros(len(names), dtype=np.int64)
    for split, wanted in (("valid", config.valid), ("test", config.test)):
        for name in wanted:
            if not (hit := names == name).any():
                there = sorted(names.tolist(), key=lambda text: (len(text), text))
                more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
                raise DataError(
                    f"split.{split} names {what} {name}, which no gene is on; there are "
                    f"{', '.join(there[:_SHOWN])}{more}: correct the name"
                )
            if places[hit][0] not in (0, SPLITS.index(split)):
                raise DataError(f"{what} {name} is in both split.valid and split.test: leave it in one of them")
            places[hit] = SPLITS.index(split)
    if not (places == 0).any():
        raise DataError(f"split.valid and split.test name every {what}, and train needs some: name fewer of them")
    return places


def _draw(names: NDArray[np.str_], sizes: NDArray[np.int64], config: _Drawn) -> NDArray[np.int64]:
    """Return the split of every unit, drawn as the module says; ``names`` are sorted."""
    wanted = [place for place, fraction in enumerate(config.fractions) if fraction > 0]
    if len(names) < len(wanted):
        raise DataError(_too_few(names, sizes, config, len(wanted)))
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    room = [fraction * float(sizes.sum()) for fraction in config.fractions]
    empty = set(wanted)
    places = np.zeros(len(names), dtype=np.int64)
    for done, (unit, draw) in enumerate(zip(order.tolist(), rng.random(len(order)).tolist(), strict=True)):
        size = int(sizes[unit])
        fits = [place for place in wanted if room[place] >= size - 1e-6]
        if len(empty) == len(order) - done:
            fits = sorted(empty)
        place = _weighted(fits, room, draw) if fits else max(wanted, key=room.__getitem__)
        places[unit] = place
        room[place] -= size
        empty.discard(place)
    return places


def _weighted(choices: Sequence[int], weights: Sequence[float], draw: float) -> int:
    """Choose by weight; ``draw`` is from 0 to 1."""
    mark = draw * sum(weights[choice] for choice in choices)
    for choice in choices[:-1]:
        mark -= weights[choice]
        if mark < 0:
            return choice
    return choices[-1]


def _too_few(names: NDArray[np.str_], sizes: NDArray[np.int64], config: _Drawn, splits: int) -> str:
    if isinstance(config, RandomSplit):
        return f"{len(names)} genes cannot fill {splits} splits: add genes, or set one of split.fractions to 0"
    what, remedy = _UNITS[config.rule]
    plural = "s" if len(names) > 1 else ""
    return (
        f"{len(names)} {what}{plural} cannot fill {splits} splits, {names[sizes.argmax()]} alone holds "
        f"{sizes.max():,} of {sizes.sum():,} genes: {remedy}"
    )


def _warn_if_uneven(
    names: NDArray[np.str_], sizes: NDArray[np.int64], places: NDArray[np.int64], config: _Drawn
) -> None:
    total = int(sizes.sum())
    for place, fraction in enumerate(config.fractions):
        got = int(sizes[places == place].sum())
        if 2 * got < fraction * total and config.rule in _UNITS and sizes.max() > 1:
            logger.warning(
                "%s gets %d of %d genes, %.1f %% for the %.1f %% of split.fractions, as %s alone holds %d: %s",
                SPLITS[place],
                got,
                total,
                100 * got / total,
                100 * fraction,
                names[sizes.argmax()],
                sizes.max(),
                _UNITS[config.rule][1],
            )


def groups_of(
    split: GroupSplit, gene_id: NDArray[np.object_], columns: Mapping[str, NDArray[Any]]
) -> NDArray[np.object_]:
    """Return the group of every gene, str, shape ``(N,)``; empty for a gene without one.

    Parameters
    ----------
    split
        The rule; its groups come from its table, or else from ``columns``.
    gene_id
        Genes, shape ``(N,)``.
    columns
        The columns that the promoter files have, or will have.

    Raises
    ------
    ConfigError
        If there is no such column.
    DataError
        If the table cannot be read or has other genes.
    """
    if split.table is None:
        if split.column not in columns:
            known = ", ".join(columns) or "none"
            raise ConfigError(
                f"split.column {split.column} is not a column of the data (they have {known}): set split.table"
            )
        values = columns[split.column]
        return np.array([_group_name(value) for value in values], dtype=object)
    table = read_table_file(split.table)
    known_genes = gene_column(table, split.table, split.gene_column, key="split.gene_column")
    names = choose_columns(table, split.table, (split.column,), split.gene_column, "split.column")
    if len(names) > 1:
        raise DataError(f"split.column {split.column} is {shown(names)} in {split.table}: name one column")
    group = dict(zip(known_genes.tolist(), text(table, names[0]).tolist(), strict=True))
    match_genes(gene_id.tolist(), group, "the data", split.table)
    return np.array([group.get(gene, "") for gene in gene_id], dtype=object)


def _group_name(value: object) -> str:
    """Write a group as a table of text has it: 3, not 3.0; empty for NaN."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)
