from pathlib import Path

import pytest
from toy_embed import store_manifest
from toy_models import columns, sentence, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.data.rows import PromoterRows
from raygenex.embed import run as run_module
from raygenex.embed.run import Embedder, embed, plan_embed
from raygenex.errors import CheckpointError
from raygenex.files.parts import write_manifest


@pytest.fixture
def stored(tmp_path):
    """Return a function that gives a configuration beside a store whose backbone was another."""
    write_promoters(tmp_path / "train.h5", columns(6, 20, 0, "T"))

    def make(backbone, **of_store):
        values = {"output": str(tmp_path / "runs"), "data": {"train": str(tmp_path / "train.h5")}}
        config = parse_config(values | {"backbone": {"kind": "hyenadna", **backbone}}, "the test")
        made = parse_config({"backbone": {"kind": "hyenadna", **of_store}}, "the test").backbone.origin()
        splits = open_splits(config.data, ("train",))
        manifest = store_manifest(
            backbone=made,
            window=20,
            bin_size=config.embed.bin_size,
            shape=(1, 4),
            fingerprints={"train": splits["train"].fingerprints},
            rows={"train": 6},
        )
        write_manifest(config.store, manifest)
        return config

    return make


@pytest.mark.parametrize("other", [{"seed": 1}, {"d_model": 4}, {"n_layer": 1}])
def test_a_plan_refuses_the_store_of_other_random_weights_as_the_work_does(stored, other):
    config = stored({}, **other)
    for refused in (lambda: plan_embed(config, force=False), lambda: embed(config)):
        with pytest.raises(CheckpointError, match="was made from other backbone weights: pass --force") as info:
            refused()
        sentence(info)
    assert plan_embed(config, force=True).startswith("embed: 6 of 6 genes to do")


@pytest.fixture
def in_process(monkeypatch):
    """Embed without Ray."""

    def embed_gaps(config, splits, gaps, weights_sha256, total):
        embedder = Embedder(config.store, config.embed.model_dump(mode="json"), weights_sha256)
        for name, ranges in gaps.items():
            rows = PromoterRows(tuple(splits[name].files), splits[name].window, name)
            for start, stop in ranges:
                embedder(rows.piece(start, stop).read())

    monkeypatch.setattr(run_module, "_embed_gaps", embed_gaps)


@pytest.mark.usefixtures("in_process")
def test_force_embeds_again_what_is_there(tmp_path):
    write_promoters(tmp_path / "train.h5", columns(6, 20, 0, "T"))
    values = {"output": str(tmp_path / "runs"), "data": {"train": str(tmp_path / "train.h5")}}
    config = parse_config(values | {"backbone": {"kind": "hyenadna", "d_model": 4, "n_layer": 1}}, "the test")
    assert (embed(config).embedded, embed(config).embedded) == (6, 0)
    (shard,) = Path(config.store).rglob("*.parquet")
    first = shard.read_bytes()
    # Its end is whole, so that nothing but --force looks at what is in it.
    shard.write_bytes(b"other" + first[5:])
    assert embed(config).text().endswith("already, nothing to do")
    assert plan_embed(config, force=True).endswith(
        "6 of 6 genes to do into " + config.store + " (store found, to be replaced)"
    )
    (Path(config.store) / "mine.txt").touch()
    again = embed(config, force=True)
    assert (Path(config.store) / "mine.txt").exists(), "it is not the store's"
    assert (again.embedded, again.reused) == (6, 0)
    assert again.text().startswith("embeddings: 6 genes embedded, ")
    assert shard.read_bytes() == first
    assert plan_embed(config, force=False).startswith("embed: 0 of 6 genes")


def test_a_plan_says_that_weights_of_another_place_are_looked_at_later(stored):
    later = "; the weights are compared with the store's when it runs"
    assert plan_embed(stored({"weights": "here"}, weights="there"), force=False).endswith(f"(store found){later}")
    assert plan_embed(stored({"weights": "here"}, seed=1), force=False).endswith(later)
    assert plan_embed(stored({"seed": 1}, seed=1), force=False).endswith("(store found)")
