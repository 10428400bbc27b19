import logging
import re

import numpy as np
import pytest

from raygenex.config.data import ChromosomeSplit, GroupSplit, RandomSplit, SimilaritySplit
from raygenex.data.sketches import protein_sketch, sketch
from raygenex.data.splits.rules import assign
from raygenex.data.windows import GeneWindows, chromosome_keys, window_bounds
from raygenex.errors import DataError
from raygenex.sequence import reverse_complement


def text(*values):
    return np.array(values, dtype=object)


def ids(count):
    return text(*(f"G{number:05d}" for number in range(count)))


def placed(tss, strand=None, chrom=None, window=(-10, 10), **more):
    count = len(tss)
    return GeneWindows(
        gene_id=ids(count),
        chrom=text(*(chrom or ["chr1"] * count)),
        tss=np.array(tss),
        strand=text(*(strand or "+" * count)),
        window=window,
        **more,
    )


def shuffled(genes, order):
    columns = {name: value[order] for name, value in vars(genes).items() if isinstance(value, np.ndarray)}
    return GeneWindows(**vars(genes) | columns)


def by_gene(table):
    return dict(zip(table.gene_id, zip(table.group, table.split, strict=True), strict=True))


def human(count=5000):
    """Genes on chromosomes about as full as the human ones."""
    sizes = np.array([20, 13, 11, 8, 9, 10, 9, 7, 8, 7, 13, 10, 3, 6, 6, 8, 12, 3, 14, 5, 2, 4, 8, 0.4])
    names = text(*(f"chr{name}" for name in [*range(1, 23), "X", "Y"]))
    return GeneWindows(ids(count), chrom=np.random.default_rng(0).choice(names, count, p=sizes / sizes.sum()))


def units(sizes):
    """Genes in groups of the given sizes."""
    return GeneWindows(
        ids(sum(sizes)), group=np.repeat([f"family{n}" for n in range(len(sizes))], sizes).astype(object)
    )


# The rules


@pytest.mark.parametrize("count", [3, 5, 10, 989, 5000])
def test_random_meets_the_fractions(count):
    counts = assign(GeneWindows(ids(count)), RandomSplit()).counts
    assert sum(counts.values()) == count
    assert min(counts.values()) >= 1
    for name, fraction in zip(counts, (0.8, 0.1, 0.1), strict=True):
        assert abs(counts[name] - fraction * count) < 2


def test_random_looks_at_the_seed_alone():
    genes = GeneWindows(ids(500), chrom=text(*["chr1"] * 500))
    table = assign(genes, RandomSplit(seed=3))
    order = np.random.default_rng(0).permutation(500)
    assert by_gene(assign(shuffled(genes, order), RandomSplit(seed=3))) == by_gene(table)
    assert (assign(genes, RandomSplit(seed=4)).split != table.split).any()
    assert table.group.tolist() == table.gene_id.tolist()
    assert table.rule == {"rule": "random", "seed": 3, "fractions": [0.8, 0.1, 0.1]}


def test_random_gives_every_gene_the_same_chance():
    tables = [assign(GeneWindows(ids(30)), RandomSplit(seed=seed)).split for seed in range(2000)]
    share = np.stack([table == "test" for table in tables]).mean(axis=0)
    assert np.abs(share - 0.1).max() < 4 * np.sqrt(0.09 / 2000)


def test_split_without_a_fraction_stays_empty():
    counts = assign(GeneWindows(ids(100)), RandomSplit(fractions=(0.75, 0.25, 0.0))).counts
    assert counts == {"train": 75, "valid": 25, "test": 0}


def test_too_few_genes(sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(2)), RandomSplit())
    sentence(info, "2 genes", "3 splits", "split.fractions")


def test_named_chromosomes():
    genes = GeneWindows(ids(5), chrom=text("chr1", "chr8", "chr10", "chr2", "chr8"))
    table = assign(genes, ChromosomeSplit(valid="chr10", test=("chr8",)))
    assert table.split.tolist() == ["train", "test", "valid", "train", "test"]
    assert table.group.tolist() == table.chrom.tolist() == genes.chrom.tolist()
    assert (table.rule["valid"], table.rule["test"]) == (["chr10"], ["chr8"])
    assert assign(genes, ChromosomeSplit(valid="chr8")).counts == {"train": 3, "valid": 2, "test": 0}


