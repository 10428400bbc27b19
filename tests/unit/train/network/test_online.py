"""A backbone within the training: frozen, it gives the numbers of a store; fine-tuned, it learns."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from toy_models import SMALL, columns

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.embed.hyenadna.model import HyenaDnaConfig, HyenaDnaModel
from raygenex.embed.hyenadna.pooling import bin_count
from raygenex.embed.hyenadna.weights import load_backbone, save_backbone, weights_sha256
from raygenex.embed.inference import embed_sequences
from raygenex.errors import CheckpointError
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, InputInfo, read_info, save_checkpoint_info
from raygenex.train.inputs import start_backbone
from raygenex.train.network.epochs import NetworkFit
from raygenex.train.network.halflife_start import Start, make_start
from raygenex.train.network.online import OnlineModel
from raygenex.train.shard import Batch, WorkerShard
from raygenex.train.steps import backward
from raygenex.train.worker import Worker

CPU = torch.device("cpu")
WINDOW, WIDTH = 44, 8
TRAIN, VALID = 37, 21
SHARES = [(3, 2), (5, 0)]
"""Genes of a step on each of two workers; one without a gene repeats another's with weight 0."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HyenaDNA of two layers with dropout in its embeddings, as published ones have."""
    folder = tmp_path_factory.mktemp("weights") / BACKBONE
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = HyenaDnaModel(HyenaDnaConfig(d_model=WIDTH, n_layer=2, max_seq_len=WINDOW + 2)).eval()
        for parameter in network.parameters():
            # Larger than a fresh network's, so that embeddings differ from gene to gene.
            parameter.data += 0.1 * torch.randn_like(parameter)
    save_backbone(network, folder)
    return folder


def config_of(route: str = "online", **sections: dict) -> RunConfig:
    values = {
        "backbone": {"kind": "hyenadna", "route": route},
        "model": {"kind": "cnn_dna_only", "width": 8, "channels": (6,)},
        "train": {"epochs": 4, "global_batch_size": 8, "learning_rate": 0.01},
        "embed": {"bin_size": 5, "batch_size": 3},
    }
    plain = {name: SMALL.get(name, {}) | values.get(name, {}) | given for name, given in sections.items()}
    if sections.get("model", {}).get("kind") == "lstm":
        plain["model"] = sections["model"]
    return parse_config(SMALL | values | plain, "test")


def genes_of(count: int, seed: int) -> Batch:
    """Return genes whose label is the base in the middle, which a network can learn."""
    genes = columns(count, WINDOW, seed)
    label = (genes["sequence"][:, 18:26] >= 2).sum(axis=1) >= 5
    return Batch(
        torch.from_numpy(genes["sequence"]), torch.from_numpy(genes["halflife"]), torch.from_numpy(label).float()
    )


def info_of(config: RunConfig, weights: Path) -> CheckpointInfo:
    length = bin_count(WINDOW, config.embed.bin_size)
    return CheckpointInfo(
        config=config.dump(),
        config_hash=config.hash(),
        inputs=InputInfo(kind="embedding", length=length, channels=WIDTH, window=WINDOW),
        backbone_sha256=weights_sha256(load_backbone(str(weights), None)),
    )


def fit_of(config: RunConfig, weights: Path) -> NetworkFit:
    """Return a training on one worker; on embeddings, as a store holds them, if the route is cached."""
    splits = {"train": genes_of(TRAIN, 1), "valid": genes_of(VALID, 2)}
    if config.online is None:
        network = load_backbone(str(weights), None)
        settings = config.embed.model_dump()
        splits = {
            name: Batch(
                torch.from_numpy(embed_sequences(network, genes.sequence.numpy(), settings, "cpu", 8)),
                genes.halflife,
                genes.label,
            )
            for name, genes in splits.items()
        }
    sizes = {name: [len(genes.label)] for name, genes in splits.items()}
    shards = {name: WorkerShard.of(genes) for name, genes in splits.items()}
    worker = Worker(config, info_of(config, weights), 0, CPU, sizes, shards)
    return NetworkFit(worker, start_of(config), weights if config.online else None)


