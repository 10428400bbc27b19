import csv
import json

import numpy as np
import pytest
from toy_disk import room

from raygenex.config.data import CheckConfig, DataConfig, SimulateConfig
from raygenex.data.check.check import check
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.data.simulate import run
from raygenex.data.simulate.motifs import MOTIFS
from raygenex.data.simulate.run import simulate
from raygenex.errors import DataError, RaygenexError
from raygenex.files.dataset_folder import made_in
from raygenex.files.fingerprint import fingerprint
from raygenex.sequence import reverse_complement

SMALL = SimulateConfig(train=60, valid=20, test=20, window=200)


def rows_of(result, split):
    file = inspect(result.files[split])
    return read_rows(file, 0, file.rows)


def truth_of(result):
    with open(result.files["truth"], encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return simulate(SimulateConfig(), tmp_path_factory.mktemp("simulated") / "data")


def test_files_are_sound_and_complete(default):
    report = check(
        DataConfig.model_validate({name: default.files[name] for name in ("train", "valid", "test")}), CheckConfig()
    )
    assert {name: (split.rows, split.window) for name, split in report.splits.items()} == {
        "train": (768, 512),
        "valid": (256, 512),
        "test": (256, 512),
    }
    assert all(0.4 < split.positive_fraction < 0.6 for split in report.splits.values())
    profile = report.splits["train"].gc_profile
    assert max(profile[4:6]) > max(profile[0], profile[-1]) + 0.05
    for name in ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN"):
        summary = report.splits["train"].halflife[name]
        assert abs(summary.mean) < 0.15
        assert abs(summary.sd - 1) < 0.15
    for name in ("UTR5GC", "CDSGC", "UTR3GC"):
        assert report.splits["train"].halflife[name].min >= 0
        assert report.splits["train"].halflife[name].max <= 1
    assert report.splits["train"].halflife["ORFEXONDENSITY"].min > 0


def test_best_auroc_leaves_room(default):
    from sklearn.metrics import roc_auc_score

    truth = truth_of(default)
    for split, value in default.bayes_auroc.items():
        rows = [row for row in truth if row["split"] == split]
        expected = roc_auc_score([int(row["label"]) for row in rows], [float(row["probability"]) for row in rows])
        assert value == pytest.approx(expected, abs=1e-3)
        assert 0.88 < value < 0.96


def test_logistic_regression_learns(default):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(split):
        block = rows_of(default, split)
        is_gc = np.isin(block["sequence"], (1, 2))
        bins = np.stack([part.mean(axis=1) for part in np.array_split(is_gc, 16, axis=1)], axis=1)
        return np.hstack([block["halflife"], bins]), block["label"]

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(*features("train"))
    inputs, label = features("test")
    assert roc_auc_score(label, model.decision_function(inputs)) > 0.8


def test_truth_agrees_with_the_files(default):
    truth = truth_of(default)
    assert [row["gene_id"] for row in truth] == [f"SIM{i + 1:08d}" for i in range(1280)]
    for split in ("train", "valid", "test"):
        rows = [row for row in truth if row["split"] == split]
        block = rows_of(default, split)
        assert [row["gene_id"] for row in rows] == list(block["gene_id"])
        assert [int(row["label"]) for row in rows] == block["label"].tolist()
    logit = [1.7 * float(row["dna_score"]) + 1.7 * float(row["halflife_score"]) for row in truth]
    probability = [float(row["probability"]) for row in truth]
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(logit))), probability, atol=1e-5)
    dna = np.array([float(row["dna_score"]) for row in truth])
    assert dna.mean() == pytest.approx(0, abs=1e-5)
    assert dna.std() == pytest.approx(1.5, abs=1e-5)


