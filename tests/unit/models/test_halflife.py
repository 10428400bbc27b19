import math

import pytest
import torch

from raygenex.models.halflife import FeatureScaler, HalflifeEncoder, fitted_scaler, triplet_loss


def codes(*firsts):
    """Return codes of two channels and eight positions that are zero but for their first two values."""
    code = torch.zeros(len(firsts), 2, 8)
    code[:, 0, 0] = torch.tensor([float(first) for first, _ in firsts])
    code[:, 1, 7] = torch.tensor([float(second) for _, second in firsts])
    return code


def test_scaler_before_fitting_changes_nothing():
    halflife = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(FeatureScaler()(halflife), halflife[:, None, :])


def test_scaler_by_hand():
    # Feature i is i and 3 i + 2: mean 2 i + 1, population deviation i + 1.
    halflife = torch.stack([torch.arange(8.0), 3 * torch.arange(8.0) + 2])
    scaler = FeatureScaler()
    scaler.fit(halflife)
    assert scaler.mean.tolist() == [2 * i + 1 for i in range(8)]
    assert scaler.scale.tolist() == [i + 1 for i in range(8)]
    assert scaler(halflife).tolist() == [[[-1.0] * 8], [[1.0] * 8]]


@pytest.mark.parametrize("genes", [1, 3, 1000])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6])
def test_a_constant_feature_keeps_scale_one(genes, value):
    halflife = torch.randn(genes, 8, generator=torch.Generator().manual_seed(0))
    halflife[:, 5] = value
    scaler = FeatureScaler()
    scaler.fit(halflife)
    assert scaler.scale[5] == 1
    assert scaler.mean[5] == torch.tensor(value)
    assert (scaler(halflife)[:, :, 5] == 0).all()
    assert (scaler.scale > 0).all()


def test_scaler_is_accurate_where_the_mean_is_large():
    # In float32 the squares of values near 1e6 lose the spread of one.
    halflife = torch.full((1000, 8), 1e6)
    halflife[::2] += 2
    scaler = FeatureScaler()
    scaler.fit(halflife)
    torch.testing.assert_close(scaler.scale, torch.ones(8))


def test_scaler_statistics_travel_with_the_weights_and_do_not_learn():
    scaler = FeatureScaler()
    scaler.fit(torch.arange(16.0).reshape(2, 8))
    assert set(scaler.state_dict()) == {"mean", "scale"}
    assert list(scaler.parameters()) == []
    other = FeatureScaler()
    other.load_state_dict(scaler.state_dict())
    assert torch.equal(other.mean, scaler.mean)
    assert torch.equal(other.scale, scaler.scale)


def test_bins_by_hand():
    # Five genes at -2, -1, 0, 1, 2: mean 0, deviation sqrt(2); two bins with edges -2, 0, 2, in deviations.
    halflife = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None].repeat(1, 8)
    scaler = FeatureScaler(bins=2)
    scaler.fit(halflife)
    root = math.sqrt(2)
    torch.testing.assert_close(scaler.edges, torch.tensor([-root, 0.0, root])[:, None].repeat(1, 8))
    read = scaler(torch.tensor([-9.0, -2.0, -1.0, 0.0, 1.5, 2.0, 9.0])[:, None].repeat(1, 8))
    assert read.shape == (7, 2, 8)
    expected = [[0.0, 0.0], [0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.0, 0.75], [1.0, 1.0], [1.0, 1.0]]
    torch.testing.assert_close(read[:, :, 3], torch.tensor(expected))


def test_a_value_that_many_genes_share_makes_a_step():
    halflife = torch.randn(100, 8, generator=torch.Generator().manual_seed(0)).abs() + 1
    halflife[:60, 2] = 0.0
    scaler = FeatureScaler(bins=4)
    scaler.fit(halflife)
    read = scaler(torch.tensor([0.0, 0.5, 0.9])[:, None].repeat(1, 8))
    # The first two bins have no width: off at the shared value, on above it.
    assert read[:, :2, 2].tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert torch.isfinite(scaler(halflife)).all()


def test_bins_see_no_more_than_their_genes_and_rise_with_the_value():
    generator = torch.Generator().manual_seed(0)
    halflife = torch.randn(500, 8, generator=generator) * 3 + 7
    scaler = FeatureScaler(bins=16)
    scaler.fit(halflife)
    read = scaler(halflife.sort(dim=0).values)
    assert read.min() >= 0
    assert read.max() <= 1
    assert (read.diff(dim=0) >= 0).all()
    # Quantile bins hold the same number of genes: the mean over bins is the rank.
    torch.testing.assert_close(read.mean(dim=1)[:, 0], torch.linspace(0, 1, 500), atol=0.5 / 16, rtol=0.0)
    assert set(scaler.state_dict()) == {"mean", "scale", "edges"}
    other = FeatureScaler(bins=16)
    other.load_state_dict(scaler.state_dict())
    assert torch.equal(other(halflife), scaler(halflife))


