"""Variants scored by a model of targets, against its predictions for both windows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_genome import write_toy_genome
from toy_models import SMALL, four_targets, save_targets, save_toy, sentence
from toy_variants import REFERENCE, WINDOW, write_genes

from raygenex.config.load import parse_config
from raygenex.errors import ConfigError
from raygenex.predict.predictor import Predictor
from raygenex.sequence import from_string
from raygenex.train.checkpoint import InputInfo
from raygenex.train.targets import TargetInfo
from raygenex.variants.effects import shown_target, target_effects
from raygenex.variants.figures import caption
from raygenex.variants.run import variants
from raygenex.variants.table import COLUMNS, columns_for

CNN = {"width": 6, "stem_kernel": 3, "channels": (4,), "pool": 2, "dense": (8,)}
LSTM = {"kind": "lstm", "width": 5, "pool": 2, "hidden": 4, "dense": (6,)}
# Line, gene and its window with the variant, as written down in test_run; the REF of the last one is not there.
LINES = [
    ("chrI\t21\tsnvP\tG\tA", "P", "ACGTAGGG"),
    ("chrI\t190\tsnvM\tG\tA", "M", "ACGTTCCC"),
    ("chrI\t18\tinsUp\tC\tCTT", "P", "TTGTGGGG"),
    ("chrI\t21\tdelDown\tGGGGGC\tG", "P", "ACGTGCAA"),
    ("chrI\t191\tdelUpM\tAC\tA", "M", "TACTCCCC"),
    ("chrII\t34\tsnvS\tC\tG", "S", "GTACATGG"),
]
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
INPUTS = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW, halflife_scale="log10")


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Return a function that scores the toy's variants by a model in ``tmp_path / "model"``."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    paths = write_toy_genome(tmp_path)
    values = {"genome": paths["genome"], "genes": write_genes(tmp_path / "genes.h5"), "rows_per_task": 4}
    config = parse_config({"output": str(tmp_path / "runs"), "variants": values | {"batch_size": 3}}, "test")
    lines = [*(line for line, _, _ in LINES), "chrI\t21\twrong\tT\tA"]
    (tmp_path / "v.vcf").write_text(HEADER + "".join(f"{line}\t.\tPASS\t.\n" for line in lines))

    def run(output="out.parquet"):
        return variants(config, str(tmp_path / "v.vcf"), str(tmp_path / "model"), str(tmp_path / output), force=True)

    return run


def toy_config(model):
    return parse_config(SMALL | {"model": model}, "test")


@pytest.mark.parametrize("model", [CNN, LSTM], ids=["nearby", "whole"])
def test_every_target_is_that_of_both_windows(model, score, tmp_path, blank_figures):
    save_targets(tmp_path / "model", toy_config(model), INPUTS)
    result = score()
    table = pd.read_parquet(result.output)
    assert list(table.columns) == list(columns_for(four_targets()))
    good = table[table.ref_match].reset_index(drop=True)
    assert good.variant_id.tolist() == [line.split("\t")[2] for line, _, _ in LINES]
    predictor = Predictor(tmp_path / "model")
    nothing = np.zeros((len(LINES), 8), np.float32)
    before, after = (
        predictor.predict_arrays(np.stack([from_string(window) for window in windows]), nothing)
        for windows in ([REFERENCE[gene] for _, gene, _ in LINES], [window for _, _, window in LINES])
    )
    for end, found in (("ref", before), ("alt", after)):
        np.testing.assert_allclose(good[f"level_{end}"], np.log2(1 + found["level"]), rtol=1e-5)
        np.testing.assert_allclose(good[f"reads_{end}"], found["reads"], rtol=1e-5)
        np.testing.assert_allclose(good[f"life_{end}"], found["life"], rtol=1e-5)
        np.testing.assert_allclose(good[f"high_probability_{end}"], found["high_probability"], rtol=1e-5)
        assert good[f"high_prediction_{end}"].tolist() == found["high_prediction"].tolist()
        odds = found["high_probability"] / (1 - found["high_probability"])
        np.testing.assert_allclose(good[f"high_logit_{end}"], np.log(odds), rtol=1e-4, atol=1e-6)
    assert (good.level_delta == good.level_alt - good.level_ref).all()
    assert (good.level_delta != 0).any()
    # Where the REF is not the genome's there is a reference and no effect.
    (wrong,) = table[~table.ref_match].to_dict("records")
    assert np.isfinite(wrong["life_ref"])
    assert np.isnan(wrong["life_alt"])
    assert np.isnan(wrong["high_delta_logit"])
    assert pd.isna(wrong["high_prediction_alt"])
    # The plot and the calls are of the one binary target, which is not the first.
    changed = int((good.high_prediction_ref != good.high_prediction_alt).sum())
    assert (result.target, result.threshold, result.changed_calls) == ("high", 0.55, changed)
    assert f"{changed} change the prediction of high (threshold 0.5500)" in result.text()
    assert "targets: level, high, reads, life" in result.text()
    assert result.text().endswith("out.svg, of high")
    assert Path(result.figure).exists()


def test_without_a_binary_target_there_are_no_calls(score, tmp_path, blank_figures):
    level = four_targets()[0]
    save_toy(tmp_path / "model", toy_config(CNN), INPUTS, None, targets=[level], metrics={"level_pearson": 0.5})
    result = score("out.tsv")
    table = pd.read_csv(result.output, sep="\t")
    assert [name for name in table.columns if name not in COLUMNS] == ["level_ref", "level_alt", "level_delta"]
    assert table.level_alt.isna().sum() == 1
    assert (result.target, result.threshold, result.changed_calls) == ("level", None, None)
    assert "change the prediction" not in result.text()
    assert "level" in caption(np.array([1.0], np.float32), level)
    json.dumps(result.changed_calls)


def test_effects_by_hand():
    level, high, reads, _ = four_targets()
    outputs = np.array([[2.0, 0.0, np.log(3)]])
    found = target_effects([level, high, reads], outputs, outputs + np.array([1.0, np.log(3), np.log(2)]))
    # 6 + 2.5 x output; 1 of 2 and 3 of 4; 3 and 6 reads.
    wanted = {"level_ref": 11, "level_alt": 13.5, "level_delta": 2.5, "reads_ref": 3, "reads_alt": 6, "reads_delta": 3}
    wanted |= {"high_probability_ref": 0.5, "high_probability_alt": 0.75, "high_delta_logit": np.log(3)}
    wanted |= {"high_prediction_ref": 0, "high_prediction_alt": 1}
    assert {name: found[name][0] for name in wanted} == pytest.approx(wanted)


def test_what_is_shown_and_names_that_meet():
    level, high, reads, _ = four_targets()
    assert shown_target([level, reads, high]) == high
    assert shown_target([reads, level]) == reads
    assert shown_target([]) is None
    assert columns_for([]) == COLUMNS
    twice = TargetInfo(name="high_logit", kind="continuous", loss="mse", measured=9)
    with pytest.raises(ConfigError) as error:
        columns_for([high, twice])
    sentence(error, "high_logit_alt")
