"""Stores, checkpoints, weights, explanations and run states with anything at all in their files."""

import json
import random
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save_file
from toy_embed import store_manifest
from toy_fuzz import LONG, answer, every_seed, examples, odd, within
from toy_models import columns, save_toy, small_config

from raygenex.embed import store as stores
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import load_backbone, save_backbone
from raygenex.embed.shards import read_gene_ids, write_shard
from raygenex.explain import parts
from raygenex.train.checkpoint import InputInfo, load_checkpoint, read_info, read_tensors
from raygenex.train.state import read_state

ODD = odd(
    8,
    [
        "../../x",
        "/etc/passwd",
        "\x00",
        [],
        {},
        [[]],
        {"a": 1},
        [1, 2],
        [-1, 4],
        10**30,
        "float9",
        "object",
        "<U5",
        "V0",
    ],
)


def changed(values):
    """Draw JSON of some values with a few of them, at any depth, changed, removed or added."""

    def paths(tree, start=()):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield (*start, key)
            if isinstance(value, dict | list):
                yield from paths(value, (*start, key))

    def make(changes):
        tree = json.loads(json.dumps(values))
        for path, value, remove in changes:
            place = tree
            try:
                for key in path[:-1]:
                    place = place[key]
                if remove:
                    del place[path[-1]]
                else:
                    place[path[-1]] = value
            except (KeyError, IndexError, TypeError):
                continue
        return json.dumps(tree).encode()

    changes = st.lists(
        st.tuples(st.sampled_from([*paths(values), ("more",)]), ODD, st.sampled_from([False, False, True])),
        min_size=1,
        max_size=3,
    )
    return st.one_of(
        changes.map(make),
        changes.map(make),
        st.binary(max_size=30),
        ODD.map(lambda value: json.dumps(value).encode()),
        st.just(b"[" * 100_000),
        st.just(b"\xef\xbb\xbf{}"),
        st.just(b'{"schema_version": ' + b"9" * 5000 + b"}"),
    )


MANIFEST = store_manifest(fingerprints={"train": ["f1"]}, rows={"train": 5}).model_dump(mode="json")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    genes = columns(5, 6) | {"row": np.arange(5)}
    write_shard(str(folder), "train", genes, np.zeros((5, 3, 4), np.float16))
    return folder


def read_rows(rows):
    return [piece.read() for piece in rows.pieces(0, rows.count, 2)]


@examples(40)
@given(changed(MANIFEST))
def test_manifest_of_a_store(store, data):
    (store / "manifest.json").write_bytes(data)
    rows = answer(lambda: stores.open_store(str(store), "train"))
    if not isinstance(rows, Exception):
        answer(lambda: read_rows(rows))


COLUMN = st.sampled_from(
    [
        pa.array(list("abcde")),
        pa.array([1, 2, 3, 4, 5]),
        pa.array([None] * 5, pa.int64()),
        pa.array([[1.0]] * 5),
        pa.array([{"a": 1}] * 5),
        pa.array([b"\xff"] * 5),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((5, 8), np.float32)),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((5, 3, 4), np.float16)),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((5, 2, 4), np.float64)),
        pa.array(["a"] * 5).dictionary_encode(),
    ]
)


@examples(40)
@given(
    st.dictionaries(st.sampled_from(["gene_id", "row", "halflife", "label", "embedding"]), COLUMN, max_size=5),
    st.booleans(),
)
def test_shards_of_other_columns(tmp_path_factory, store, found, keep):
    folder = tmp_path_factory.mktemp("shard")
    path = folder / "split=train" / "rows-00000000-00000005.parquet"
    path.parent.mkdir()
    good = pq.read_table(next((store / "split=train").glob("*.parquet"))) if keep else None
    named = {name: good[name] for name in good.column_names} if keep else {}
    table = pa.table(named | found) if named or found else pa.table({"x": [1] * 5})
    pq.write_table(table, path)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    rows = answer(lambda: stores.open_store(str(folder), "train"))
    if not isinstance(rows, Exception):
        answer(lambda: read_rows(rows), path)
        answer(lambda: [read_gene_ids(shard) for shard in rows.shards], path)


