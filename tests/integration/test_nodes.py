"""Work spread over the nodes of a cluster, one of which dies in the middle.

Each stage also runs undisturbed on the same cluster, and must give the same result with a node killed.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from toy_cluster import Node, ToyCluster
from toy_commands import command, last_epoch, wait_for, write

from raygenex.config.run import RunConfig
from raygenex.embed.shards import read_gene_ids
from raygenex.embed.store import list_shards
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import CheckpointInfo, read_info

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EPOCHS = 20
TRAIN = {"epochs": EPOCHS, "global_batch_size": 16, "learning_rate": 1e-4, "workers": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    with ToyCluster(cpus=2) as running:
        yield running


@pytest.fixture
def nodes(cluster: ToyCluster) -> Iterator[Callable[[int], list[Node]]]:
    """Start nodes of two CPUs beside the head; those that are left end with the test."""
    started: list[Node] = []

    def start(count: int) -> list[Node]:
        for _ in range(count):
            started.append(cluster.add_node(cpus=2))
        return started

    yield start
    for node in started:
        if node in cluster.nodes:
            cluster.kill(node)


def info(config: RunConfig) -> CheckpointInfo:
    return read_info(Path(config.folder, "checkpoint"))


def logged_epochs(config: RunConfig) -> list[int]:
    """Return the epochs that the one MLflow run of a configuration has, which must have finished."""
    client = MlflowClient(tracking_uri(config))
    runs = client.search_runs([client.get_experiment_by_name("raygenex").experiment_id])
    (run,) = [run for run in runs if run.info.run_name == config.name]
    assert run.info.status == "FINISHED"
    return sorted(entry.step for entry in client.get_metric_history(run.info.run_id, "epoch_valid_auroc"))


def test_embedding_over_two_nodes_survives_the_loss_of_one(
    make_config: Callable[..., RunConfig],
    tmp_path: Path,
    cluster: ToyCluster,
    nodes: Callable[[int], list[Node]],
):
    """Every gene is embedded exactly once, and every shard is the same to the byte."""
    (node,) = nodes(1)
    configs = [
        make_config(
            name=name,
            backbone={"kind": "hyenadna", "d_model": 128, "n_layer": 4},
            embed={"bin_size": 50, "batch_size": 2, "rows_per_file": 4, "min_actors": 2, "max_actors": 2}
            # A node has room for one actor.
            | {"cpus_per_actor": 1.5},
            cluster={"address": cluster.address},
        )
        for name in ("undisturbed", "killed")
    ]
    with command("embed", write(configs[0], tmp_path)) as process:
        process.finish()
    with command("embed", write(configs[1], tmp_path)) as process:
        wait_for("actors on both nodes", lambda: all(cluster.actors("MapWorker").values()), process)
        wait_for("first shards", lambda: len(list(Path(configs[1].store).glob("split=*/*.parquet"))) >= 4, process)
        assert all(cluster.actors("MapWorker").values())
        cluster.kill(node)
        process.finish()
    for split, genes in (("train", 160), ("valid", 81), ("test", 40)):
        undisturbed, killed = (list_shards(config.store, split) for config in configs)
        ids = [gene for shard in killed for gene in read_gene_ids(shard)]
        assert len(ids) == len(set(ids)) == genes
        assert [(shard.start, shard.stop) for shard in killed] == [(shard.start, shard.stop) for shard in undisturbed]
        assert all(
            Path(one.path).read_bytes() == Path(other.path).read_bytes()
            for one, other in zip(killed, undisturbed, strict=True)
        )


@pytest.fixture(scope="module")
def undisturbed(
    config_in: Callable[[Path], Callable[..., RunConfig]], tmp_path_factory: pytest.TempPathFactory, cluster: ToyCluster
) -> CheckpointInfo:
    """A training over two nodes that nothing happens to; what a worker takes does not change its numbers."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = config_in(folder)(
        name="undisturbed", train=TRAIN | {"cpus_per_worker": 1.5}, cluster={"address": cluster.address}
    )
    node = cluster.add_node(cpus=2)
    with command("train", write(config, folder)) as process:
        process.finish()
    cluster.kill(node)
    return info(config)


def test_training_over_two_nodes_survives_the_loss_of_one(
    make_config: Callable[..., RunConfig],
    tmp_path: Path,
    cluster: ToyCluster,
    undisturbed: CheckpointInfo,
    nodes: Callable[[int], list[Node]],
):
    """A third node takes the lost worker's place, and the numbers of all epochs are the same to the last digit."""
    nodes(2)
    # A node has room for one worker.
    config = make_config(name="killed", train=TRAIN | {"cpus_per_worker": 1.5}, cluster={"address": cluster.address})
    with command("train", write(config, tmp_path)) as process:
        wait_for("third epoch", lambda: last_epoch(config) >= 3, process)
        where = cluster.actors("RayTrainWorker")
        assert sorted(where.values()) == [0, 1, 1]
        cluster.kill(next(node for node in cluster.nodes[1:] if where[node.name]))
        errors = process.finish()
    assert "going on from the last checkpoint" in errors
    assert json.dumps(info(config).history) == json.dumps(undisturbed.history)
    assert info(config).metrics == undisturbed.metrics
    assert logged_epochs(config) == list(range(EPOCHS))


def test_an_elastic_training_goes_on_with_the_workers_that_are_left(
    make_config: Callable[..., RunConfig],
    tmp_path: Path,
    cluster: ToyCluster,
    undisturbed: CheckpointInfo,
    nodes: Callable[[int], list[Node]],
):
    """Without a node to replace the lost one, one worker trains the rest, on CPUs that it has to itself."""
    (node,) = nodes(1)
    # The workers take every CPU, so nothing is left to count reads by.
    train = TRAIN | {"cpus_per_worker": 2, "min_workers": 1}
    config = make_config(name="killed", train=train, cluster={"address": cluster.address})
    with command("train", write(config, tmp_path)) as process:
        wait_for("third epoch", lambda: last_epoch(config) >= 3, process)
        assert cluster.actors("RayTrainWorker") == {"head": 1, node.name: 1}
        cluster.kill(node)
        errors = process.finish()
    assert "training goes on with 1 worker" in errors
    killed = info(config)
    assert len(killed.history) == len(undisturbed.history) == EPOCHS
    # Up to the loss the two are one training, but for the threads of a worker; then the genes come in another order.
    assert killed.history[:3] == [pytest.approx(epoch, rel=1e-4) for epoch in undisturbed.history[:3]]
    assert killed.history[-1]["train_loss"] == pytest.approx(undisturbed.history[-1]["train_loss"], abs=0.05)
    assert killed.metrics["auroc"] == pytest.approx(undisturbed.metrics["auroc"], abs=0.05)
    assert logged_epochs(config) == list(range(EPOCHS))
