"""Features of promoters, counted by hand."""

import numpy as np
import pytest

from raygenex.config.model import KmerConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.models.kmers import feature_count, feature_names, kmer_features
from raygenex.sequence import from_string, reverse_complement

PLAIN = {"regions": 1, "region_k": 1, "onehot_bases": 0, "halflife": False}


def bases(*texts):
    return np.stack([from_string(text) for text in texts])


def found(text, **settings):
    """Return the features of one promoter that are not 0, by name."""
    config = KmerConfig(**PLAIN | settings)
    row = kmer_features(bases(text), np.arange(1, 9, dtype=np.float32)[None], config)[0]
    names = feature_names(config, len(text))
    assert len(names) == len(set(names)) == len(row) == feature_count(config, len(text))
    return {name: value for name, value in zip(names, row.tolist(), strict=True) if value}


# By hand


def test_single_bases():
    assert found("AACGAT", k=(1,)) == {"A": 3, "C": 1, "G": 1, "T": 1}


def test_words_overlap():
    assert found("AAAA", k=(2,)) == {"AA": 3}
    assert found("TATAAA", k=(3,)) == {"TAT": 1, "ATA": 1, "TAA": 1, "AAA": 1}


def test_a_word_with_an_unknown_base_counts_nowhere():
    assert found("ACNGT", k=(1, 2, 3)) == {"A": 1, "C": 1, "G": 1, "T": 1, "AC": 1, "GT": 1}
    assert found("NNNN", k=(1, 2)) == {}


def test_a_word_longer_than_the_promoter_is_never_there():
    assert found("ACG", k=(3, 4, 6)) == {"ACG": 1}
    assert found("A", k=(3,)) == {}


def test_a_word_belongs_to_the_region_of_its_first_base():
    assert found("AACC", k=(2,), regions=2, region_k=2) == {
        "AA": 1,
        "AC": 1,
        "CC": 1,
        "AA[0:2]": 1,
        "AC[0:2]": 1,
        "CC[2:4]": 1,
    }


def test_regions_of_a_length_that_does_not_divide():
    assert found("ACGTA", k=(1,), regions=2) == {
        **{"A": 2, "C": 1, "G": 1, "T": 1},
        **{"A[0:2]": 1, "C[0:2]": 1, "G[2:5]": 1, "T[2:5]": 1, "A[2:5]": 1},
    }


def test_only_short_words_are_counted_by_region():
    names = feature_names(KmerConfig(**PLAIN | {"k": (1, 2, 3), "regions": 3, "region_k": 2}), 30)
    assert len(names) == 4 + 16 + 64 + 3 * (4 + 16)
    assert "AC[10:20]" in names
    assert "ACG[10:20]" not in names


def test_one_region_is_the_whole_and_not_counted_twice():
    assert feature_count(KmerConfig(**PLAIN | {"k": (1, 2), "region_k": 2}), 10) == 20


def test_more_regions_than_bases():
    assert found("AC", k=(1,), regions=3) == {"A": 1, "C": 1, "A[0:1]": 1, "C[1:2]": 1}


def test_bases_around_the_centre():
    # Of five bases number 2 stands in the middle, at distance 0.
    assert found("ACGTA", k=(1,), onehot_bases=3) == {
        **{"A": 2, "C": 1, "G": 1, "T": 1},
        **{"C@-1": 1, "G@+0": 1, "T@+1": 1},
    }
    assert found("ACNT", k=(8,), onehot_bases=2) == {"C@-1": 1}


def test_all_bases_of_a_promoter_that_is_shorter_than_asked_for():
    assert found("TG", k=(8,), onehot_bases=100) == {"T@-1": 1, "G@+0": 1}


def test_halflife_features_stand_last_and_as_they_are():
    assert found("T", k=(1,), halflife=True) == {"T": 1} | dict(zip(HALFLIFE_FEATURES, range(1, 9), strict=True))