def start_of(config: RunConfig) -> Start | None:
    return None if config.model.kind == "cnn_dna_only" else make_start(config, genes_of(TRAIN, 1).halflife)


def train(fit: NetworkFit, epochs: int) -> list[dict[str, float]]:
    for _ in range(epochs):
        fit.epoch()
    return fit.progress.history


def online_of(fit: NetworkFit) -> OnlineModel:
    assert fit._online is not None
    return fit._online


def autocast() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=False)


# Frozen

LSTM = {"model": {"kind": "lstm", "width": 8, "hidden": 4, "pool": 2, "dense": (4,)}}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"embed": {"bin_size": 1}},
        {"embed": {"pooling": "max", "dtype": "float32"}, "model": {"kind": "cnn_halflife_raw"}},
        LSTM,
    ],
)
def test_a_frozen_backbone_gives_the_numbers_of_a_store(weights: Path, sections: dict):
    configs = [config_of(route, **sections) for route in ("cached", "online")]
    stored, online = (train(fit_of(config, weights), 4) for config in configs)
    assert stored[0]["train_loss"] != stored[-1]["train_loss"]
    for mine, other in zip(online, stored, strict=True):
        # Of so few genes the AUROC moves by 0.04 when the last bits of two logits exchange their order.
        for name in ("train_loss", "valid_loss"):
            assert mine[name] == pytest.approx(other[name], abs=1e-6)
        assert mine["valid_auroc"] == pytest.approx(other["valid_auroc"], abs=0.1)


def test_a_frozen_backbone_stays_in_inference_and_as_it_was(weights: Path, tmp_path: Path):
    fit = fit_of(config_of(), weights)
    online = online_of(fit)
    before = weights_sha256(online.backbone)
    train(fit, 1)
    online.train()
    assert online.training
    assert fit.model.training
    assert not any(module.training for module in online.backbone.modules())
    assert not any(parameter.requires_grad for parameter in online.backbone.parameters())
    assert weights_sha256(online.backbone) == before
    assert online.save(tmp_path) is None
    assert not list(tmp_path.iterdir()), "epochs carry no weights that never change"


def test_embeddings_too_large_for_the_format_are_named(weights: Path, tmp_path: Path):
    network = load_backbone(str(weights), None)
    with torch.no_grad():
        network.backbone.ln_f.weight.mul_(1e6)
    save_backbone(network, tmp_path)
    for finetune in (False, True):
        fit = fit_of(config_of(backbone={"kind": "hyenadna", "route": "online", "finetune": finetune}), tmp_path)
        with pytest.raises(CheckpointError, match=r"is not finite in float16: set embed\.dtype to float32"):
            fit.epoch()
    with torch.no_grad():
        network.backbone.ln_f.weight.fill_(float("nan"))
    save_backbone(network, tmp_path)
    with pytest.raises(CheckpointError, match="not finite in float16: these backbone weights are not usable"):
        fit_of(config_of(), tmp_path).epoch()
    # Of weights that learn, such numbers say that the training diverged.
    assert online_of(fit_of(finetuning(), tmp_path)).eval().embed(genes_of(2, 4).sequence).isnan().all()


# Fine-tuned


def finetuning(**backbone: object) -> RunConfig:
    return config_of(
        backbone={"kind": "hyenadna", "route": "online", "finetune": True, **backbone}, model={"dropout": 0.0}
    )


def test_fine_tuning_moves_every_weight_and_fits_what_a_frozen_backbone_does_not(weights: Path):
    tuned = fit_of(finetuning(learning_rate=3e-3), weights)
    frozen = fit_of(config_of("cached", model={"dropout": 0.0}), weights)
    before = {name: value.clone() for name, value in online_of(tuned).backbone.named_parameters()}
    assert train(tuned, 12)[-1]["train_loss"] < 0.7 * train(frozen, 12)[-1]["train_loss"]
    for name, value in online_of(tuned).backbone.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_the_backbone_has_a_step_size_of_its_own(weights: Path):
    fit = fit_of(finetuning(learning_rate=1e-4), weights)
    train(fit, 1)
    assert [group["lr"] for group in fit._optimizer.param_groups] == pytest.approx([0.01, 1e-4, 1e-4])
    same = fit_of(finetuning(), weights)
    train(same, 1)
    assert [group["lr"] for group in same._optimizer.param_groups] == pytest.approx([0.01, 0.01, 0.01])