def test_planted_sites_have_as_many_mismatches_as_their_strength_says(default):
    by_name = {motif.name: motif for motif in MOTIFS}
    block = rows_of(default, "train")
    seen = set()
    for row, sequence in zip(truth_of(default), block["sequence"], strict=False):
        for site in filter(None, row["motifs"].split(";")):
            name, position, strand, strength = site.split(":")
            motif = by_name[name]
            start = 256 + int(position)
            found = sequence[start : start + motif.length]
            found = reverse_complement(found) if strand == "-" else found
            missed = int((~motif.allowed()[np.arange(motif.length), found]).sum())
            assert motif.strength(missed) == pytest.approx(float(strength), abs=1e-3), site
            assert any(low <= int(position) <= high for low, high in motif.ranges)
            seen.add((name, strand))
    assert {name for name, _ in seen} == {motif.name for motif in MOTIFS}
    assert ("TATA", "-") not in seen
    assert ("SP1", "-") in seen


def test_activators_raise_and_the_repressor_lowers(tmp_path):
    truth = truth_of(simulate(SimulateConfig(window=9000, island_effect=0.0), tmp_path))
    for motif in MOTIFS:
        has = np.array([f"{motif.name}:" in row["motifs"] for row in truth])
        score = np.array([float(row["dna_score"]) for row in truth])
        assert np.sign(score[has].mean() - score[~has].mean()) == np.sign(motif.effect), motif.name


def test_same_seed_same_files_and_other_seed_other_files(tmp_path):
    first = simulate(SMALL, tmp_path / "a")
    second = simulate(SMALL, tmp_path / "b")
    third = simulate(SMALL.model_copy(update={"seed": -1}), tmp_path / "c")
    for name in first.files:
        assert fingerprint(first.files[name]) == fingerprint(second.files[name])
        assert fingerprint(first.files[name]) != fingerprint(third.files[name])


@pytest.mark.parametrize("window", [100, 101, 3000])
def test_any_window(tmp_path, window):
    result = simulate(SMALL.model_copy(update={"window": window}), tmp_path)
    assert rows_of(result, "valid")["sequence"].shape == (20, window)


def test_no_effect_is_a_coin(tmp_path):
    result = simulate(SMALL.model_copy(update={"dna_effect": 0.0, "halflife_effect": 0.0}), tmp_path)
    assert {row["probability"] for row in truth_of(result)} == {"0.500000"}
    assert result.bayes_auroc["train"] == 0.5


def test_one_gene_a_split(tmp_path):
    result = simulate(SimulateConfig(train=1, valid=1, test=1, window=100), tmp_path)
    assert result.bayes_auroc == {"train": None, "valid": None, "test": None}


def test_record(tmp_path):
    result = simulate(SMALL, tmp_path)
    record = json.loads((tmp_path / "simulation.json").read_text())
    assert record["config"] == SMALL.made_of()
    assert record["bayes_auroc"] == result.bayes_auroc
    assert record["sha256"] == {
        name: fingerprint(str(tmp_path / name)) for name in ("train.h5", "valid.h5", "test.h5", "truth.tsv")
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*record["sha256"], "simulation.json"])


def test_same_config_is_reused(tmp_path):
    first = simulate(SMALL, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = simulate(SMALL, tmp_path)
    assert not first.reused
    assert second.reused
    assert (second.files, second.rows, second.bayes_auroc) == (first.files, first.rows, first.bayes_auroc)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_other_config_needs_force(tmp_path, sentence):
    simulate(SMALL, tmp_path)
    other = SMALL.model_copy(update={"seed": 5})
    with pytest.raises(DataError) as info:
        simulate(other, tmp_path)
    sentence(info, tmp_path, "--force")
    assert not simulate(other, tmp_path, overwrite=True).reused
    assert simulate(other, tmp_path).reused


def test_foreign_file_is_kept(tmp_path, sentence):
    (tmp_path / "train.h5").write_text("mine")
    with pytest.raises(DataError) as info:
        simulate(SMALL, tmp_path)
    sentence(info, tmp_path, "train.h5", "--force")
    assert (tmp_path / "train.h5").read_text() == "mine"


def test_folder_that_cannot_be_made(tmp_path, sentence):
    (tmp_path / "a").write_text("")
    with pytest.raises(DataError) as info:
        simulate(SMALL, tmp_path / "a" / "b")
    sentence(info, tmp_path / "a" / "b", "cannot be written")


@pytest.mark.parametrize("size", [0, 900, 3000, 9000])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, sentence, size, there):
    folder = tmp_path / "data"
    if there:
        simulate(SMALL.model_copy(update={"seed": 5}), folder)
    before = {path: path.read_bytes() for path in folder.glob("*")}
    with room(size), pytest.raises(DataError) as info:
        simulate(SMALL, folder, overwrite=there)
    sentence(info, folder, "cannot be written (File too large)", "make room there")
    assert ".aside" not in str(info.value)
    assert {path: path.read_bytes() for path in folder.glob("*")} == before
    assert folder.exists() == there