@pytest.mark.parametrize("seed", range(20))
def test_drawn_chromosomes_meet_the_fractions(seed):
    genes = human()
    table = assign(genes, ChromosomeSplit(seed=seed))
    assert len({(chrom, split) for chrom, split in zip(table.chrom, table.split, strict=True)}) == 24
    for name, fraction in zip(table.counts, (0.8, 0.1, 0.1), strict=True):
        assert abs(table.counts[name] / 5000 - fraction) < 0.02
    order = np.random.default_rng(seed).permutation(5000)
    assert by_gene(assign(shuffled(genes, order), ChromosomeSplit(seed=seed))) == by_gene(table)
    again = ChromosomeSplit(valid=table.rule["valid"], test=table.rule["test"])
    assert assign(genes, again).split.tolist() == table.split.tolist()


def test_drawn_chromosomes_change_with_the_seed():
    genes = human()
    drawn = {tuple(assign(genes, ChromosomeSplit(seed=seed)).rule["test"]) for seed in range(20)}
    assert len(drawn) > 10


@pytest.mark.parametrize("chrom", [None, text("chr1", "", "chr2", None)])
def test_chromosome_not_known(sentence, chrom):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(4), chrom=chrom), ChromosomeSplit())
    gene, count = ("G00000", 4) if chrom is None else ("G00001", 2)
    sentence(info, f"{count} of 4 genes", gene, "split.rule")


def test_chromosome_that_does_not_exist(sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(3), chrom=text("2", "10", "X")), ChromosomeSplit(test="chr10"))
    sentence(info, "split.test", "chr10", "2, X, 10")


def test_group_that_does_not_exist(sentence):
    with pytest.raises(DataError) as info:
        assign(units([1] * 40), GroupSplit(column="family", valid="Family1"))
    sentence(info, "split.valid names group Family1", "family0", "and 10 more")


def test_chromosome_in_valid_and_test(sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(3), chrom=text("a", "b", "c")), ChromosomeSplit(valid=("a", "b"), test="b"))
    sentence(info, "chromosome b", "split.valid", "split.test")


def test_nothing_left_for_train(sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(2), chrom=text("a", "b")), ChromosomeSplit(valid="a", test="b"))
    sentence(info, "every chromosome", "train")


def test_too_few_chromosomes(sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(3), chrom=text("a", "a", "b")), ChromosomeSplit())
    sentence(info, "2 chromosomes", "3 splits", "a alone holds 2 of 3 genes", "split.rule")


def test_groups_stay_together_and_genes_without_one_are_alone():
    genes = GeneWindows(ids(8), group=text("x", "x", "", None, "y", "y", "x", "y"))
    table = assign(genes, GroupSplit(column="family", valid="x", test="G00003"))
    assert table.split.tolist() == ["valid", "valid", "train", "test", "train", "train", "valid", "train"]
    assert table.group.tolist() == ["x", "x", "G00002", "G00003", "y", "y", "x", "y"]


@pytest.mark.parametrize("seed", range(10))
def test_groups_meet_the_fractions(seed):
    table = assign(units([300, 150, 80, 60, 40] + [7] * 30 + [1] * 160), GroupSplit(column="family", seed=seed))
    assert table.counts == {"train": 800, "valid": 100, "test": 100}
    assert len(set(zip(table.group, table.split, strict=True))) == 195


def test_large_groups_may_be_in_any_split_they_fit_in():
    genes = units([90] * 10 + [1] * 100)
    where = {str(assign(genes, GroupSplit(column="family", seed=seed)).split[0]) for seed in range(150)}
    assert where == {"train", "valid", "test"}


@pytest.mark.parametrize("sizes", [[50, 1, 1], [1, 1, 1], [900, 40, 30, 20, 10]])
def test_no_split_stays_empty(sizes):
    for seed in range(10):
        assert min(assign(units(sizes), GroupSplit(column="family", seed=seed)).counts.values()) > 0


def test_one_large_group_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING, "raygenex"):
        assign(units([100, 60, 60]), GroupSplit(column="family"))
        assert caplog.text == ""
        assign(units([970, 10, 10, 10]), GroupSplit(column="family"))
    assert re.search(r"valid gets .0 of 1000 genes, .*10.0 %.* family0 alone holds 970", caplog.text)
    assert "split.column" in caplog.text