def test_the_networks_of_the_filters_do_not_decay(weights: Path):
    config = finetuning()
    decaying = config.model_copy(update={"train": config.train.model_copy(update={"weight_decay": 0.1})})
    fit = fit_of(decaying, weights)
    assert [group["weight_decay"] for group in fit._optimizer.param_groups] == [0.1, 0.1, 0.0]
    names = {id(value): name for name, value in online_of(fit).backbone.named_parameters()}
    others, filters = ({names[id(value)] for value in group["params"]} for group in fit._optimizer.param_groups[1:])
    assert {name for name in names.values() if ".filter_fn." in name} == filters
    assert others | filters == set(names.values())


def test_a_bias_that_nothing_reads_does_not_learn(tmp_path: Path):
    network = HyenaDnaModel(HyenaDnaConfig(d_model=WIDTH, n_layer=2, max_seq_len=WINDOW + 2, use_bias=False))
    save_backbone(network, tmp_path)
    online = online_of(fit_of(finetuning(), tmp_path)).train()
    backward(online, genes_of(7, 4), 7, 1, autocast)
    still = {name for name, value in online.named_parameters() if not value.requires_grad}
    assert still == {f"backbone.backbone.layers.{number}.mixer.filter_fn.bias" for number in (0, 1)}
    # Several workers wait for the gradient of everything that learns.
    assert all(value.grad is not None for value in online.parameters() if value.requires_grad)


def gradients(weights: Path, **backbone: object) -> dict[str, torch.Tensor]:
    fit = fit_of(finetuning(**backbone), weights)
    online = online_of(fit).train()
    torch.manual_seed(3)
    backward(online, genes_of(7, 4), 7, 1, autocast)
    return {name: parameter.grad for name, parameter in online.named_parameters()}


def test_recomputed_activations_give_the_same_gradients_and_the_same_dropout(weights: Path):
    kept, recomputed = (gradients(weights, checkpointing=value) for value in (False, True))
    assert min(float(gradient.abs().max()) for gradient in kept.values()) > 0
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-5, atol=1e-9)


def test_recomputing_keeps_fewer_activations(weights: Path):
    def kept_bytes(checkpointing: bool) -> int:
        online = online_of(fit_of(finetuning(checkpointing=checkpointing), weights)).train()
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            online.embed(genes_of(6, 4).sequence)
        return sum(kept.values())

    assert kept_bytes(True) < 0.5 * kept_bytes(False)


def test_fine_tuning_keeps_the_dropout_of_the_network_and_scoring_does_not(weights: Path):
    online = online_of(fit_of(finetuning(), weights))
    codes = genes_of(5, 4).sequence
    online.train()
    first, second = online.embed(codes), online.embed(codes)
    assert first.requires_grad
    assert first.dtype == torch.float32
    assert not torch.allclose(first, second)
    online.eval()
    first, second = online.embed(codes), online.embed(codes)
    assert not first.requires_grad
    assert first.dtype == torch.float16
    assert torch.equal(first, second)


def test_a_resumed_fine_tuning_gives_the_numbers_of_an_undisturbed_one(weights: Path, tmp_path: Path):
    whole = fit_of(finetuning(), weights)
    expected = train(whole, 4)
    first = fit_of(finetuning(), weights)
    first.epoch()
    first.save(tmp_path, first.epoch())
    again = fit_of(finetuning(), weights)
    again.resume(tmp_path)
    assert json.dumps(train(again, 2)) == json.dumps(expected)
    assert weights_sha256(online_of(again).backbone) == weights_sha256(online_of(whole).backbone)