def test_a_file_that_was_replaced_is_seen(tmp_path, sentence):
    simulate(SMALL, tmp_path / "a")
    simulate(SMALL.model_copy(update={"seed": 5}), tmp_path / "b")
    (tmp_path / "b" / "valid.h5").replace(tmp_path / "a" / "valid.h5")
    with pytest.raises(DataError) as info:
        simulate(SMALL, tmp_path / "a")
    sentence(info, tmp_path / "a", "changed since", "--force")
    assert not simulate(SMALL, tmp_path / "a", overwrite=True).reused
    assert simulate(SMALL, tmp_path / "a").reused


def test_a_folder_that_another_process_fills(tmp_path, sentence):
    folder = tmp_path / "data"
    with made_in(folder) as partial:
        for force in (False, True):
            with pytest.raises(RaygenexError) as info:
                simulate(SMALL, folder, overwrite=force)
            sentence(info, f"another process is making a data set in {folder}")
        assert partial.exists()
        assert not (folder / "train.h5").exists()
    assert not folder.exists()
    assert not simulate(SMALL, folder).reused


def test_what_another_process_has_just_finished_is_reused(tmp_path, monkeypatch):
    made = simulate(SMALL, tmp_path / "data")
    answers = iter([None])
    monkeypatch.setattr(run, "find_simulation", lambda *args: next(answers, made))
    assert simulate(SMALL, tmp_path / "data") is made


@pytest.mark.parametrize("genes", [1, 7])
def test_blocks_make_no_difference(tmp_path, monkeypatch, genes):
    first = simulate(SMALL, tmp_path / "a")
    monkeypatch.setattr("raygenex.data.simulate.run.BLOCK_GENES", genes)
    second = simulate(SMALL, tmp_path / "b")
    for name in ("train", "valid", "test"):
        np.testing.assert_array_equal(rows_of(first, name)["sequence"], rows_of(second, name)["sequence"])


def test_ceilings_of_each_half(default):
    from sklearn.metrics import roc_auc_score

    rows = [row for row in truth_of(default) if row["split"] == "test"]
    label = [int(row["label"]) for row in rows]
    for column, value in (("dna_score", default.dna_auroc), ("halflife_score", default.halflife_auroc)):
        assert value["test"] == pytest.approx(roc_auc_score(label, [float(row[column]) for row in rows]), abs=1e-3)
        assert value["test"] < default.bayes_auroc["test"]


def test_label_noise_turns_its_share_and_lowers_the_ceiling(tmp_path):
    clean = SimulateConfig(train=2000, valid=10, test=10, window=100)
    noisy = simulate(clean.model_copy(update={"label_noise": 0.2}), tmp_path / "noisy")
    truth = [row for row in truth_of(noisy) if row["split"] == "train"]
    flipped = np.array([int(row["flipped"]) for row in truth])
    assert flipped.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 2000))
    probability = np.array([float(row["probability"]) for row in truth])
    assert probability.min() >= 0.2
    assert probability.max() <= 0.8
    assert noisy.bayes_auroc["train"] < simulate(clean, tmp_path / "clean").bayes_auroc["train"] - 0.1


def test_five_hundred_genes_of_512_bases(tmp_path):
    result = simulate(SimulateConfig(train=400, valid=50, test=50, window=512, background_order=3), tmp_path)
    assert rows_of(result, "train")["sequence"].shape == (400, 512)
