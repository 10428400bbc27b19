"""Rows and tables of a comparison, against the functions that they are made of and words written by hand."""

import csv
import json
import math

import numpy as np
import pytest

from raygenex.benchmark.results import ModelResult, SeedResult, mean_scores
from raygenex.benchmark.table_files import to_csv, to_json, to_markdown
from raygenex.benchmark.tables import PUBLISHED, benchmark_table
from raygenex.errors import DataError
from raygenex.stats import compare, metrics

GENES = 120
KINDS = ("cnn_halflife_encoded", "cnn_dna_only", "logistic")


def _seed(model, seed, gain):
    rng = np.random.default_rng((7, model, seed))

    def scored(labels, noise):
        return 1 / (1 + np.exp(-gain * (labels - 0.5) - noise - 0.5 * rng.normal(size=labels.size)))

    common = np.random.default_rng(0)
    labels, noise = common.integers(0, 2, GENES), common.normal(size=GENES)
    probability = scored(labels, noise)
    order = rng.permutation(GENES)
    return SeedResult(
        seed=seed,
        valid=metrics.binary_metrics(labels, scored(labels, noise), 0.5),
        test=metrics.binary_metrics(labels, probability, 0.4 + seed / 100),
        gene_ids=np.array([f"G{number:03d}" for number in range(GENES)])[order],
        labels=labels[order],
        probability=probability[order],
        threshold=0.4 + seed / 100,
        seconds=100.0 + seed,
        peak_mb=1000.0,
        epochs=(0.6, 0.7, 0.8) if model < 2 else (),
    )


@pytest.fixture(scope="module")
def results():
    """Three models of three seeds, one of which failed, and a model that failed altogether."""
    models = [
        ModelResult(kind, kind, tuple(_seed(number, seed, gain) for seed in range(3)))
        for number, (kind, gain) in enumerate(zip(KINDS, (2.5, 1.2, 0.6), strict=True))
    ]
    broken = SeedResult(2, error="out of memory | at epoch 1:\nlower train.batch_size")
    models[1] = ModelResult(models[1].name, models[1].kind, (*models[1].seeds[:2], broken))
    lost = tuple(SeedResult(seed, error="no GPU") for seed in range(3))
    return [ModelResult("lstm", "lstm", lost), *models[::-1]]


@pytest.fixture(scope="module")
def table(results):
    return benchmark_table(results, resamples=100, confidence=0.9, seed=3)


def _grid(text, number):
    """Return the cells of a Markdown table, headings first."""
    part = text.split(f"**Table {number}.**")[1].split("**Table")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in (lines[0], *lines[2:])]


def test_rows_hold_means_over_seeds_best_valid_first(results, table):
    assert [row.name for row in table.rows] == list(KINDS)
    assert (table.best, table.reference, table.genes) == (KINDS[0], KINDS[0], GENES)
    row, model = table.rows[0], results[-1]
    for name in metrics.METRICS:
        assert row.valid[name] == compare.seed_summary([part.valid[name] for part in model.seeds])
        assert row.test[name] == compare.seed_summary([part.test[name] for part in model.seeds])
    assert row.auroc_by_seed == tuple(part.test["auroc"] for part in model.seeds)
    assert row.seconds == pytest.approx((101.0, 1.0, 3))
    assert row.epochs == (3.0, 0.0, 3)
    errors = [metrics.calibration_error(part.labels, part.probability) for part in model.seeds]
    assert row.calibration_error == compare.seed_summary(errors)


def test_rows_hold_the_tests_of_the_mean_probability(results, table):
    _, labels, probability = mean_scores(results)
    base = probability[KINDS[0]]
    assert table.rows[0].versus is None
    p_values = []
    for row in table.rows[1:]:
        assert row.versus.auroc == compare.delong(labels, probability[row.name], base, 0.9)
        found = compare.paired_bootstrap(labels, probability[row.name], base, "auprc", 100, 0.9, 3)
        assert row.versus.auprc == found
        p_values.append(row.versus.auroc.p_value)
    assert tuple(row.versus.adjusted_p for row in table.rows[1:]) == compare.holm(p_values)
    intervals = metrics.bootstrap_intervals(labels, base, 0.5, 100, 0.9, 3)
    assert table.rows[0].ensemble_auroc == intervals["auroc"]