@pytest.mark.parametrize("channels", [(1,), (4,), (3, 5), (128, 256, 256), (2, 3, 4, 5)])
def test_encoder_keeps_eight_positions_of_nonnegative_values(channels):
    encoder = HalflifeEncoder(channels)
    code = encoder(torch.randn(5, 1, 8, generator=torch.Generator().manual_seed(0)))
    assert code.shape == (5, channels[-1], 8)
    assert encoder.width == channels[-1]
    assert (code >= 0).all()


def test_encoder_of_the_paper_has_the_sizes_of_the_paper():
    shapes = [tuple(parameter.shape) for parameter in HalflifeEncoder((128, 256, 256)).parameters()]
    assert shapes == [(128, 1, 3), (128,), (256, 128, 3), (256,), (256, 256, 3), (256,)]


def test_encoder_by_hand():
    encoder = HalflifeEncoder((1,))
    with torch.no_grad():
        encoder.layers[0].weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        encoder.layers[0].bias.fill_(-1.0)
        code = encoder(torch.tensor([[[1.0, 2.0, 0.0, 0.0, -5.0, 0.0, 0.0, 3.0]]]))
    # Position 0: 10 * 1 + 100 * 2 - 1; position 1: 1 + 20 - 1; position 2: 2 - 1; position 7: 10 * 3 - 1.
    assert code.tolist() == [[[209.0, 20.0, 1.0, 0.0, 0.0, 0.0, 299.0, 29.0]]]


def test_triplet_loss_by_hand():
    anchor = codes((0, 0), (0, 0), (0, 0))
    positive = codes((3, 4), (0, 1), (1, 0))  # 5, 1 and 1 away
    negative = codes((0, 2), (6, 8), (2, 0))  # 2, 10 and 2 away
    # With margin 1: 5 - 2 + 1 = 4; 1 - 10 + 1 < 0; 1 - 2 + 1 = 0, which is apart by the margin.
    loss, satisfied = triplet_loss(anchor, positive, negative, 1.0)
    assert loss.item() == pytest.approx(4 / 3)
    assert satisfied.item() == pytest.approx(2 / 3)
    loss, satisfied = triplet_loss(anchor, positive, negative, 2.0)
    assert loss.item() == pytest.approx((5 + 0 + 1) / 3)
    assert satisfied.item() == pytest.approx(1 / 3)


def test_triplet_loss_agrees_with_torch():
    generator = torch.Generator().manual_seed(0)
    a, p, n = (torch.randn(6, 4, 8, generator=generator) for _ in range(3))
    expected = torch.nn.functional.triplet_margin_loss(a.flatten(1), p.flatten(1), n.flatten(1), margin=1.0, eps=0.0)
    torch.testing.assert_close(triplet_loss(a, p, n, 1.0)[0], expected)


def test_triplet_loss_of_equal_codes_has_a_finite_gradient():
    # Dead ReLUs give equal codes, where the derivative of a distance is not defined.
    same = torch.zeros(2, 1, 8, requires_grad=True)
    loss, satisfied = triplet_loss(same, same, same, 1.0)
    loss.backward()
    assert (loss.item(), satisfied.item()) == (1.0, 0.0)
    assert torch.isfinite(same.grad).all()


def test_distances_are_of_whole_codes_not_of_positions():
    anchor, far = torch.zeros(1, 4, 8), torch.ones(1, 4, 8)
    loss, _ = triplet_loss(anchor, far, anchor, 1.0)
    assert loss.item() == pytest.approx(math.sqrt(32) + 1)


def test_what_is_missing_is_read_as_the_mean_and_said_beside():
    """Known values 1 and 3 of the first feature: mean 2, deviation 1; the second is complete."""
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [math.nan, 4.0]])
    scaler = fitted_scaler(features, None)
    assert scaler.positions == 3
    assert scaler.mean.tolist() == [2.0, 2.0]
    assert scaler.scale[0] == 1
    expected = [[-1.0, -math.sqrt(1.5), 0.0], [1.0, 0.0, 0.0], [0.0, math.sqrt(1.5), 1.0]]
    torch.testing.assert_close(scaler(features), torch.tensor(expected)[:, None])


def test_what_is_missing_stays_beside_bins():
    features = torch.tensor([[0.0, math.nan], [1.0, 1.0], [2.0, 2.0], [3.0, 4.0], [4.0, 5.0]])
    read = fitted_scaler(features, 4)(features)
    assert read.shape == (5, 4, 3)
    assert read[:, :, 2].tolist() == [[1.0] * 4] + [[0.0] * 4] * 4
    # Each quarter of the genes of the first feature fills one more bin.
    torch.testing.assert_close(read[:, :, 0], torch.tril(torch.ones(5, 5))[:, :4].tril(-1), atol=1e-5, rtol=0)


def test_a_scaler_of_complete_features_gains_nothing():
    features = torch.randn(20, 11, generator=torch.Generator().manual_seed(0))
    scaler = fitted_scaler(features, None)
    assert (scaler.positions, scaler.lacking) == (11, [])
    torch.testing.assert_close(scaler(features)[:, 0], (features - features.mean(0)) / features.std(0, correction=0))
    # A gap that training had not is read as the mean.
    features[3, 5] = math.nan
    assert scaler(features)[3, 0, 5] == 0
