"""The section of targets: short forms, what fits a kind, and configurations that have none."""

import pytest
from toy_models import sentence

from raygenex.config.load import load_config, parse_config
from raygenex.errors import ConfigError


def targets(*entries):
    return parse_config({"targets": list(entries)}, "test").targets


def test_a_name_stands_for_a_target():
    (label, level) = targets("label", {"name": "level", "table": "levels.tsv"})
    assert (label.name, label.kind_known, label.loss_of("binary")) == ("label", "binary", "bce")
    assert (level.kind_known, level.loss_of("continuous")) == ("continuous", "mse")
    (alone,) = parse_config({"targets": "level"}, "test").targets
    assert alone.kind_known is None


def test_an_override_names_targets():
    config = load_config({}, ["targets=[label, {name: level, table: a.tsv, weight: 0.5}]"])
    assert [target.weight for target in config.targets] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["level", "level"], ["the name level is there twice"]),
        ([{"name": "a b"}], ["targets"]),
        ([{"name": "level", "unit": "TPM"}], ["belong to a table"]),
        ([{"name": "gene_id"}], ["gene_id"]),
        ([{"name": "label", "loss": "mse"}], ["loss mse", "binary"]),
        ([{"name": "level", "table": "a.tsv", "loss": "poisson"}], ["loss poisson", "continuous"]),
        ([{"name": "n", "kind": "counts", "transform": "rank"}], ["transform rank"]),
        ([{"name": "level", "weight": 0}], ["weight"]),
        ([{"name": "level", "kind": "ordinal"}], ["kind", "continuous"]),
    ],
)
def test_what_does_not_fit_is_refused(entries, words):
    with pytest.raises(ConfigError) as info:
        targets(*entries)
    sentence(info, *words)


def test_a_configuration_without_targets_keeps_its_hash():
    """As of 0.1.0, which knew none."""
    plain = parse_config({}, "test")
    assert parse_config({"targets": []}, "test").hash() == plain.hash()
    assert parse_config({"targets": ["label"]}, "test").hash() != plain.hash()
    assert parse_config({"train": {"target_weights": "uncertainty"}}, "test").hash() != plain.hash()
    assert parse_config({"explain": {"target": None}}, "test").hash() == plain.hash()
    assert parse_config({"explain": {"target": "level"}}, "test").hash() != plain.hash()
