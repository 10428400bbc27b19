"""How values become what a model learns and its outputs what users read; and what missed targets cost."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from toy_models import columns, sentence

from raygenex.config.load import parse_config
from raygenex.data.hdf5.schema import Target
from raygenex.data.targets import TargetValues
from raygenex.errors import DataError
from raygenex.models.base import ExpressionModel, InputShape
from raygenex.train import losses
from raygenex.train.shard import GeneBatch
from raygenex.train.steps import backward
from raygenex.train.targets import (
    TargetInfo,
    epoch_scores,
    fit_targets,
    learned_values,
    outputs_of,
    score_names,
    target_columns,
)

TRAIN = np.array([1.0, 3.0, np.nan, 7.0, 15.0], dtype=np.float32)


def fitted(values=TRAIN, kind="continuous", **settings):
    configs = parse_config({"targets": [{"name": "level", "table": "t.tsv", "kind": kind, **settings}]}, "t").targets
    both = {"train": np.asarray(values, np.float32)[:, None], "valid": np.array([[0.0], [1.0]], np.float32)}
    (info,) = fit_targets(configs, TargetValues((Target("level", kind, "TPM"),), both))
    return info


def test_values_are_standardised_by_train_and_turned_back():
    info = fitted()
    # Mean 6.5; squares 30.25 + 12.25 + 0.25 + 72.25 = 115 over 4.
    assert (info.mean, info.scale, info.measured) == (6.5, pytest.approx(math.sqrt(28.75)), 4)
    learned = info.learned(TRAIN)
    assert np.isnan(learned[2])
    np.testing.assert_allclose(info.in_unit(info.predicted(learned[:, None])), TRAIN, rtol=1e-6)


def test_logarithms_by_hand():
    info = fitted(transform="log2p1")
    np.testing.assert_array_equal(info.transformed(TRAIN), [1, 2, np.nan, 3, 4])
    assert (info.mean, info.scale) == (2.5, pytest.approx(math.sqrt(1.25)))
    np.testing.assert_allclose(info.in_unit(np.array([1.0, 4.0])), [1, 15])


def test_ranks_are_shares_of_train():
    info = fitted(transform="rank")
    np.testing.assert_allclose(info.transformed(TRAIN), [0, 1 / 3, np.nan, 2 / 3, 1])
    # Between two values linear, beyond the ends the ends.
    np.testing.assert_allclose(info.transformed([2, -9, 99]), [1 / 6, 0, 1])
    np.testing.assert_allclose(info.in_unit(np.array([0, 1 / 2, 1])), [1, 5, 15])


def test_ties_share_the_middle_of_their_ranks():
    info = fitted([0.0, 0.0, 0.0, 1.0, 2.0], transform="rank")
    np.testing.assert_allclose(info.transformed([0.0, 1.0, 2.0, 1.5]), [1 / 4, 3 / 4, 1, 7 / 8])
    np.testing.assert_allclose(info.in_unit(info.transformed([0.0, 1.0, 1.5])), [0, 1, 1.5])


def test_two_targets_of_one_column_are_refused():
    configs = parse_config(
        {"targets": [{"name": "a", "table": "t.tsv", "loss": "gaussian"}, {"name": "a_sd", "table": "t.tsv"}]}, "t"
    ).targets
    values = np.array([[0, 1], [1, 2]], np.float32)
    both = TargetValues((Target("a", "continuous"), Target("a_sd", "continuous")), {"train": values, "valid": values})
    with pytest.raises(DataError) as info:
        fit_targets(configs, both)
    sentence(info, "a_sd")


def test_counts_and_spreads_and_probabilities():
    counts = fitted(kind="counts")
    assert (counts.loss, counts.mean, counts.scale) == ("poisson", 0, 1)
    np.testing.assert_allclose(counts.predicted(np.log([[2.0], [5.0]])), [2, 5])
    spread = fitted(loss="gaussian")
    assert spread.outputs == 2
    np.testing.assert_allclose(
        spread.spread(np.array([[0, 0], [0, math.log(4)], [0, 99]])) / spread.scale, [1, 2, math.e**4]
    )
    label = TargetInfo(name="label", kind="binary", loss="bce", measured=1, threshold=0.7)
    found = target_columns([spread, label], np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]]))
    assert list(found) == ["level", "level_sd", "label_probability", "label_prediction"]
    np.testing.assert_allclose(found["level"], [6.5, 6.5 + math.sqrt(28.75)])
    assert found["label_prediction"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "settings", "words"),
    [
        ([2, 2, np.nan], {}, ["all 2", "data.train", "2"]),
        ([-1, 2, 3], {"transform": "log2p1"}, ["-1", "log2(1 + x)"]),
    ],
)
def test_values_that_nothing_can_be_learned_of_are_refused(values, settings, words):
    with pytest.raises(DataError) as info:
        fitted(values, **settings)
    sentence(info, "level", *words)


# What missed targets cost


class Linear(ExpressionModel):
    """A model whose outputs are a linear function of the half-life features."""

    def __init__(self, outputs):
        super().__init__(InputShape("bases", 4, 4), outputs=outputs)
        self.layer = nn.Linear(8, outputs)

    def forward(self, sequence, halflife):
        return self.shaped(self.layer(halflife))


INFOS = [
    TargetInfo(name="a", kind="continuous", loss="mse", measured=1, weight=2.0),
    TargetInfo(name="b", kind="binary", loss="bce", measured=1),
    TargetInfo(name="c", kind="continuous", loss="gaussian", measured=1, weight=0.5),
    TargetInfo(name="d", kind="counts", loss="poisson", measured=1),
    TargetInfo(name="e", kind="continuous", loss="huber", measured=1),
]


def genes(n=40, missing=0.3):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(n, 5))
    values[:, 1] = rng.integers(0, 2, n)
    values[:, 3] = rng.poisson(3, n)
    values[rng.random(values.shape) < missing] = np.nan
    halflife = torch.from_numpy(columns(n, 4)["halflife"])
    return GeneBatch(torch.zeros(n, 4), halflife, torch.from_numpy(values.astype(np.float32)))


def part(batch, rows):
    return GeneBatch(batch.sequence[rows], batch.halflife[rows], batch.label[rows])


def model_of(uncertainty=False):
    torch.manual_seed(0)
    model = Linear(6)
    if uncertainty:
        model.learn_weights(5)
        model.log_variance.data += torch.arange(5) / 5
    return model


def by_hand(model, batch):
    """The weighted mean over targets of the mean loss over the genes that have it, value by value."""
    outputs, total = model.layer(batch.halflife).double(), 0.0
    places, weights = (0, 1, 2, 4, 5), (2.0, 1.0, 0.5, 1.0, 1.0)
    for target in range(5):
        costs = []
        for row in range(len(batch.label)):
            truth, first = batch.label[row, target].double(), outputs[row, places[target]]
            if truth.isnan():
                continue
            if target == 0:
                costs.append((first - truth) ** 2)
            elif target == 1:
                costs.append(torch.log1p(torch.exp(first)) - truth * first)
            elif target == 2:
                log_variance = outputs[row, 3]
                costs.append(
                    -torch.distributions.Normal(first, torch.exp(log_variance / 2)).log_prob(truth)
                    - math.log(2 * math.pi) / 2
                )
            elif target == 3:
                costs.append(torch.exp(first) - truth * first)
            else:
                miss = (first - truth).abs()
                costs.append(miss**2 / 2 if miss < 1 else miss - 0.5)
        mean = torch.stack(costs).mean()
        if model.log_variance is not None:
            mean = mean * torch.exp(-model.log_variance[target]) + model.log_variance[target] / 2
        total = total + weights[target] / 5.5 * mean
    return total


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def no_autocast():
    return torch.autocast("cpu", torch.bfloat16, enabled=False)


@pytest.mark.parametrize("uncertainty", [False, True])
def test_gradients_are_those_of_the_masked_mean(uncertainty):
    batch = genes()
    model = model_of(uncertainty)
    by_hand(model, batch).backward()
    expected = gradients(model)
    model.zero_grad()
    summed = backward(model, batch, 40, 1, autocast=no_autocast, loss=losses.TargetLoss(INFOS, 1, model.log_variance))
    assert float(summed) / 40 == pytest.approx(float(by_hand(model, batch)), rel=1e-5)
    for name, found in gradients(model).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("uncertainty", [False, True])
@pytest.mark.parametrize("shares", [(20, 20), (33, 7), (40, 0)])
def test_unequal_shares_give_the_gradients_of_one_worker(shares, uncertainty, monkeypatch):
    """A worker without genes repeats one with weight 0; DDP averages what each has."""
    batch, model = genes(), model_of(uncertainty)
    backward(model, batch, 40, 1, autocast=no_autocast, loss=losses.TargetLoss(INFOS, 1, model.log_variance))
    expected = gradients(model)
    total = torch.cat([(~batch.label.isnan()).sum(0), torch.tensor([40.0])])
    monkeypatch.setattr(losses.dist, "all_reduce", lambda counts: counts.copy_(total))
    found = []
    for rows in (slice(0, shares[0]), slice(shares[0], None)):
        model.zero_grad()
        mine = part(batch, rows)
        weight = 1.0 if len(mine.label) else 0.0
        mine = mine if weight else part(batch, slice(0, 1))
        loss = losses.TargetLoss(INFOS, 2, model.log_variance)
        backward(model, mine, 40, 2, autocast=no_autocast, weight=weight, loss=loss)
        found.append(gradients(model))
    for name, value in expected.items():
        torch.testing.assert_close((found[0][name] + found[1][name]) / 2, value, rtol=1e-5, atol=1e-6)


def test_a_target_that_no_gene_of_a_step_has_costs_nothing():
    batch = genes()
    batch.label[:, 2:4] = torch.nan
    model = model_of(uncertainty=True)
    backward(model, batch, 40, 1, autocast=no_autocast, loss=losses.TargetLoss(INFOS, 1, model.log_variance))
    assert model.layer.weight.grad[2:5].abs().sum() == 0
    assert model.log_variance.grad[2:4].tolist() == [0, 0]
    assert all(value.isfinite().all() for value in gradients(model).values())


def test_epochs_are_measured_by_their_main_metrics():
    batch = genes()
    outputs = model_of()(batch.sequence, batch.halflife).detach().numpy()
    values = batch.label.numpy()
    found = epoch_scores(INFOS, outputs, values)
    assert list(found) == score_names(INFOS) == ["a_pearson", "b_auroc", "c_pearson", "d_pearson", "e_pearson"]
    known = ~np.isnan(values[:, 3])
    predicted = np.exp(outputs[known, outputs_of(INFOS)[3]][:, 0])
    assert found["d_pearson"] == pytest.approx(stats.pearsonr(predicted, values[known, 3]).statistic, abs=1e-6)
    # A network that has learned nothing.
    assert epoch_scores(INFOS[:1], np.zeros(40), values[:, :1])["a_pearson"] == 0
    assert losses.TargetLoss(INFOS, 1).mean(torch.from_numpy(outputs), batch.label) == pytest.approx(
        float(by_hand(model_of(), batch)), rel=1e-5
    )


def test_learned_values_keep_what_is_missing():
    infos = [fitted(), fitted(transform="log2p1")]
    found = learned_values(infos, np.stack([TRAIN, TRAIN], axis=1))
    assert found.dtype == np.float32
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[:, 1], infos[1].learned(TRAIN), rtol=1e-6)
