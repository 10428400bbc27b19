import logging

import pytest
from toy_explain import bases_function, draw_genes, hyena_function

from raygenex.config.explain import ExplainConfig
from raygenex.explain import estimate
from raygenex.explain.estimate import passes_of_gene, say_how_long


@pytest.mark.parametrize(
    ("options", "method", "passes"),
    [
        ({}, "mutagenesis", 90.0),
        ({"region": (-10, 10)}, "mutagenesis", 30.0),
        ({"steps": 8}, "integrated_gradients", 24.0),
        ({"steps": 8, "reference": "shuffled", "references": 2}, "integrated_gradients", 48.0),
    ],
)
def test_passes_behind_a_backbone(options, method, passes, tmp_path):
    assert passes_of_gene(hyena_function(tmp_path / "a"), ExplainConfig(**options), method) == passes


def test_a_receptive_field_takes_far_less_than_a_pass(tmp_path):
    function = bases_function(tmp_path / "a", window=600)
    assert passes_of_gene(function, ExplainConfig(), "mutagenesis") == 0
    short = bases_function(tmp_path / "b", window=20)
    assert passes_of_gene(short, ExplainConfig(), "mutagenesis") == 60


@pytest.mark.parametrize(
    ("genes", "more", "said"),
    [
        ({"mutagenesis": 7, "saliency": 9}, {}, True),
        ({"integrated_gradients": 7, "mutagenesis": 0}, {}, True),
        ({"saliency": 9, "mutagenesis": 0}, {}, False),
        ({"mutagenesis": 7}, {"gpus_per_worker": 1.0}, False),
    ],
)
def test_what_takes_long_is_said_before(genes, more, said, tmp_path, monkeypatch, caplog):
    hyena_function(tmp_path / "a")
    codes, halflife = draw_genes(1)
    one = {"sequence": codes, "halflife": halflife}
    with caplog.at_level(logging.INFO):
        say_how_long(str(tmp_path / "a"), ExplainConfig(**more), genes, one)
        assert caplog.text == ""
        monkeypatch.setattr(estimate, "_WORTH_SAYING", 0.0)
        say_how_long(str(tmp_path / "a"), ExplainConfig(**more), genes, one)
    assert ("of 7 genes may take" in caplog.text) == said