SHARDS = """
import json, random
from pathlib import Path
from raygenex.embed import store as stores
from raygenex.embed.shards import read_gene_ids
good, folder = Path(sys.argv[1]), Path(sys.argv[2])
rows = stores.open_store(str(folder), "train")
shard = Path(rows.shards[0].path)
data = good.read_bytes()
def one(seed):
    rng = random.Random(seed)
    kind = rng.randrange(3)
    new = bytearray(data)
    if kind == 0:
        new = new[: rng.randrange(len(new))]
    else:
        for _ in range(rng.choice([1, 1, 2, 8])):
            # What describes the values stands at the end.
            new[-1 - rng.randrange(min(len(new), rng.choice([1500, len(new)])))] = rng.randrange(256)
    shard.write_bytes(new)
    answer(lambda: [piece.read() for piece in rows.pieces(0, rows.count, 2)], shard)
    answer(lambda: [read_gene_ids(one) for one in rows.shards], shard)
"""


def test_bytes_of_a_shard_changed_or_cut_off(tmp_path, store):
    good = next((store / "split=train").glob("*.parquet"))
    (tmp_path / "split=train").mkdir()
    (tmp_path / "split=train" / good.name).write_bytes(good.read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    assert every_seed(1500, SHARDS, LONG or 60, "/pyarrow/", good, tmp_path) == []


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "checkpoint"
    save_toy(folder, small_config(), InputInfo(kind="bases", length=20, channels=4, window=20))
    return folder


@pytest.fixture(scope="module")
def described(checkpoint):
    return (checkpoint / "checkpoint.json").read_bytes(), (checkpoint / "model.safetensors").read_bytes()


@examples(40)
@given(st.data())
def test_description_of_a_checkpoint(checkpoint, described, data):
    info, weights = described
    (checkpoint / "model.safetensors").write_bytes(weights)
    (checkpoint / "checkpoint.json").write_bytes(data.draw(changed(json.loads(info))))
    found = answer(lambda: read_info(checkpoint))
    if not isinstance(found, Exception):
        answer(lambda: found.run_config)
        answer(lambda: found.reads_dna)
    answer(lambda: load_checkpoint(checkpoint))


def test_a_description_of_a_giant_takes_no_memory(checkpoint, described):
    info, weights = described
    values = json.loads(info)
    (checkpoint / "model.safetensors").write_bytes(weights)
    for section, key, value in (
        ("model", "width", 10**9),
        ("model", "dense", [10**9, 10**9]),
        ("inputs", "length", 10**15),
    ):
        changed_info = json.loads(info)
        place = changed_info["inputs"] if section == "inputs" else changed_info["config"][section]
        assert key in place
        place[key] = value
        (checkpoint / "checkpoint.json").write_text(json.dumps(changed_info))
        assert isinstance(answer(lambda: load_checkpoint(checkpoint)), Exception), key
    (checkpoint / "checkpoint.json").write_text(json.dumps(values))
    load_checkpoint(checkpoint)


def flipped(data, seed, head):
    """Return bytes with some changed, mostly near the beginning, or cut off."""
    rng = random.Random(seed)
    new = bytearray(data)
    if rng.randrange(4) == 0:
        return bytes(new[: rng.randrange(len(new))])
    for _ in range(rng.choice([1, 1, 2, 8])):
        new[rng.randrange(rng.choice([8, head, len(new)]))] = rng.randrange(256)
    return bytes(new)


@examples(40)
@given(st.integers(0, 2**32))
def test_weights_of_a_checkpoint(checkpoint, described, seed):
    info, weights = described
    (checkpoint / "checkpoint.json").write_bytes(info)
    (checkpoint / "model.safetensors").write_bytes(flipped(weights, seed, 1500))
    answer(lambda: load_checkpoint(checkpoint))


TENSORS = """
from pathlib import Path
import safetensors.torch
from raygenex.train.checkpoint import read_tensors
limit()
for path in sys.argv[1:]:
    print(answer(lambda: read_tensors(Path(path)), path))
"""
PARTS = """
from pathlib import Path
from raygenex.explain import parts
limit()
print(answer(lambda: parts.read_parts(Path(sys.argv[1]))))
"""


def test_a_claimed_header_takes_no_memory(tmp_path):
    paths = []
    for size in (2**63, 2**40, 2**27, 10_000_000):
        paths.append(tmp_path / f"{size}.safetensors")
        paths[-1].write_bytes(struct.pack("<Q", size) + b"{")
    said = within(200, TENSORS, *paths).splitlines()
    assert len(said) == len(paths)
    assert all("damaged" in line for line in said), said


@pytest.mark.parametrize(
    "shape",
    [[10**9, 10**9], [2**62, 4], [-1, 4], [0], [2**64]],
)
def test_claimed_tensors_take_no_memory(tmp_path, shape):
    head = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 16]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(16))
    assert "damaged" in str(answer(lambda: read_tensors(path)))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    save_backbone(random_hyenadna(8, 2, 32, 0), folder)
    return folder