def test_calls_are_those_of_the_median_seed(results, table):
    row, median = table.rows[0], results[-1].median_seed
    assert (row.median_seed, row.threshold) == (median.seed, 0.4 + median.seed / 100)
    expected = metrics.confusion(median.labels, median.probability >= median.threshold).tolist()
    assert [list(counts) for counts in row.confusion] == expected
    intervals = metrics.bootstrap_intervals(median.labels, median.probability, median.threshold, 100, 0.9, 3)
    assert row.intervals == intervals


def test_the_held_out_split_chooses_nothing(results):
    # Labels of the held-out genes turned round: the order of the rows, the winner and the median seeds stay.
    turned = []
    for model in results:
        seeds = tuple(
            part
            if part.error
            else SeedResult(
                **{name: getattr(part, name) for name in ("seed", "valid", "gene_ids", "probability", "threshold")},
                labels=1 - part.labels,
                test=metrics.binary_metrics(1 - part.labels, part.probability, part.threshold),
            )
            for part in model.seeds
        )
        turned.append(ModelResult(model.name, model.kind, seeds))
    first, second = (benchmark_table(models, resamples=10) for models in (results, turned))
    assert second.best == first.best
    chosen = [[(row.name, row.median_seed) for row in table.rows] for table in (first, second)]
    assert chosen[0] == chosen[1]


def test_failures_sink_nothing(table):
    found = [(part.name, part.seed) for part in table.failures]
    assert found == [("lstm", 0), ("lstm", 1), ("lstm", 2), ("cnn_dna_only", 2)]
    row = table.rows[1]
    assert (row.seeds, row.failed, row.valid["auroc"].n) == ((0, 1), 1, 2)


def test_a_named_reference(results):
    table = benchmark_table(results, reference="logistic", resamples=10)
    assert (table.best, table.reference) == (KINDS[0], "logistic")
    assert [row.versus is None for row in table.rows] == [False, False, True]
    with pytest.raises(DataError) as caught:
        benchmark_table(results, reference="lstm", resamples=10)
    assert str(caught.value) == "every training of lstm failed: name another model to compare with"
    with pytest.raises(AssertionError):
        benchmark_table(results, reference="other", resamples=10)


def test_published_numbers_of_the_paper(table):
    assert table.rows[0].published["test"] == (0.8965, 0.8199)
    assert table.rows[0].published["valid"] == (0.8999, 0.8282)
    assert table.rows[2].published == {}
    assert set(PUBLISHED["valid"]) == set(PUBLISHED["test"])


def test_markdown_tables_of_metrics(table):
    text = to_markdown(table)
    assert [line.split(" ", 3)[:3] for line in text.splitlines() if line.startswith("**")] == [
        ["**Table", f"{number}.**", word]
        for number, word in enumerate(("Models", "Models", "One", "Models", "Calibration,", "Trainings"), 1)
    ]
    for number, split in ((1, "valid"), (2, "test")):
        headings, *lines = _grid(text, number)
        assert headings[:3] + headings[-2:] == ["Model", "Seeds", "AUROC", "Published AUROC", "Published F1"]
        assert [line[:2] for line in lines] == [
            ["**cnn_halflife_encoded**", "3"],
            ["cnn_dna_only", "2 of 3"],
            ["logistic", "3"],
            ["lstm", "0 of 3"],
        ]
        mean, sd, _ = (table.rows[1].valid if split == "valid" else table.rows[1].test)["auroc"]
        assert lines[1][2] == f"{mean:.3f} ± {sd:.3f}"
        assert lines[1][-2:] == [f"{value:.4f}" for value in PUBLISHED[split]["cnn_dna_only"]]
        assert lines[2][-2:] == ["-", "-"]
        assert lines[3][2:-2] == ["-"] * 8
    assert f"test ({GENES} genes, {table.high} of them high)" in text
    assert text.count("of another data set (Duan, Huang and Li: GM12878, hg19, promoters of 20,000 bases)") == 2
    assert text.count("slightly optimistic") == 1
    assert text.endswith("|\n")