def test_without_halflife_features_none_are_needed():
    config = KmerConfig(**PLAIN | {"k": (1, 2)})
    assert kmer_features(bases("ACGT"), None, config).shape == (1, 20)
    with pytest.raises(AssertionError, match="half-life"):
        kmer_features(bases("ACGT"), None, KmerConfig())


def test_a_length_given_twice_is_counted_once():
    assert feature_names(KmerConfig(**PLAIN | {"k": (2, 1, 2)}), 9) == feature_names(
        KmerConfig(**PLAIN | {"k": (1, 2)}), 9
    )


# Invariances


@pytest.mark.parametrize("length", [1, 3, 60, 501])
def test_as_many_names_as_columns(length):
    config = KmerConfig()
    table = kmer_features(np.zeros((2, length), np.uint8), np.zeros((2, 8), np.float32), config)
    assert table.dtype == np.float32
    assert table.shape == (2, feature_count(config, length)) == (2, len(feature_names(config, length)))


def test_genes_do_not_depend_on_their_block(monkeypatch):
    rng = np.random.default_rng(0)
    sequence, halflife = rng.integers(0, 5, (23, 50)).astype(np.uint8), rng.normal(size=(23, 8)).astype(np.float32)
    whole = kmer_features(sequence, halflife, KmerConfig())
    monkeypatch.setattr("raygenex.models.kmers._BLOCK", 200)
    np.testing.assert_array_equal(kmer_features(sequence, halflife, KmerConfig()), whole)


def test_counts_add_up():
    sequence = np.random.default_rng(1).integers(0, 4, (5, 40)).astype(np.uint8)
    config = KmerConfig(**PLAIN | {"k": (1, 2, 3), "regions": 4, "region_k": 3})
    names, table = np.array(feature_names(config, 40)), kmer_features(sequence, None, config)
    regional = np.array(["[" in name for name in names])
    letters = np.array([len(name.split("[")[0]) for name in names])
    for k in (1, 2, 3):
        assert (table[:, ~regional & (letters == k)].sum(axis=1) == 41 - k).all()
    whole = table[:, ~regional]
    by_region = table[:, regional]
    # Regions of a length stand one behind the other, each with all its words.
    parts = [by_region[:, 4 * skip : 4 * skip + 4 * 4**k] for k, skip in ((1, 0), (2, 4), (3, 20))]
    summed = [part.reshape(5, 4, -1).sum(axis=1) for part in parts]
    np.testing.assert_array_equal(np.concatenate(summed, axis=1), whole)


def test_the_other_strand_has_the_complementary_words():
    sequence = np.random.default_rng(2).integers(0, 5, (3, 30)).astype(np.uint8)
    config = KmerConfig(**PLAIN | {"k": (2,)})
    here, there = (kmer_features(strand, None, config)[0] for strand in (sequence, reverse_complement(sequence)))
    names = feature_names(config, 30)
    partner = [names.index(name[::-1].translate(str.maketrans("ACGT", "TGCA"))) for name in names]
    np.testing.assert_array_equal(here, there[partner])


def test_no_genes():
    assert kmer_features(np.empty((0, 9), np.uint8), np.empty((0, 8), np.float32), KmerConfig()).shape[0] == 0


# Without promoters


def test_genes_without_promoters_have_their_halflife_features_alone():
    config = KmerConfig()
    halflife = np.arange(24, dtype=np.float32).reshape(3, 8)
    assert feature_names(config, 0) == list(HALFLIFE_FEATURES)
    assert feature_count(config, 0) == 8
    np.testing.assert_array_equal(kmer_features(np.empty((3, 0), np.uint8), halflife, config), halflife)


def test_without_promoters_and_features_there_is_nothing():
    config = KmerConfig(**PLAIN)
    assert feature_names(config, 0) == []
    assert kmer_features(np.empty((3, 0), np.uint8), None, config).shape == (3, 0)
