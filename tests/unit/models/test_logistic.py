"""Logistic regression: by hand, and against scikit-learn."""

import numpy as np
import pytest
import torch
from toy_models import columns

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.tabular import LogisticRegression
from raygenex.stats.metrics import auroc
from raygenex.train.tables.regression import fit_regression
from raygenex.train.tables.table import FeatureTable

WINDOW = 12
KMERS = {"k": (1, 2), "regions": 1, "onehot_bases": 4}


def build(window=WINDOW, **settings):
    section = parse_config({"model": {"kind": "logistic"} | KMERS | settings}, "test").model
    return build_model(section, HalflifeConfig(), InputShape("bases", window, 4))


def table(n=60, seed=0, model=None):
    genes = columns(n, WINDOW, seed)
    features = (model or build()).features(genes["sequence"], genes["halflife"])
    return FeatureTable(features, genes["label"].astype(np.float32))


def fit(l2=1.0, train=None, valid=None):
    model, shown = build(), []
    history = fit_regression(model, train or table(), valid or table(seed=1), l2, show=shown.append)
    assert history == shown
    return model, history


def logits(model, rows):
    with torch.no_grad():
        return model.logits(torch.from_numpy(rows.features)).numpy()


def test_logits_by_hand():
    model = build(window=3, k=(1,), onehot_bases=0, halflife=False)
    assert model.width == 4
    with torch.no_grad():
        model.mean.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        model.scale.copy_(torch.tensor([2.0, 1.0, 1.0, 1.0]))
        model.linear.weight.copy_(torch.tensor([[10.0, 1.0, 100.0, 1000.0]]))
        model.linear.bias.fill_(0.5)
    # A A T: (2 - 1) / 2 of A and one T. N N G: no A is half a spread below the mean.
    sequence = torch.tensor([[0, 0, 3], [4, 4, 2]], dtype=torch.uint8)
    assert model(sequence, None).tolist() == [5 + 1000 + 0.5, -5 + 100 + 0.5]


def test_the_optimum_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression as Reference

    model, history = fit(l2=3.0)
    train = table()
    scaled = (train.features - train.features.mean(0)) / np.where(train.features.std(0) > 0, train.features.std(0), 1)
    reference = Reference(C=1 / 3.0, tol=1e-8, max_iter=10000).fit(scaled, train.label)
    np.testing.assert_allclose(logits(model, train), reference.decision_function(scaled), atol=1e-3)
    assert history[-1]["train_loss"] <= history[0]["train_loss"]


def test_history_is_that_of_the_fit():
    model, history = fit()
    assert [metrics["epoch"] for metrics in history] == list(range(len(history)))
    valid = table(seed=1)
    assert history[-1]["valid_auroc"] == pytest.approx(auroc(valid.label, logits(model, valid)), abs=1e-6)


def test_a_stronger_penalty_makes_smaller_weights():
    norms = [float(fit(l2=l2)[0].linear.weight.detach().norm()) for l2 in (0.1, 1.0, 10.0, 1e6)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 1e-3


def test_valid_does_not_move_the_optimum():
    first, second = fit(valid=table(seed=1))[0], fit(valid=table(seed=2))[0]
    assert torch.equal(first.linear.weight, second.linear.weight)


def test_constant_features_are_harmless():
    train = table()
    constant = FeatureTable(np.ones_like(train.features), train.label)
    model, history = fit(train=constant, valid=constant)
    assert len(history) == 1
    assert np.isfinite(logits(model, train)).all()


def test_a_saved_model_scores_alike():
    model, _ = fit()
    other = build()
    other.load_state_dict(model.state_dict())
    assert isinstance(other, LogisticRegression)
    rows = table(seed=3)
    np.testing.assert_array_equal(logits(other, rows), logits(model, rows))