def test_markdown_tables_of_comparisons_calls_and_failures(table):
    text = to_markdown(table)
    headings, first, *_ = _grid(text, 3)
    area = table.rows[0].intervals["f1"]
    assert first[headings.index("F1")] == f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"

    _, first, second, _ = _grid(text, 4)
    assert first[2:] == ["reference", "-", "-", "-"]
    versus = table.rows[1].versus
    difference, low, high, _ = versus.auroc
    assert second[2] == f"{difference:+.3f} ({low:+.3f} to {high:+.3f})"
    assert second[4] == ("< 0.001" if versus.adjusted_p < 0.001 else f"{versus.adjusted_p:.3f}")
    assert "90 % bootstrap interval over genes (100 resamples)" in text

    headings, first, *_, last = _grid(text, 5)
    (tn, fp), (fn, tp) = table.rows[0].confusion
    calls = headings.index("True high")
    assert headings[calls : calls + 4] == ["True high", "False high", "True low", "False low"]
    assert first[calls : calls + 4] == [str(count) for count in (tp, fp, tn, fn)]
    assert first[-3:] == ["3 ± 0", "101 ± 1", "1,000 ± 0"]
    assert last[-3] == "-"

    assert _grid(text, 6)[-1] == ["cnn_dna_only", "2", r"out of memory \| at epoch 1: lower train.batch_size"]


def test_markdown_of_one_seed_has_no_spread(results):
    single = [ModelResult(model.name, model.kind, model.seeds[:1]) for model in results[1:]]
    cells = _grid(to_markdown(benchmark_table(single, resamples=10)), 1)[1]
    assert cells[1] == "1"
    assert "±" not in " ".join(cells)


def test_a_comparison_on_valid_shows_valid_once(results):
    text = to_markdown(benchmark_table(results, split="valid", resamples=10))
    assert text.count("Published AUROC") == 1
    assert f"Models on valid ({GENES} genes" in text
    assert "Models on valid against" in text


def test_everything_failed(results, tmp_path):
    table = benchmark_table(results[:1])
    assert (table.rows, table.best, table.reference, table.genes) == ((), None, None, 0)
    text = to_markdown(table)
    assert _grid(text, 1)[1][:3] == ["lstm", "0 of 3", "-"]
    assert _grid(text, 3)[1] == ["lstm", "0", "no GPU"]
    to_csv(table, tmp_path / "table.csv")
    assert json.loads(to_json(table))["best"] is None


def test_csv(table, tmp_path):
    path = tmp_path / "table.csv"
    to_csv(table, path)
    with path.open(encoding="utf-8", newline="") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert list(lines) == [*KINDS, "lstm"]
    first = lines[KINDS[0]]
    assert float(first["test_auroc"]) == table.rows[0].test["auroc"].mean
    assert float(first["valid_f1_sd"]) == table.rows[0].valid["f1"].sd
    assert (first["best"], first["auroc_difference"], first["errors"]) == ("True", "", "")
    assert first["published_test_auroc"] == "0.8965"
    assert float(first["median_seed_mcc_low"]) == table.rows[0].intervals["mcc"].low
    second = lines[KINDS[1]]
    assert float(second["auroc_p_adjusted"]) == table.rows[1].versus.adjusted_p
    assert (second["seeds"], second["failed"]) == ("2", "1")
    assert second["errors"] == "seed 2: out of memory | at epoch 1:\nlower train.batch_size"
    assert lines["logistic"]["published_valid_f1"] == ""
    last = lines["lstm"]
    assert (last["seeds"], last["failed"], last["test_auroc"]) == ("0", "3", "")
    assert last["errors"] == "seed 0: no GPU; seed 1: no GPU; seed 2: no GPU"


def test_json_is_whole_and_without_nan(results, table):
    found = json.loads(to_json(table))
    row = found["rows"][1]
    assert row["test"]["mcc"] == table.rows[1].test["mcc"]._asdict()
    assert row["versus"]["auroc"]["p_value"] == table.rows[1].versus.auroc.p_value
    assert found["rows"][0]["versus"] is None
    assert found["failures"][0] == {"name": "lstm", "kind": "lstm", "seed": 0, "error": "no GPU"}
    assert (found["split"], found["genes"], found["confidence"]) == ("test", GENES, 0.9)
    single = benchmark_table([ModelResult("m", "lstm", results[1].seeds[:1])], resamples=10)
    assert math.isnan(single.rows[0].test["auroc"].sd)
    assert json.loads(to_json(single))["rows"][0]["test"]["auroc"]["sd"] is None


def test_two_models_of_one_name_are_a_mistake(results):
    with pytest.raises(AssertionError):
        benchmark_table([results[0], results[0]])
