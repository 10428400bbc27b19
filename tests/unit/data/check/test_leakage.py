import json
from dataclasses import asdict

import numpy as np
import pytest

from raygenex.config.data import CheckConfig
from raygenex.data.check.leakage import Example, find_leaks, render, sentence
from raygenex.data.sketches import sequence_digests, sketch
from raygenex.data.windows import GeneWindows
from raygenex.sequence import reverse_complement

CONFIG = CheckConfig()


def text(*values):
    return np.array(values, dtype=object)


def split(name, tss, strand=None, chrom=None, window=(-10, 10), gene_id=None, **more):
    count = len(tss)
    return GeneWindows(
        text(*(gene_id or [f"{name}{number}" for number in range(count)])),
        chrom=text(*(chrom or ["chr1"] * count)),
        tss=np.array(tss),
        strand=text(*(strand or "+" * count)),
        window=window,
        **more,
    )


def of_sequences(name, sequences, **more):
    ids = text(*(f"{name}{number}" for number in range(len(sequences))))
    return GeneWindows(ids, digests=sequence_digests(sequences), promoter_sketch=sketch(sequences), **more)


def the_pair(first, second, config=CONFIG):
    (pair,) = find_leaks({"train": first, "valid": second}, config).pairs
    return pair


@pytest.fixture
def bases():
    return np.random.default_rng(0).integers(0, 4, (12, 60), dtype=np.uint8)


def test_overlap_by_hand():
    # Windows of 20: 119 shares one base with 100, 120 only touches, 105 shares 15, and chr2 shares nothing.
    pair = the_pair(split("train", [100, 500]), split("valid", [119, 120, 105, 100], chrom=["chr1"] * 3 + ["chr2"]))
    assert (pair.first, pair.second, pair.genes) == ("train", "valid", 4)
    assert (pair.overlapping.genes, pair.overlapping.share) == (2, 0.5)
    assert pair.overlapping.examples == (Example("valid2", "train0", 15), Example("valid0", "train0", 1))
    assert (pair.any.genes, pair.any.share) == (2, 0.5)
    assert (pair.identical, pair.near_duplicate) == (None, None)


@pytest.mark.parametrize(("strands", "distance"), [("++", 60), ("--", 60), ("+-", 19), ("-+", 101)])
def test_overlap_of_asymmetric_windows_on_both_strands(strands, distance):
    train = split("train", [1000], strand=strands[0], window=(-50, 10))
    for shift, bases in ((0, 0), (-1, 1), (-5, 5)):
        valid = split("valid", [1000 + distance + shift], strand=strands[1], window=(-50, 10))
        leak = the_pair(train, valid).overlapping
        assert [example.value for example in leak.examples] == ([bases] if bases else [])


@pytest.mark.parametrize("windows", [((-50, 10), (-50, 10)), ((-300, 5), (-20, 90))])
def test_overlaps_and_neighbours_are_those_of_the_full_comparison(windows):
    rng = np.random.default_rng(2)
    sides = [
        split(
            name,
            rng.integers(1, 20000, 150).tolist(),
            list(rng.choice(["+", "-"], 150)),
            list(rng.choice(["a", "b", ""], 150)),
            window,
        )
        for name, window in zip(("train", "valid"), windows, strict=True)
    ]
    (s1, e1), (s2, e2) = (side.bounds() for side in sides)
    same = (sides[1].chrom[:, None] == sides[0].chrom) & (sides[1].chrom != "")[:, None]
    shared = np.where(same, np.minimum(e2[:, None], e1) - np.maximum(s2[:, None], s1), 0).max(axis=1)
    distance = np.where(same, np.abs(sides[1].tss[:, None] - sides[0].tss), 10**9).min(axis=1)
    pair = the_pair(*sides, CheckConfig(neighbours=40))
    assert pair.overlapping.genes == (shared > 0).sum() > 0
    assert [example.value for example in pair.overlapping.examples] == sorted(shared, reverse=True)[:5]
    assert pair.neighbouring.genes == (distance <= 40).sum() > 0
    assert [example.value for example in pair.neighbouring.examples] == sorted(distance)[:5]


def test_neighbours_are_counted_and_are_no_leak():
    train, valid = split("train", [10_000]), split("valid", [11_000, 11_001, 9_500], strand="-+-")
    pair = the_pair(train, valid)
    assert pair.neighbouring.genes == 2
    assert pair.neighbouring.examples[0] == Example("valid2", "train0", 500)
    assert pair.any.genes == 0
    assert the_pair(train, valid, CheckConfig(neighbours=0)).neighbouring.genes == 0


def test_without_places():
    for missing in ({"chrom": None}, {"chrom": text("", None)}, {"tss": None}):
        valid = GeneWindows(**vars(split("valid", [100, 200])) | missing)
        pair = the_pair(split("train", [100]), valid)
        assert (pair.overlapping, pair.neighbouring) == (None, None)
    for missing in ({"strand": None}, {"window": None}):
        pair = the_pair(split("train", [100]), GeneWindows(**vars(split("valid", [100])) | missing))
        assert (pair.overlapping, pair.neighbouring.genes) == (None, 1)


