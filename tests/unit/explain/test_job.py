"""What an explanation would compute, what it refuses, and what the command says, without a cluster."""

import json
import shutil

import numpy as np
import pytest
import yaml
from toy_models import columns, save_toy, sentence, small_config, write_promoters

from raygenex.cli.options import Printed
from raygenex.config.load import parse_config
from raygenex.errors import CheckpointError, ConfigError, RaygenexError
from raygenex.explain import parts
from raygenex.explain.job import Work, leave_out_incomplete, missing, open_folder, plan, prepare
from raygenex.explain.parts import SCORES, ExplanationManifest, folder_of, write_part
from raygenex.explain.results.derive import derived_key
from raygenex.explain.results.meme import write_meme
from raygenex.files.parts import write_manifest
from raygenex.train.checkpoint import InputInfo

WINDOW, GENES = 20, 7
BASES = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a configuration; a checkpoint of the run and seven valid genes are there."""
    small = small_config()
    save_toy(tmp_path / "runs" / "toy" / "checkpoint", small, BASES)
    write_promoters(tmp_path / "valid.h5", columns(GENES, WINDOW))

    def configure(seed=0, **explain):
        values = small.dump() | {"name": "toy", "output": str(tmp_path / "runs"), "seed": seed}
        return parse_config(
            values | {"data": {"valid": str(tmp_path / "valid.h5")}, "explain": {"rows_per_file": 3} | explain}, "test"
        )

    return configure


def checkpoint_of(config):
    return f"{config.folder}/checkpoint"


def ready(config):
    return prepare(config, checkpoint_of(config))


def finish(config, *methods):
    """Write a folder that looks finished, by parts of nothing but names."""
    job = ready(config)
    for name in (SCORES, *methods):
        write_part(job.folder / name, 0, {"gene_id": np.array([f"G{number}" for number in range(GENES)])})
    write_manifest(job.folder, job.manifest)
    return job


def test_a_new_folder_lacks_every_gene_of_every_method(make):
    job = ready(make())
    work, stale = plan(job, force=False)
    assert work.gaps == {SCORES: [(0, 7)], "saliency": [(0, 7)], "halflife": [(0, 7)]}
    assert (work.count, stale) == (21, [])
    # Manifests of the label are as they were before there were targets.
    assert job.manifest.target is None
    assert "target" not in json.loads(job.manifest.model_dump_json())
    assert not job.folder.exists()


def test_methods_that_share_a_gradient_share_a_piece(make):
    gaps = {SCORES: [(0, 4)], "saliency": [(0, 7)], "halflife": [], "input_x_gradient": [(2, 3), (6, 7)]}
    assert list(Work(gaps).pieces(3)) == [
        ("scores", 0, 3),
        ("scores", 3, 4),
        ("saliency", 0, 3),
        ("saliency", 3, 6),
        ("saliency,input_x_gradient", 6, 7),
        ("input_x_gradient", 2, 3),
    ]


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ({}, []),
        ({"batch_size": 1, "workers": 3, "smoothing": 9, "rows_per_file": 2, "window_first": 5}, []),
        ({"hypothetical": True}, ["saliency", "integrated_gradients"]),
        # Motifs are discovered in hypothetical contributions.
        ({"discover": True}, ["saliency", "integrated_gradients"]),
        ({"steps": 8}, ["integrated_gradients"]),
        ({"reference": "shuffled"}, ["integrated_gradients"]),
        # One reference of unknown bases, however many shuffled ones there might be.
        ({"references": 3}, []),
        ({"permutations": 3}, ["halflife"]),
        ({"seed": 1}, ["halflife"]),
    ],
)
def test_settings_make_those_methods_stale_that_depend_on_them(make, changed, stale):
    methods = ["saliency", "integrated_gradients", "halflife"]
    finish(make(methods=methods), *methods)
    job = ready(make(**{"methods": methods} | changed))
    work, found = plan(job, force=False)
    assert sorted(found) == sorted(stale)
    assert {name for name, ranges in work.gaps.items() if ranges} == set(stale)
    manifest = open_folder(job, force=False)
    assert set(manifest.methods) == {SCORES, *methods}
    assert {path.name for path in job.folder.iterdir() if path.is_dir()} == {SCORES, *methods} - set(stale)


def test_a_damaged_part_is_named_only_when_it_is_removed(make, caplog):
    job = finish(make(), "saliency", "halflife")
    path = job.folder / "saliency" / "part-00000000-00000007.npz"
    path.write_bytes(path.read_bytes()[:-40])
    assert missing(job, remove=False).gaps["saliency"] == [(0, 7)]
    assert path.exists()
    assert missing(job, remove=True).gaps["saliency"] == [(0, 7)]
    assert not path.exists()
    assert str(path) in caplog.text


def test_another_checkpoint_or_number_of_genes_is_refused_unless_forced(make, tmp_path):
    job = finish(make(), "saliency")
    other = tmp_path / "other"
    shutil.copytree(job.checkpoint, other)
    info = json.loads((other / "checkpoint.json").read_text())
    (other / "checkpoint.json").write_text(json.dumps(info | {"threshold": 0.25}))
    for changed, word in (
        (prepare(make(), str(other)), "another checkpoint"),
        (ready(make(genes=3)), "number of genes (7 there, 3 here)"),
    ):
        with pytest.raises(CheckpointError) as found:
            plan(changed, force=False)
        sentence(found, word, "--force")
        with pytest.raises(CheckpointError):
            open_folder(changed, force=False)
        assert plan(changed, force=True)[0].count == 3 * changed.genes.count
    assert job.folder.exists()
    assert set(open_folder(ready(make(genes=3)), force=True).methods) == {SCORES, "saliency", "halflife"}
    assert not job.folder.exists()


def test_a_region_that_moves_with_the_tss_is_another_one(make):
    finish(make(methods=["mutagenesis"], region=[-2, 2]), "mutagenesis")
    assert plan(ready(make(methods=["mutagenesis"], region=[-1, 3], window_first=-9)), force=False)[1] == []
    assert plan(ready(make(methods=["mutagenesis"], region=[-2, 2], window_first=-9)), force=False)[1] == [
        "mutagenesis"
    ]


def test_parts_that_no_manifest_explains_are_refused(make):
    job = finish(make(), "saliency")
    (job.folder / "manifest.json").unlink()
    with pytest.raises(CheckpointError) as found:
        open_folder(ready(make()), force=False)
    sentence(found, job.folder, "manifest.json", "--force")
    assert open_folder(ready(make()), force=True).methods.keys() == job.manifest.methods.keys()


def test_a_method_that_is_not_asked_for_now_is_kept(make):
    finish(make(methods=["saliency"]), "saliency")
    job = ready(make(methods=["halflife"]))
    assert plan(job, force=False)[0].gaps == {SCORES: [], "halflife": [(0, 7)]}
    assert set(open_folder(job, force=False).methods) == {SCORES, "saliency", "halflife"}


@pytest.mark.parametrize(
    ("explain", "words"),
    [
        ({"split": "test"}, ("data.test is not set",)),
        ({"methods": ["mutagenesis"], "region": [-11, 5]}, ("explain.region", "bases -10 to 9")),
        ({"motifs": "/no/such.meme"}, ("/no/such.meme",)),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_sentence(make, explain, words):
    with pytest.raises(RaygenexError) as found:
        ready(make(**explain))
    sentence(found, *words)


def test_a_model_without_half_life_features_has_no_method_for_them(make, tmp_path):
    save_toy(tmp_path / "dna", small_config(model={"kind": "cnn_dna_only"}), BASES)
    with pytest.raises(ConfigError) as found:
        prepare(make(), str(tmp_path / "dna"))
    sentence(found, "cnn_dna_only", "halflife", "explain.methods")
    assert prepare(make(methods=["saliency"]), str(tmp_path / "dna")).manifest.model_kind == "cnn_dna_only"


def test_tables_depend_on_what_they_show(make):
    def key(config, **values):
        manifest = ready(config).manifest.model_dump() | values
        return derived_key(config, ExplanationManifest.model_validate(manifest))

    first = key(make())
    assert key(make(), derived="x", summary={}, checkpoint="/moved") == first
    assert key(make(workers=4, rows_per_file=1)) == first
    others = [key(make(smoothing=3)), key(make(window_first=3)), key(make(methods=["saliency"])), key(make(seed=1))]
    assert len({first, *others}) == 5


def test_tables_depend_on_what_the_motif_file_holds(make, tmp_path):
    def key(path):
        config = make(motifs=str(path))
        return derived_key(config, ready(config).manifest)

    path = tmp_path / "known.meme"
    write_meme(path, {"A": np.full((4, 4), 0.25)}, {"A": 20})
    first = key(path)
    shutil.copy(path, tmp_path / "moved.meme")
    assert key(tmp_path / "moved.meme") == first
    write_meme(path, {"B": np.full((4, 4), 0.25)}, {"B": 20})
    assert key(path) != first


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_method_that_lost_parts_and_is_not_asked_for_is_left_out(make, damage, caplog):
    finish(make(methods=["saliency", "halflife"]), "saliency", "halflife")
    job = ready(make(methods=["halflife"]))
    found = open_folder(job, force=False)
    for record in found.methods.values():
        record.complete = True
    leave_out_incomplete(job, found)
    assert found.methods["saliency"].complete
    assert caplog.text == ""
    whole = derived_key(make(methods=["halflife"]), found)
    damage(job.folder / "saliency" / "part-00000000-00000007.npz")
    leave_out_incomplete(job, found)
    assert (found.methods["saliency"].complete, found.methods["saliency"].genes) == (False, 0)
    assert "name saliency in explain.methods" in caplog.text
    assert found.methods["halflife"].complete
    # It was drawn, and is not any more.
    assert derived_key(make(methods=["halflife"]), found) != whole


def test_parts_are_read_once(make, monkeypatch):
    job = finish(make(), "saliency", "halflife")
    read = []
    monkeypatch.setattr(parts, "read_part", read.append)
    for remove in (False, True):
        assert missing(job, remove).count == 0
        assert len(read) == 3
        read.clear()


def test_a_registered_model_keeps_its_name(make):
    config = make()
    assert ready(config).manifest.checkpoint == checkpoint_of(config)
    named = prepare(config, checkpoint_of(config), "models:/toy@champion")
    assert named.manifest.checkpoint == "models:/toy@champion"
    assert str(named.checkpoint) == checkpoint_of(config)


def test_the_command_passes_the_name_of_a_registered_model(raygenex, written, make, monkeypatch):
    given = []

    def explained(config, *arguments):
        given.append(arguments)
        return Printed({}, "")

    monkeypatch.setattr(
        "raygenex.registry.register.fetch_checkpoint", lambda config, model: model.replace("models:/", "/got/")
    )
    monkeypatch.setattr("raygenex.explain.run.explain", explained)
    for model in (("models:/toy@champion",), ("a",), ()):
        assert raygenex("explain", *model, written())[0] == 0
    own = checkpoint_of(make())
    assert given == [("/got/toy@champion", False, "models:/toy@champion"), ("a", False, None), (own, False, None)]


# The command


@pytest.fixture
def written(make, tmp_path):
    """Return a function that writes a configuration."""

    def write(**explain):
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(make(**explain).dump()))
        return path

    return write


def test_the_plan_says_what_is_there(raygenex, written, make):
    finish(make(methods=["saliency"]), "saliency")
    code, out, _ = raygenex("explain", written(steps=8, workers=2), "--dry-run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("explain: 7 of 7 genes of valid with ")
    assert lines[0].endswith("checkpoint, -10 to +9 from the TSS (assumed)")
    assert lines[1:4] == [
        "scores: 0 of 7 genes to do",
        "saliency: 0 of 7 genes to do",
        "halflife: 7 of 7 genes to do",
    ]
    assert lines[4].startswith("write: parts, tables and figures into ")
    assert lines[4].endswith("by 2 x 1 CPU")


def test_the_last_word_is_the_configuration(raygenex, written, make, tmp_path):
    path = written()
    (tmp_path / "run" / "of").mkdir(parents=True)
    shutil.copytree(checkpoint_of(make()), tmp_path / "run" / "of" / "another")
    code, out, _ = raygenex("explain", tmp_path / "run" / "of" / "another", path, "--dry-run", "--json")
    assert code == 0
    assert "run/of/another" in json.loads(out)["steps"][0]
    code, out, err = raygenex("explain", "a", "b", path)
    assert (code, out) == (2, "")
    assert err == "error: a b is more than one model: give one, and the configuration last\n"


def test_a_run_without_checkpoint_is_one_sentence(raygenex, written, make):
    shutil.rmtree(checkpoint_of(make()))
    code, out, err = raygenex("explain", written())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "is not a checkpoint" in err
    assert not folder_of(make()).parent.exists()
