import pytest
import torch

from raygenex.config.model import HalflifeConfig
from raygenex.models.halflife import HalflifeEncoder, triplet_loss
from raygenex.train.network import contrastive
from raygenex.train.network.contrastive import pretrain_encoder

SMALL = HalflifeConfig(channels=(4, 6), epochs=3, batch_size=8)


def genes(n=40, seed=0):
    """Return features of genes that fall into four groups."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(4, 8, generator=generator)
    return centres[torch.arange(n) % 4] + 0.3 * torch.randn(n, 8, generator=generator)


def losses(halflife, config, seed=0):
    history = []
    pretrain_encoder(halflife, config, seed, history.append)
    return [metrics["triplet_loss"] for metrics in history]


@pytest.fixture
def triplets(monkeypatch):
    """Record the codes that every step compares."""
    seen = []

    def spy(anchor, positive, negative, margin):
        seen.append((anchor.detach(), positive.detach(), negative.detach(), margin))
        return triplet_loss(anchor, positive, negative, margin)

    monkeypatch.setattr(contrastive, "triplet_loss", spy)
    return seen


@pytest.fixture
def orders(monkeypatch):
    """Record the permutation of each epoch."""
    seen = []
    draw = torch.randperm

    def spy(n, **options):
        seen.append(draw(n, **options))
        return seen[-1]

    monkeypatch.setattr(torch, "randperm", spy)
    return seen


def test_the_same_seed_gives_the_same_encoder():
    (_, first), (_, second), (_, third) = (pretrain_encoder(genes(), SMALL, seed) for seed in (0, 0, 1))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert not torch.equal(first.layers[0].weight, third.layers[0].weight)


def test_the_global_random_state_neither_matters_nor_moves():
    torch.manual_seed(1)
    expected = losses(genes(), SMALL)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert losses(genes(), SMALL) == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_what_comes_back_is_fitted_and_evaluating():
    halflife = genes()
    scaler, encoder = pretrain_encoder(halflife, SMALL, 0)
    torch.testing.assert_close(scaler.mean, halflife.mean(dim=0))
    torch.testing.assert_close(scaler.scale, halflife.std(dim=0, correction=0))
    assert not encoder.training
    assert encoder.width == 6


def test_every_epoch_is_reported_once_in_order():
    history = []
    pretrain_encoder(genes(), SMALL, 0, history.append)
    assert [metrics["epoch"] for metrics in history] == [0, 1, 2]
    assert all(set(metrics) == {"epoch", "triplet_loss", "triplet_satisfied"} for metrics in history)
    assert all(0 <= metrics["triplet_satisfied"] <= 1 <= 1 + metrics["triplet_loss"] for metrics in history)


def test_each_gene_is_a_negative_once_an_epoch_and_never_its_own(triplets):
    # With a step size of almost nothing, a code tells which gene it is of.
    config = SMALL.model_copy(update={"learning_rate": 1e-30, "epochs": 2})
    halflife = genes(21)
    scaler, encoder = pretrain_encoder(halflife, config, 0)
    own = encoder(scaler(halflife)).detach()

    def names(codes):
        distance = torch.cdist(codes.flatten(1), own.flatten(1))
        assert distance.min(dim=1).values.max() < 1e-5
        return distance.argmin(dim=1).tolist()

    assert [len(anchor) for anchor, *_ in triplets] == [11, 10, 11, 10]
    pairs = []
    for epoch in (triplets[:2], triplets[2:]):
        anchors = [name for anchor, *_ in epoch for name in names(anchor)]
        negatives = [name for _, _, negative, _ in epoch for name in names(negative)]
        assert sorted(anchors) == sorted(negatives) == list(range(21))
        assert all(anchor != negative for anchor, negative in zip(anchors, negatives, strict=True))
        pairs.append(set(zip(anchors, negatives, strict=True)))
    assert pairs[0] != pairs[1]


def test_permutations_are_drawn_anew_every_epoch(orders):
    pretrain_encoder(genes(), SMALL, 0)
    assert len(orders) == 3
    assert all(sorted(order.tolist()) == list(range(40)) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])


def test_positives_are_noisy_anchors_and_the_noise_is_new_every_time(triplets):
    config = SMALL.model_copy(update={"learning_rate": 1e-30, "epochs": 2, "batch_size": 40})
    pretrain_encoder(genes(), config, 0)
    shifts = [(positive - anchor).flatten(1).norm(dim=1).sort().values for anchor, positive, *_ in triplets]
    assert all((shift > 0).any() for shift in shifts)
    assert not torch.allclose(shifts[0], shifts[1])
    silent = config.model_copy(update={"noise": 1e-30})
    triplets.clear()
    pretrain_encoder(genes(), silent, 0)
    assert all(torch.equal(anchor, positive) for anchor, positive, *_ in triplets)


def test_the_margin_is_passed_on(triplets):
    pretrain_encoder(genes(), SMALL.model_copy(update={"margin": 2.5}), 0)
    assert {margin for *_, margin in triplets} == {2.5}


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(2, 8, [2]), (3, 2, [3]), (3, 8, [3]), (4, 2, [2, 2]), (5, 2, [3, 2]), (9, 8, [9]), (17, 8, [9, 8])],
)
def test_no_batch_is_smaller_than_two_genes(triplets, n, batch_size, sizes):
    config = SMALL.model_copy(update={"batch_size": batch_size, "epochs": 1})
    assert all(torch.isfinite(torch.tensor(losses(genes(n), config))))
    assert [len(anchor) for anchor, *_ in triplets] == sizes


def test_one_gene_has_no_negative():
    with pytest.raises(AssertionError, match="a negative needs a second gene"):
        pretrain_encoder(genes(1), SMALL, 0)


def test_equal_genes_and_constant_features_do_not_break_it():
    assert all(torch.isfinite(torch.tensor(losses(torch.ones(6, 8), SMALL))))


def test_features_in_float64_are_welcome():
    assert losses(genes().double(), SMALL) == pytest.approx(losses(genes(), SMALL), rel=1e-5)


def test_the_scale_of_a_feature_does_not_matter():
    stretched = genes() * torch.tensor([1e4, 1e-3, 1, 1, 1, 1, 1, 1]) + 50
    assert losses(stretched, SMALL) == pytest.approx(losses(genes(), SMALL), rel=1e-2)


def test_the_loss_falls_on_genes_that_differ():
    config = HalflifeConfig(channels=(8, 16), epochs=15, batch_size=16, learning_rate=0.01)
    found = losses(genes(120), config)
    assert found[-1] < 0.5 * found[0]


# A refactor must not move these numbers.
GOLDEN = [0.2027238, 0.1090000, 0.1300422, 0.1295515, 0.0871452]


def test_the_losses_of_a_fixed_seed_are_golden():
    config = HalflifeConfig(channels=(8, 16), epochs=5, batch_size=16, learning_rate=0.003)
    assert losses(genes(120), config, seed=7) == pytest.approx(GOLDEN, rel=1e-4)


def test_bins_are_read_of_noisy_features():
    halflife = genes()
    config = SMALL.model_copy(update={"bins": 5})
    scaler, encoder = pretrain_encoder(halflife, config, 0)
    assert scaler(halflife).shape == (40, 5, 8)
    assert encoder(scaler(halflife)).shape == (40, SMALL.channels[-1], 8)
    history = losses(halflife, config)
    assert history[-1] < history[0]


@pytest.mark.parametrize("genes_in_batch", [2, 3, 50])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3, 50.0])
def test_going_back_through_violations_alone_gives_the_whole_gradient(genes_in_batch, margin):
    torch.manual_seed(1)
    encoder = HalflifeEncoder((4, 3), 2)
    inputs = torch.randn(2 * genes_in_batch, 2, 8)
    found = []
    for step in (contrastive._step, contrastive._sparse_step):
        for parameter in encoder.parameters():
            parameter.grad = torch.zeros_like(parameter)
        numbers = step(encoder, inputs, margin)
        found.append((numbers, [parameter.grad.clone() for parameter in encoder.parameters()]))
    (first, whole), (second, sparse) = found
    assert second == pytest.approx(first, abs=1e-6)
    for one, other in zip(whole, sparse, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.fixture
def one_thread():
    """Sums over two threads round otherwise from way to way, and training makes much of it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_both_ways_learn_the_same(monkeypatch, one_thread):
    config = SMALL.model_copy(update={"epochs": 12, "learning_rate": 0.01, "margin": 0.2})
    history = losses(genes(200), config)
    monkeypatch.setattr(contrastive, "FEW", 2.0)
    assert losses(genes(200), config) == pytest.approx(history, abs=1e-4)