def test_what_training_measures_is_what_prediction_gives(weights: Path, tmp_path: Path):
    fit = fit_of(finetuning(), weights)
    fit.epoch()
    valid = fit.epoch()
    fit.save(tmp_path, valid)
    info = read_info(tmp_path)
    assert info.backbone_sha256 == weights_sha256(online_of(fit).backbone)
    assert info.backbone_sha256 != weights_sha256(load_backbone(str(weights), None))
    save_checkpoint_info(tmp_path, info.model_copy(update={"threshold": 0.5}))
    genes = genes_of(VALID, 2)
    predicted = Predictor(tmp_path, batch_size=4).logits(genes.sequence.numpy(), genes.halflife.numpy())
    assert valid["logits"].tolist() == pytest.approx(predicted.tolist(), abs=1e-5)
    assert predicted.std() > 1e-2


# Two workers


def stepped(rank: int, folder: Path, weights: Path, config: RunConfig) -> dict:
    """Take one step on a worker's share of five genes; return the gradients, by shares and name."""
    from torch.nn.parallel import DistributedDataParallel

    found = {}
    for shares in SHARES:
        fit = fit_of(config, weights)
        online = online_of(fit)
        fit.wrap(DistributedDataParallel)
        # Dropout is drawn apart on each worker, and here the gradient is compared with that of one worker.
        for module in online.backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trained = fit._trained.train()
        start = shares[0] * rank
        rows = torch.arange(start, start + shares[rank]) if shares[rank] else torch.tensor([4])
        genes = genes_of(5, 4)
        batch = Batch(genes.sequence[rows], genes.halflife[rows], genes.label[rows])
        backward(trained, batch, sum(shares), 2, autocast, 1.0 if shares[rank] else 0.0)
        found[shares] = {name: value.grad for name, value in online.named_parameters() if value.requires_grad}
    return found


def work(rank: int, folder: str, weights: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=15))
    configs = {"tuned": finetuning(), "frozen": config_of(model={"dropout": 0.0})}
    found = {name: stepped(rank, Path(folder), Path(weights), config) for name, config in configs.items()}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def work_as_second(_: int, folder: str, weights: str) -> None:
    work(1, folder, weights)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> list[dict]:
    """The gradients of each of two workers; this process is the first of them."""
    folder = str(tmp_path_factory.mktemp("workers"))
    second = torch.multiprocessing.spawn(work_as_second, args=(folder, str(weights)), nprocs=1, join=False)
    work(0, folder, str(weights))
    second.join()
    return [torch.load(f"{folder}/{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("name", ["tuned", "frozen"])
def test_two_workers_have_the_gradient_of_one(workers: list[dict], weights: Path, name: str, shares: tuple):
    config = finetuning() if name == "tuned" else config_of(model={"dropout": 0.0})
    online = online_of(fit_of(config, weights)).train()
    for module in online.backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    backward(online, genes_of(5, 4), 5, 1, autocast)
    expected = {name: value.grad for name, value in online.named_parameters() if value.requires_grad}
    assert any(key.startswith("backbone.") for key in expected) == (name == "tuned")
    for found in workers:
        assert set(found[name][shares]) == set(expected)
        for key, gradient in expected.items():
            torch.testing.assert_close(found[name][shares][key], gradient, rtol=1e-4, atol=1e-7)


def test_a_model_without_dna_leaves_the_backbone_alone(weights: Path):
    config = config_of(
        backbone={"kind": "hyenadna", "route": "online", "finetune": True}, model={"kind": "cnn_halflife_only"}
    )
    assert config.online is None
    assert start_backbone(config.online, weights.parent) is None
    splits = {"train": genes_of(TRAIN, 1), "valid": genes_of(VALID, 2)}
    worker = Worker(
        config,
        info_of(config, weights),
        0,
        CPU,
        {name: [len(genes.label)] for name, genes in splits.items()},
        {name: WorkerShard.of(genes) for name, genes in splits.items()},
    )
    fit = NetworkFit(worker, start_of(config), weights)
    assert fit._online is None
    assert len(fit._optimizer.param_groups) == 1
    assert len(train(fit, 1)) == 1
