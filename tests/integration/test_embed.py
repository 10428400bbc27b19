"""The embedding job on Ray: right numbers, exactly once, resumable, and refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from toy_embed import EMBED, HYENA

from raygenex.config.run import RunConfig
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.data.rows import PromoterRows
from raygenex.data.source import rows_dataset
from raygenex.embed.hyenadna.pooling import pool_bins
from raygenex.embed.hyenadna.weights import build_backbone
from raygenex.embed.run import embed
from raygenex.embed.store import open_store, read_manifest
from raygenex.errors import CheckpointError, ClusterError, DataError

pytestmark = pytest.mark.usefixtures("ray_cluster")


def stored(config: RunConfig, split: str) -> dict[str, np.ndarray]:
    rows = open_store(config.store, split)
    parts = [piece.read() for piece in rows.pieces(0, rows.count, 64)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture
def config(make_config: Callable[..., RunConfig], finished_store: Path) -> RunConfig:
    """The configuration of a finished store, on a copy of its own."""
    made = make_config(backbone=HYENA, embed=EMBED)
    shutil.copytree(finished_store, made.store)
    return made


def shard_times(config: RunConfig) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(config.store).rglob("*.parquet")}


def test_store_holds_what_the_backbone_computes_gene_by_gene(config: RunConfig, promoters: Path):
    found = stored(config, "valid")
    expected = read_rows(inspect(str(promoters / "valid.h5")), 0, 81)
    backbone = build_backbone(config.backbone, 200)
    with torch.inference_mode():
        one_by_one = [
            pool_bins(backbone.embed_bases(torch.from_numpy(codes[None])), 32, "mean")[0].numpy()
            for codes in expected["sequence"]
        ]
    # Half precision keeps 11 bits.
    np.testing.assert_allclose(found["sequence"], np.stack(one_by_one), rtol=2**-10, atol=1e-5)
    assert found["gene_id"].tolist() == expected["gene_id"].tolist()
    np.testing.assert_array_equal(found["halflife"], expected["halflife"])
    np.testing.assert_array_equal(found["label"], expected["label"])


def test_second_run_embeds_nothing_and_a_third_only_what_is_missing(config: RunConfig):
    before = stored(config, "train")
    times = shard_times(config)
    assert embed(config).embedded == 0
    assert shard_times(config) == times

    removed = Path(config.store, "split=train", "rows-00000032-00000064.parquet")
    removed.unlink()
    again = embed(config)
    assert (again.embedded, again.reused) == (32, 249)
    after = stored(config, "train")
    assert {path: time for path, time in shard_times(config).items() if path != str(removed)} == {
        path: time for path, time in times.items() if path != str(removed)
    }
    assert len(set(after["gene_id"])) == len(after["gene_id"]) == 160
    for name, column in before.items():
        np.testing.assert_array_equal(after[name], column)


def test_shards_are_plain_parquet_with_tensors(config: RunConfig):
    table = pq.read_table(next(Path(config.store, "split=test").glob("*.parquet")), partitioning=None)
    assert str(table.schema.field("embedding").type).startswith("extension<arrow.fixed_shape_tensor")
    assert table["embedding"].combine_chunks().to_numpy_ndarray().dtype == np.float16
    manifest = read_manifest(config.store)
    assert manifest is not None
    assert manifest.complete
    assert manifest.rows == {"train": 160, "valid": 81, "test": 40}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"backbone": {**HYENA, "seed": 2}}, "backbone weights"),
        ({"embed": {**EMBED, "bin_size": 64}}, "bin size"),
        ({"data": {"window": 100}}, "window"),
    ],
)
def test_store_made_otherwise_is_refused_by_name(
    config: RunConfig, make_config: Callable[..., RunConfig], changed: dict, word: str
):
    other = make_config(**{"backbone": HYENA, "embed": EMBED, **changed})
    assert other.store == config.store
    with pytest.raises(CheckpointError, match=f"made from other .*{word}") as refused:
        embed(other)
    assert "\n" not in str(refused.value)


def test_bad_promoter_found_by_a_reader_is_one_sentence(
    make_config: Callable[..., RunConfig], promoters: Path, tmp_path: Path
):
    broken = tmp_path / "broken.h5"
    broken.write_bytes((promoters / "train.h5").read_bytes())
    with h5py.File(broken, "r+") as file:
        file["promoter"][70, 11] = [True, True, False, False]
    config = make_config(backbone=HYENA, embed=EMBED | {"max_actors": 1}, data={"train": str(broken)})
    with pytest.raises(DataError, match="SIM") as refused:
        embed(config)
    assert type(refused.value) is DataError
    assert "broken.h5" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_dataset_knows_rows_and_schema_before_reading(promoters: Path):
    rows = PromoterRows((inspect(str(promoters / "train.h5")), inspect(str(promoters / "valid.h5"))), 200, "train")
    dataset = rows_dataset(rows)
    assert dataset.count() == 241
    assert set(dataset.schema().names) == {"gene_id", "row", "sequence", "halflife", "label", "split"}
    read = dataset.take_batch(241, batch_format="numpy")
    assert read["row"].tolist() == list(range(241))
    assert read["sequence"].dtype == np.uint8
    assert read["sequence"].shape == (241, 200)


def test_force_keeps_a_store_that_the_cluster_cannot_make_again(config: RunConfig):
    before = shard_times(config)
    greedy = config.model_copy(update={"embed": config.embed.model_copy(update={"min_actors": 99, "max_actors": 99})})
    with pytest.raises(ClusterError, match=r"embed\.min_actors"):
        embed(greedy, force=True)
    assert shard_times(config) == before
    assert len(stored(config, "valid")["row"]) == 81
