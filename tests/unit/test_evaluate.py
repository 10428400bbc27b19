"""Which table a model is measured on: its embeddings where a store has them, otherwise the bases."""

from pathlib import Path

import pytest
from toy_embed import store_manifest
from toy_models import columns, save_toy, sentence, small_config, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.rows import PromoterRows
from raygenex.errors import CheckpointError
from raygenex.evaluate import evaluate, open_rows
from raygenex.files.fingerprint import fingerprint
from raygenex.files.parts import write_manifest
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo, read_info

WEIGHTS = "f" * 64
BINS = InputInfo(kind="embedding", length=3, channels=8, window=20)


@pytest.fixture
def model(tmp_path):
    """Return a configuration of valid genes and the description of a model that reads embeddings of them."""
    valid = write_promoters(tmp_path / "valid.h5", columns(4, 20))
    values = small_config(data={"valid": valid}).dump() | {"output": str(tmp_path), "backbone": {"kind": "hyenadna"}}
    config = parse_config(values, "test")
    save_toy(tmp_path / "checkpoint", config, BINS, backbone_sha256=WEIGHTS)
    return config, read_info(tmp_path / "checkpoint"), fingerprint(valid)


def manifest(valid, **changes):
    made = {"weights_sha256": WEIGHTS, "window": 20, "shape": (3, 8)}
    made |= {"fingerprints": {"valid": [valid]}, "rows": {"valid": 4}}
    return store_manifest(**made | changes)


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({}, True),
        ({"complete": False}, False),
        ({"weights_sha256": "e" * 64}, False),
        ({"fingerprints": {"valid": ["0" * 64]}}, False),
        ({"fingerprints": {}}, False),
        # Of the same backbone, but not what the model was trained on.
        ({"bin_size": 4}, False),
        ({"pooling": "max"}, False),
        ({"window": 10}, False),
    ],
)
def test_a_store_counts_only_if_it_was_made_as_the_model_reads(model, tmp_path, monkeypatch, changes, used):
    config, info, valid = model
    opened = []
    monkeypatch.setattr("raygenex.evaluate.open_store", lambda store, split: opened.append((store, split)))
    store = tmp_path / "run" / "embeddings"
    store.mkdir(parents=True)
    write_manifest(str(store), manifest(valid, **changes))
    prints, rows, _ = open_rows(config, "valid", info)
    assert prints == [valid]
    assert opened == ([(str(store), "valid")] if used else [])
    assert isinstance(rows, PromoterRows) != used


def test_a_backbone_that_is_gone_is_named_before_a_cluster_is_started(model, tmp_path, monkeypatch):
    config = model[0]
    folder = Path(config.folder, "checkpoint")
    folder.parent.mkdir(parents=True)
    save_toy(folder, config, BINS, backbone_sha256=WEIGHTS)

    def start(*args):
        raise AssertionError("the cluster was started")

    monkeypatch.setattr("raygenex.evaluate.score_rows", start)
    monkeypatch.setattr("raygenex.evaluate.Tracker", lambda config: None)
    with pytest.raises(CheckpointError) as info:
        evaluate(config, "valid")
    sentence(info, folder / "backbone")
    # A store needs no backbone.
    monkeypatch.setattr("raygenex.evaluate.open_rows", lambda *args: (["print"], object(), None))
    with pytest.raises(AssertionError, match="was started"):
        evaluate(config, "valid")


def test_a_changed_table_of_features_is_measured_again(tmp_path, monkeypatch):
    table = tmp_path / "marks.tsv"

    def write(first):
        lines = [f"G{number}\t{first if number == 0 else number}" for number in range(8)]
        table.write_text("\n".join(["gene_id\tmark", *lines]) + "\n")

    def score(rows, checkpoint, config, what):
        (piece,) = rows.pieces(0, rows.count, 64)
        part = piece.read()
        return part | {"probability": Predictor(checkpoint).score(part["sequence"], part["halflife"])}

    write(0.5)
    data = {
        "valid": write_promoters(tmp_path / "valid.h5", columns(8, 20)),
        "features": ["UTR5LEN", {"name": "mark", "table": str(table)}],
    }
    values = small_config(evaluate={"bootstrap": 100}).dump() | {"output": str(tmp_path), "name": "toy", "data": data}
    config = parse_config(values, "test")
    reads = InputInfo(kind="bases", length=20, channels=4, window=20, features=("UTR5LEN", "mark"))
    save_toy(Path(config.checkpoint), config, reads)
    monkeypatch.setattr("raygenex.evaluate.score_rows", score)
    monkeypatch.setattr("raygenex.evaluate.Tracker", lambda config: None)
    monkeypatch.setattr("raygenex.evaluate._track", lambda *_: None)
    monkeypatch.setattr("raygenex.drawing.style.save", lambda *_: None)
    assert [evaluate(config, "valid").reused for _ in range(2)] == [False, True]
    write(7.5)
    assert not evaluate(config, "valid").reused