def test_too_few_clusters(sentence):
    with pytest.raises(DataError) as info:
        assign(placed(list(range(100, 200, 5))), SimilaritySplit())
    sentence(info, "1 cluster cannot fill 3 splits", "cluster-000001 alone holds 20 of 20", "shorter window")


# Similarity


def test_windows_on_both_strands():
    first, stop = window_bounds(np.array([100, 100]), text("+", "-"), -50, 10)
    # The TSS is base 99 from 0; on the other strand the window ends 50 bases to the right of it.
    assert (first.tolist(), stop.tolist()) == ([49, 90], [109, 150])


def clusters_of(genes, **config):
    return assign(genes, SimilaritySplit(fractions=(1.0, 0.0, 0.0), **config)).group.tolist()


def numbers(genes, **config):
    return [int(name.removeprefix("cluster-")) for name in clusters_of(genes, **config)]


def test_overlapping_windows_are_one_cluster():
    # Windows of 20 bases: 100 and 119 share a base, 119 and 139 only touch, 139 lies on another chromosome too.
    genes = placed([100, 119, 139, 139], chrom=["a", "a", "a", "b"])
    assert numbers(genes) == [1, 1, 2, 3]


@pytest.mark.parametrize(("strands", "distance"), [("++", 60), ("--", 60), ("+-", 19), ("-+", 101)])
def test_overlap_of_asymmetric_windows_depends_on_the_strands(strands, distance):
    # A window (-50, 10) reaches 50 bases to the left on +, 50 to the right on -; here two windows touch.
    assert numbers(placed([1000, 1000 + distance], strand=strands, window=(-50, 10))) == [1, 2]
    assert numbers(placed([1000, 999 + distance], strand=strands, window=(-50, 10))) == [1, 1]


def test_a_gene_without_a_place_overlaps_nothing():
    assert numbers(placed([100, 100, 100, 100], chrom=["a", "", None, "a"])) == [1, 2, 3, 1]


def test_clusters_join_overlap_promoters_and_proteins():
    rng = np.random.default_rng(0)
    promoters = rng.integers(0, 4, (6, 60), dtype=np.uint8)
    promoters[4] = reverse_complement(promoters[1])
    proteins = [rng.integers(0, 4, 90, dtype=np.uint8) for _ in range(6)]
    proteins[5] = proteins[4]
    sketches = {"promoter_sketch": sketch(promoters), "protein_sketch": protein_sketch(proteins)}
    genes = placed([100, 110, 1000, 2000, 3000, 4000], **sketches)
    # 0 overlaps 1, 1 has the promoter of 4 on the other strand, 4 has the protein of 5.
    assert clusters_of(genes) == [f"cluster-00000{n}" for n in (1, 1, 2, 3, 1, 1)]
    assert numbers(genes, protein=None) == [1, 1, 2, 3, 1, 4]
    assert numbers(GeneWindows(genes.gene_id, promoter_sketch=genes.promoter_sketch)) == [1, 2, 3, 4, 2, 5]
    rule = assign(GeneWindows(**vars(genes) | {"protein_sketch": None}), SimilaritySplit()).rule
    assert (rule["overlap"], rule["promoter"], rule["protein"]) == (True, 0.3, None)


def test_clusters_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    promoters = np.repeat(rng.integers(0, 4, (40, 60), dtype=np.uint8), 5, axis=0)
    genes = placed(rng.integers(1, 8000, 200).tolist(), strand=list(rng.choice(["+", "-"], 200)))
    genes = GeneWindows(**vars(genes) | {"promoter_sketch": sketch(promoters[rng.permutation(200)])})
    order = rng.permutation(200)
    config = SimilaritySplit(fractions=(1.0, 0.0, 0.0))
    assert by_gene(assign(shuffled(genes, order), config)) == by_gene(assign(genes, config))


def test_nothing_to_compare_is_a_mistake_of_the_caller():
    with pytest.raises(AssertionError):
        assign(GeneWindows(ids(10)), SimilaritySplit())


def test_chromosome_keys_keep_positions_apart():
    keys = chromosome_keys(text("b", "a", None, "b"))
    assert keys.tolist() == [2 << 40, 1 << 40, -1, 2 << 40]