def test_gene_without_a_place_has_no_partner():
    train = split("train", [100, 100], chrom=["", "chr1"])
    pair = the_pair(train, split("valid", [100, 100], chrom=[None, "chr1"]))
    assert pair.overlapping.examples == (Example("valid1", "train1", 20),)
    assert pair.neighbouring.genes == 1


def test_same_ids():
    pair = the_pair(
        split("train", [100, 900], gene_id=["B", "A"]), split("valid", [500, 700, 300], gene_id=["A", "C", "D"])
    )
    assert pair.same_id.examples == (Example("A", "A", None),)
    assert pair.any.genes == 1


def test_sequences(bases):
    valid = bases[6:].copy()
    valid[0] = bases[3]
    valid[1] = reverse_complement(bases[4])
    valid[2] = bases[5]
    valid[2, 3] ^= 1
    pair = the_pair(of_sequences("train", bases[:6]), of_sequences("valid", valid))
    assert pair.identical.examples == (Example("valid0", "train3", None),)
    assert pair.near_duplicate.genes == 3
    assert pair.near_duplicate.examples[:2] == (Example("valid0", "train3", 1), Example("valid1", "train4", 1))
    # A change at base 3 spoils 4 of 45 k-mers: 41 / 49.
    third = pair.near_duplicate.examples[2]
    assert (third.gene, third.partner) == ("valid2", "train5")
    assert third.value == pytest.approx(41 / 49, abs=0.12)
    assert (pair.any.genes, pair.any.share) == (3, 0.5)
    assert (
        the_pair(of_sequences("a", bases), of_sequences("b", valid), CheckConfig(promoter=1.0)).near_duplicate.genes
        == 5
    )


def test_a_gene_with_several_leaks_counts_once(bases):
    more = {"chrom": text("chr1"), "tss": np.array([100]), "strand": text("+"), "window": (-10, 10)}
    pair = the_pair(of_sequences("train", bases[:1], **more), of_sequences("valid", bases[:1], **more))
    kinds = (pair.identical, pair.overlapping, pair.near_duplicate, pair.any)
    assert [leak.genes for leak in kinds] == [1, 1, 1, 1]


def test_five_examples_of_many(bases):
    pair = the_pair(of_sequences("train", bases[:1]), of_sequences("valid", np.repeat(bases[:1], 50, axis=0)))
    assert pair.identical.genes == 50
    assert [example.gene for example in pair.identical.examples] == [f"valid{number}" for number in range(5)]


def test_report_of_three_splits(bases):
    names = ("train", "valid", "test")
    sides = {name: of_sequences(name, bases[low : low + 4]) for name, low in zip(names, (0, 3, 7), strict=True)}
    sides["test"] = of_sequences("test", bases[[7, 7, 8, 9]])
    report = find_leaks(sides, CONFIG)
    assert [(pair.first, pair.second) for pair in report.pairs] == [
        ("train", "valid"),
        ("train", "test"),
        ("valid", "test"),
    ]
    assert [pair.any.genes for pair in report.pairs] == [1, 0, 0]
    assert report.repeated == {"train": 0, "valid": 0, "test": 2}
    assert report.worst == 0.25
    assert report.exceeds(0.2)
    assert not report.exceeds(0.25)
    assert json.loads(json.dumps(asdict(report)))["pairs"][0]["any"]["share"] == 0.25
    assert find_leaks({"train": sides["train"]}, CONFIG).worst == 0


def test_sentence():
    train = split("train", range(100, 200, 2))
    valid = split("valid", [5000, 150, 7000, 9000], gene_id=["a", "b", "c", "d"])
    test = split("test", [300])
    report = find_leaks({"train": train, "valid": valid, "test": test}, CONFIG)
    assert sentence(report, CONFIG) == (
        "1 of the 4 genes of valid (25.0%) leak from train (1 by overlapping windows, such as b from train25), "
        "and check.max_leaked is 1.0%: split by chromosome or by similarity with `raygenex data split`, or raise "
        "check.max_leaked"
    )


def test_render_is_a_small_table(bases):
    names = ("train", "valid", "test")
    report = find_leaks(
        {name: of_sequences(name, bases[low : low + 6]) for name, low in zip(names, (0, 3, 6), strict=True)}, CONFIG
    )
    lines = render(report)
    assert max(map(len, lines)) <= 100
    assert " ".join(lines[0].split()) == "genes with a partner valid in train test in train test in valid"
    assert " ".join(lines[2].split()) == "identical sequence 3 (50.0%) 0 (0.0%) 3 (50.0%)"
    assert lines[3].split() == ["overlapping", "window", "-", "-", "-"]
    assert lines[-1].split("  ")[-1] == "train 0, valid 0, test 0"
    assert len({len(line) for line in lines[:-1]}) == 1
    (alone,) = render(find_leaks({"train": split("train", [100])}, CONFIG))
    assert alone.endswith("train -")
