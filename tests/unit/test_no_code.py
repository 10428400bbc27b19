"""No file that raygenex loads can run code: read from the source, and tried with files that want to."""

import ast
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import save_file
from toy_models import columns, save_toy, sentence, small_config, write_promoters

import raygenex
from raygenex.config.load import load_config, parse_config
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import load_backbone, save_backbone
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.explain import parts
from raygenex.files import locate
from raygenex.predict.predictor import Predictor
from raygenex.registry import register as models
from raygenex.registry.register import fetch_checkpoint
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import WEIGHTS, InputInfo, checkpoint_sha256, load_checkpoint
from raygenex.train.network.epochs import STATE, NetworkFit

PACKAGE = Path(raygenex.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

ALLOWED = {
    ("embed/hyenadna/ckpt.py", "import pickle"): "names the error of a refused object, and loads nothing by it",
    ("train/network/epochs.py", "import pickle"): "names the error of a refused object, and loads nothing by it",
    ("tune/ray_private.py", "import pickle"): "reads the error that Ray Tune, in this process, wrote of a trial",
    ("tune/ray_private.py", "pickle.loads"): "the same; members of a Ray cluster pickle for one another anyway",
    ("cluster/fork_server.py", "import_module"): "the packages that `warm_workers` names",
    ("extras.py", "import_module"): "a package of an extra, by its full name in raygenex's own code",
    ("models/booster.py", "load_model"): "XGBoost's own binary JSON, from the bytes of a tensor",
}
"""What may stand where, and why."""

MODULES = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal", "_pickle", "pickle5", "skops", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "import_module"}
ATTRIBUTES = {
    *(
        "load_model",
        "unsafe_load",
        "full_load",
        "load_all",
        "unsafe_load_all",
        "read_pickle",
        "to_pickle",
        "extractall",
    ),
    *("unpack_archive", "system", "popen", "import_module", "from_pretrained", "UnsafeLoader", "FullLoader", "Loader"),
}


def suspicions(source: Path) -> set[str]:
    """Return what in a module could run what a file says."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {f"import {name}" for name in names if name.split(".")[0] in MODULES}
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            found.add(node.attr)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in CALLS:
            found.add(called)
        if called.split(".")[0] in MODULES:
            found.add(called)
        if called == "torch.load" and keywords.get("weights_only") != "True":
            found.add("torch.load without weights_only")
        if (
            called in ("np.load", "numpy.load")
            and keywords.get("allow_pickle") != "False"
            and "mmap_mode" not in keywords
        ):
            found.add("np.load with pickle")
        if called == "yaml.load":
            found.add("yaml.load")
        if keywords.get("trust_remote_code", "False") != "False" or keywords.get("allow_pickle", "False") != "False":
            found.add("trusts what it loads")
        if keywords.get("shell", "False") != "False":
            found.add("a shell")
    return found


@pytest.mark.parametrize("source", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_no_module_runs_what_a_file_says(source):
    here = str(source.relative_to(PACKAGE))
    assert suspicions(source) <= {what for where, what in ALLOWED if where == here}


def test_what_is_allowed_is_there():
    for where, what in ALLOWED:
        assert what in suspicions(PACKAGE / where), (where, what)


def test_the_search_finds_what_it_must(tmp_path):
    lines = {
        "import joblib": "import joblib",
        "from cloudpickle import loads": "import cloudpickle",
        "torch.load(p)": "torch.load without weights_only",
        "torch.load(p, weights_only=False)": "torch.load without weights_only",
        "np.load(p)": "np.load with pickle",
        "np.load(p, allow_pickle=True)": "np.load with pickle",
        "yaml.load(t, Loader=L)": "yaml.load",
        "yaml.unsafe_load(t)": "unsafe_load",
        "eval(t)": "eval",
        "AutoModel.from_pretrained(p, trust_remote_code=True)": "trusts what it loads",
        "mlflow.pyfunc.load_model(u)": "load_model",
        "tar.extractall(p)": "extractall",
        "subprocess.run(c, shell=True)": "a shell",
    }
    for number, (line, what) in enumerate(lines.items()):
        path = tmp_path / f"{number}.py"
        path.write_text(line)
        assert what in suspicions(path), line


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def marker(tmp_path):
    """What stands there only if a hostile file was obeyed."""
    path = tmp_path / "obeyed"
    yield path
    assert not path.exists(), "code of the file was run"


def test_the_bomb_works(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "obeyed")))
    assert (tmp_path / "obeyed").is_dir()


@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_that_are_a_pickle(tmp_path, marker, protocol):
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": Bomb(marker)}, protocol))
    with pytest.raises(CheckpointError, match="can run code"):
        load_backbone(str(path), None)
    torch.save({"state_dict": {"backbone.x": Bomb(marker)}}, path)
    with pytest.raises(CheckpointError, match="can run code"):
        load_backbone(str(path), None)


def test_the_state_of_a_training_that_is_a_pickle(tmp_path, marker):
    model = torch.nn.Linear(2, 1)
    save_file(model.state_dict(), tmp_path / WEIGHTS)
    torch.save({"optimizer": Bomb(marker), "history": []}, tmp_path / STATE)
    with pytest.raises(CheckpointError) as info:
        NetworkFit.resume(SimpleNamespace(model=model, _online=None), tmp_path)
    sentence(info, tmp_path / STATE, "can run code", "train again")


def test_arrays_of_objects_in_an_explanation(tmp_path, marker):
    np.savez(tmp_path / "part-00000000-00000001.npz", gene_id=np.array([Bomb(marker)], dtype=object))
    (part,) = parts.PARTS.parts(tmp_path)
    with pytest.raises(CheckpointError, match="damaged"):
        parts.read_part(part)
    assert parts.damaged_parts(tmp_path) == [part]


def test_a_backbone_with_code_of_its_own(tmp_path, marker):
    save_backbone(random_hyenadna(8, 1, 32, 0), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values |= {"auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, "trust_remote_code": True}
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(marker)!r})\nclass Evil: pass\n")
    (tmp_path / "modeling_hyena.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    assert type(load_backbone(str(tmp_path), None)).__module__ == "raygenex.embed.hyenadna.model"


def test_yaml_that_asks_for_objects(tmp_path, marker):
    path = tmp_path / "a.yaml"
    for text in (f"name: !!python/object/apply:os.mkdir [{marker}]", f"!!python/object/new:os.mkdir [{marker}]"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="not valid YAML"):
            load_config(path)
    path.write_text("name: a\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path, [f"name=!!python/object/apply:os.mkdir [{marker}]"])


def test_a_pickle_in_the_place_of_safetensors(tmp_path, marker):
    folder = tmp_path / "checkpoint"
    save_toy(folder, small_config(), InputInfo(kind="bases", length=20, channels=4, window=20))
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb(marker)))
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


@pytest.fixture
def hostile(tmp_path, marker):
    """A configuration, and a function that registers a model whose loader and pickle run code, with a tag."""
    config = parse_config(small_config().dump() | {"output": str(tmp_path / "runs")}, "test")
    folder = tmp_path / "model"
    checkpoint = folder / "artifacts" / "checkpoint"
    save_toy(checkpoint, config, InputInfo(kind="bases", length=20, channels=4, window=20))
    (folder / "code").mkdir()
    evil = f"import os\nos.mkdir({str(marker)!r})\ndef _load_pyfunc(path): pass\n"
    (folder / "code" / "evil.py").write_text(evil)
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Bomb(marker)))
    (folder / "MLmodel").write_text("flavors:\n  python_function: {loader_module: evil, code: code, data: .}\n")
    (tmp_path / "runs").mkdir()
    client = MlflowClient(tracking_uri(config), tracking_uri(config))
    client.create_registered_model("hostile")

    def register(digest):
        digest = checkpoint_sha256(checkpoint) if digest == "right" else digest
        tags = {} if digest is None else {"raygenex.checkpoint_sha256": digest}
        version = client.create_model_version("hostile", folder.as_uri(), tags=tags)
        return f"models:/hostile/{version.version}"

    return config, register


@pytest.mark.parametrize("number", ["../../x", "1/../../../x", "", "1\n", "²"])
def test_a_version_whose_number_leads_elsewhere(tmp_path, monkeypatch, number):
    config = parse_config(small_config().dump() | {"output": str(tmp_path / "runs")}, "test")
    tags = {"raygenex.checkpoint_sha256": "a" * 64}
    version = SimpleNamespace(name="hostile", version=number, tags=tags)
    monkeypatch.setattr(models, "_resolve", lambda client, model: version)
    with pytest.raises(CheckpointError, match="a number or a tag that raygenex does not write"):
        fetch_checkpoint(config, "models:/hostile@champion")


def test_a_registered_model_with_a_loader_of_its_own(tmp_path, hostile):
    config, register = hostile
    for digest in (None, "", "../../../../x", "a" * 63, "a" * 64):
        with pytest.raises(CheckpointError):
            fetch_checkpoint(config, register(digest))
    assert not any((tmp_path / "runs" / "models").glob("*"))
    assert not (tmp_path / "x").exists()
    # The checkpoint in it is one, and is all that is loaded.
    found = Predictor(fetch_checkpoint(config, register("right")))
    assert found.info.inputs.window == 20


# Files that point to others


def test_an_explanation_cannot_name_folders_outside(tmp_path):
    values = parts.ExplanationManifest(
        **{"package_version": "1", "checkpoint": "a", "checkpoint_sha256": "a", "run_name": "a", "model_kind": "a"},
        **{"split": "valid", "genes": 1, "window": 4, "window_first": 0, "threshold": 0.5, "confidence": 0.9},
        fingerprints=[],
    ).model_dump(mode="json")
    record = parts.MethodRecord().model_dump(mode="json")
    for change in (
        {"methods": {"../../x": record}},
        {"methods": {"/etc": record}},
        {"methods": {"..": record}},
        {"split": "../x"},
    ):
        (tmp_path / "manifest.json").write_text(json.dumps(values | change))
        with pytest.raises(CheckpointError, match="damaged"):
            parts.read_manifest(tmp_path)


@pytest.fixture
def secret(tmp_path):
    """A file that is not the user's to show, of bytes that could be labels."""
    path = tmp_path / "secret"
    path.write_bytes(b"\x00\x01" * 16)
    return path


@pytest.mark.parametrize("way", ["link", "storage", "virtual", "group"])
def test_values_of_another_file(tmp_path, secret, way):
    path = write_promoters(tmp_path / "a.h5", columns(6, 8))
    other = write_promoters(tmp_path / "b.h5", columns(6, 8))
    with h5py.File(path, "a") as handle:
        del handle["label"]
        if way == "link":
            handle["label"] = h5py.ExternalLink(other, "label")
        elif way == "storage":
            handle.create_dataset("label", (6,), "u1", external=[(str(secret), 0, 6)])
        elif way == "virtual":
            virtual = h5py.VirtualLayout((6,), "u1")
            virtual[:] = h5py.VirtualSource(other, "label", (6,))
            handle.create_virtual_dataset("label", virtual)
        else:
            handle["label"] = np.zeros(6, "u1")
            handle["extra"] = h5py.ExternalLink(other, "/")
    with pytest.raises(DataError, match="lie in another file"):
        inspect(path)


FIELDS = ["gene_id", "halflife", "promoter", "label", "chrom", "tss", "strand", "extra", "extra/family"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("way", ["absolute", "relative", "twice"])
def test_a_soft_link_that_passes_another_file(tmp_path, field, way):
    places = {"chrom": np.full(6, "I", object), "tss": np.arange(6), "strand": np.full(6, "+", object)}
    paths = [write_promoters(tmp_path / name, columns(6, 8)) for name in ("a.h5", "b.h5")]
    for path in paths:
        with h5py.File(path, "a") as handle:
            for name, values in (places | {"extra/family": np.arange(6.0)}).items():
                handle[name] = values
    assert inspect(paths[0]).extra == ("family",)
    with h5py.File(paths[0], "a") as handle:
        del handle[field]
        handle["deep/door"] = h5py.ExternalLink(paths[1], "/")
        up = "/deep/" if way == "absolute" or "/" in field else "./deep//"
        handle[field] = h5py.SoftLink(f"{up}door/{field}" if way != "twice" else "/other")
        handle["other"] = h5py.SoftLink(f"deep/door/{field}")
    with pytest.raises(DataError, match=f"{field} lie in another file .*b.h5"):
        inspect(paths[0])


def test_a_soft_link_within_the_file_is_followed(tmp_path):
    path = write_promoters(tmp_path / "a.h5", columns(6, 8))
    with h5py.File(path, "a") as handle:
        handle.move("label", "deep/er/label")
        handle["label"] = h5py.SoftLink("deep/link/label")
        handle["deep/link"] = h5py.SoftLink("er")
        handle["a_loop"] = h5py.SoftLink("/a_loop")
        handle["elsewhere"] = h5py.ExternalLink("b.h5", "/x")
    assert inspect(path).fields["label"] == "label"
    assert read_table(inspect(path)).label.tolist() == columns(6, 8)["label"].tolist()


def test_another_file_is_not_looked_into_for_promoters(tmp_path):
    path, other = (write_promoters(tmp_path / name, columns(6, 8)) for name in ("a.h5", "b.h5"))
    with h5py.File(path, "a") as handle:
        del handle["promoter"]
        handle["sequence"] = h5py.ExternalLink(other, "promoter")
    assert inspect(path).window == 0


def test_a_location_in_another_file(tmp_path):
    path = write_promoters(tmp_path / "a.h5", columns(6, 8))
    with h5py.File(path, "a") as handle:
        text = h5py.string_dtype()
        handle.create_dataset("chrom", (6,), text)
        handle.create_dataset("strand", (6,), text)
        handle["tss"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "x")
    write_promoters(tmp_path / "b.h5", columns(6, 8))
    with h5py.File(tmp_path / "b.h5", "a") as handle:
        handle["x"] = np.ones(6, "i8")
    with pytest.raises(DataError, match="tss lie in another file"):
        inspect(path)


def test_a_cache_of_another_user(tmp_path, monkeypatch):
    monkeypatch.delenv(locate.CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(locate.tempfile, "gettempdir", lambda: str(tmp_path))
    ours = locate.cache_folder()
    assert ours.stat().st_mode & 0o077 == 0
    ours.rmdir()
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    ours.symlink_to(elsewhere)
    with pytest.raises(DataError, match="another user's"):
        locate.cache_folder()