@examples(30)
@given(st.data(), st.integers(0, 2**32))
@example(None, 0)
def test_weights_of_a_backbone(backbone, tmp_path_factory, data, seed):
    folder = tmp_path_factory.mktemp("hyena")
    config, weights = (backbone / "config.json").read_bytes(), (backbone / "model.safetensors").read_bytes()
    if data is not None:
        config = data.draw(st.one_of(st.just(config), changed(json.loads(config))))
    (folder / "config.json").write_bytes(config)
    (folder / "model.safetensors").write_bytes(flipped(weights, seed, 3000) if seed % 2 else weights)
    answer(lambda: load_backbone(str(folder), None), folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"embed_dropout": -1},
        {"n_layer": 10**9},
        {"num_inner_mlps": 10**12},
        {"d_model": 2**70},
        {"max_seq_len": 10**15},
    ],
    ids=str,
)
def test_settings_of_no_backbone(backbone, tmp_path, settings):
    values = json.loads((backbone / "config.json").read_text()) | settings
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "model.safetensors").write_bytes((backbone / "model.safetensors").read_bytes())
    assert next(iter(settings)) in str(answer(lambda: load_backbone(str(tmp_path), None), tmp_path))


@examples(20)
@given(st.integers(0, 2**32))
def test_weights_of_a_ckpt(backbone, tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("ckpt") / "weights.ckpt"
    torch.save({"state_dict": {f"model.{k}": v for k, v in random_hyenadna(8, 2, 32, 0).state_dict().items()}}, path)
    path.write_bytes(flipped(path.read_bytes(), seed, 5000))
    answer(lambda: load_backbone(str(path), None), path)


@examples(20)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "backbone.embeddings.word_embeddings.weight",
                "backbone.layers.0.mixer.filter_fn.pos_emb.z",
                "backbone.layers.0.mlp.fc1.weight",
                "backbone.x",
                3,
                "a",
            ]
        ),
        st.sampled_from(
            [
                torch.zeros(2),
                torch.zeros(()),
                torch.zeros(16, 8),
                torch.zeros(1, 5, 5),
                3,
                "x",
                None,
                torch.zeros(2, dtype=torch.complex64),
            ]
        ),
        max_size=5,
    )
)
def test_a_ckpt_of_other_tensors(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("ckpt") / "weights.ckpt"
    torch.save(state, path)
    answer(lambda: load_backbone(str(path), None), path)
    tensors = {str(name): value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    save_file(tensors, path.with_name("model.safetensors"))
    answer(lambda: read_tensors(path.with_name("model.safetensors")))


EXPLAINED = parts.ExplanationManifest(
    package_version="1",
    checkpoint="/runs/a/checkpoint",
    checkpoint_sha256="a" * 64,
    run_name="a",
    model_kind="cnn_dna_only",
    split="valid",
    genes=4,
    window=24,
    window_first=-12,
    threshold=0.5,
    confidence=0.95,
    fingerprints=["f"],
    methods={"saliency": parts.MethodRecord(complete=True, genes=4)},
).model_dump(mode="json")


@examples(30)
@given(changed(EXPLAINED))
def test_manifest_of_an_explanation(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("explain")
    (folder / "manifest.json").write_bytes(data)
    answer(lambda: parts.read_manifest(folder))


@examples(30)
@given(st.integers(0, 2**32))
def test_parts_of_an_explanation(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("parts")
    path = parts.write_part(folder, 0, {"gene_id": np.array(["A", "B"], dtype=object), "attribution": np.ones((2, 3))})
    path.write_bytes(flipped(path.read_bytes(), seed, 400))
    answer(lambda: parts.read_parts(folder), folder)
    answer(lambda: parts.damaged_parts(folder))
    answer(lambda: parts.column_names(folder), folder)


def test_a_part_that_claims_a_size_takes_no_memory(tmp_path):
    import io
    import zipfile

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "part-00000000-00000002.npz", "w") as file:
        file.writestr("gene_id.npy", head.getvalue() + bytes(80))
    code = PARTS
    assert "damaged" in within(300, code, tmp_path)


@examples(30)
@given(changed({"identity": "a", "run_id": "b", "finished": True, "trained": False}))
def test_state_of_a_run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("state")
    (folder / "run.json").write_bytes(data)
    answer(lambda: read_state(folder))
