"""Figures of a comparison, by the data and the words of what they draw."""

import sys
from subprocess import run

import numpy as np
import pytest

from raygenex.benchmark import figures
from raygenex.benchmark.results import ModelResult, SeedResult, mean_scores
from raygenex.benchmark.tables import benchmark_table
from raygenex.stats import metrics
from raygenex.stats.compare import seed_summary

GENES = 90


def _seed(model, seed, epochs):
    rng = np.random.default_rng((model, seed))
    labels = np.random.default_rng(0).integers(0, 2, GENES)
    probability = 1 / (1 + np.exp(-(1 + model) * (labels - 0.5) - rng.normal(size=GENES)))
    measured = metrics.binary_metrics(labels, probability, 0.5)
    ids = np.array([f"G{number:03d}" for number in range(GENES)])
    return SeedResult(seed, measured, measured, ids, labels, probability, 0.5, 10.0, 100.0, epochs)


@pytest.fixture(scope="module")
def results():
    """Two models with epochs, one without, and one that failed; the second is the better of the first two."""
    return [
        ModelResult("weak", "lstm", (_seed(0, 0, (0.5, 0.6)), _seed(0, 1, (0.7, 0.8, 0.9)))),
        ModelResult("lost", "lstm", (SeedResult(0, error="no GPU"),)),
        ModelResult("good", "lstm", (_seed(2, 0, (0.8,)), _seed(2, 1, (0.9,)))),
        ModelResult("trees", "xgboost_kmer", (_seed(1, 0, ()),)),
    ]


@pytest.fixture(scope="module")
def table(results):
    return benchmark_table(results, resamples=50)


def _line(axes, label):
    (line,) = (line for line in axes.lines if str(line.get_label()).split()[0] == label)
    return line


def _legend(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def _spread(model, metric):
    mean, sd, n = seed_summary([part.test[metric] for part in model.finished])
    return f"{model.name}  {mean:.3f}" + (f" ± {sd:.3f}" if n > 1 else "")


def test_roc_curves(results):
    figure = figures.roc_curves(results)
    (axes,) = figure.axes
    _, labels, probability = mean_scores(results)
    for name in ("good", "trees", "weak"):
        curve = metrics.roc_curve(labels, probability[name])
        np.testing.assert_array_equal(_line(axes, name).get_xydata(), np.column_stack([curve.fpr, curve.tpr]))
    weak, _, good, trees = results
    assert _legend(figure) == [*(_spread(model, "auroc") for model in (good, trees, weak)), "chance  0.500"]
    assert figure.legends[0].get_title().get_text() == "AUROC of the seeds"
    assert axes.get_title() == (f"Test: {GENES} genes ({labels.sum()} high)\nmean probability of 1 or 2 seeds")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("False positive rate", "True positive rate")


def test_precision_recall_curves(results):
    figure = figures.precision_recall_curves(results, split="valid")
    (axes,) = figure.axes
    _, labels, probability = mean_scores(results)
    curve = metrics.precision_recall_curve(labels, probability["weak"])
    line = _line(axes, "weak")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([curve.recall, curve.precision]))
    assert line.get_drawstyle() == "steps-pre"
    np.testing.assert_allclose(_line(axes, "prevalence").get_ydata(), [labels.mean()] * 2)
    assert _legend(figure)[0] == _spread(results[2], "auprc")
    assert axes.get_title().startswith("Valid: ")


def test_a_single_seed_in_the_title(results):
    (axes,) = figures.roc_curves(results[3:]).axes
    assert axes.get_title().endswith("mean probability of 1 seed")


def test_learning_curves(results):
    figure = figures.learning_curves(results)
    (axes,) = figure.axes
    np.testing.assert_allclose(_line(axes, "weak").get_xydata(), [(0, 0.6), (1, 0.7)])
    # The seed that went on, from the last epoch that both reached.
    (tail,) = (line for line in axes.lines if line.get_label().startswith("_"))
    np.testing.assert_allclose(tail.get_xydata(), [(1, 0.8), (2, 0.9)])
    assert tail.get_color() == _line(axes, "weak").get_color()
    assert _line(axes, "good").get_marker() == "o"
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in np.round(band, 9)} == {(0, 0.5), (0, 0.7), (1, 0.6), (1, 0.8)}
    assert _legend(figure) == ["weak  (2)", "good  (2)"]
    with pytest.raises(AssertionError, match="no training has a history"):
        figures.learning_curves(results[3:])


def test_trees_and_iterations_have_axes_of_their_own(results):
    boosted = ModelResult("boosted", "xgboost_kmer", (_seed(1, 0, (0.5, 0.6, 0.7)),))
    regression = ModelResult("regression", "logistic", (_seed(1, 0, (0.5, 0.6)),))
    figure = figures.learning_curves([*results, boosted, regression])
    assert [axes.get_xlabel() for axes in figure.axes] == ["Epoch", "Tree", "Iteration"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["Valid AUROC", "", ""]
    assert _line(figure.axes[1], "boosted").get_xdata().tolist() == [0, 1, 2]
    assert len(figure.axes[2].lines) == 1
    assert _legend(figure) == ["weak  (2)", "good  (2)", "boosted  (1)", "regression  (1)"]


def test_a_model_looks_the_same_in_all_curves(results):
    for name in ("weak", "good"):
        lines = [_line(draw(results).axes[0], name) for draw in (figures.roc_curves, figures.learning_curves)]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 1
    many = [ModelResult(f"model{place}", "lstm", (_seed(0, 0, (0.5, 0.6)),)) for place in range(24)]
    (axes,) = figures.learning_curves(many).axes
    lines = [_line(axes, model.name) for model in many]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 24


def test_forest(results, table):
    (axes,) = figures.forest(table).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.name for row in table.rows] + ["lost"]
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    bars = [line for line in axes.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    circles = [line for line in axes.lines if line.get_marker() == "o"]
    for place, row in enumerate(table.rows):
        area = row.ensemble_auroc
        np.testing.assert_array_equal(squares[place].get_xydata(), [(area.value, place)])
        np.testing.assert_array_equal(bars[place].get_xydata(), [(area.low, place), (area.high, place)])
        np.testing.assert_array_equal(circles[place].get_xdata(), row.auroc_by_seed)
    area = table.rows[0].ensemble_auroc
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"
    assert texts[-1] == "failed"
    assert squares[0].get_color() != squares[1].get_color() == squares[2].get_color()
    (dashed,) = (line for line in axes.lines if line.get_linestyle() == "--")
    assert set(dashed.get_xdata()) == {area.value}
    assert axes.get_title() == f"Test: {GENES} genes ({table.high} high), 95 % intervals"
    # The first row is at the top.
    bottom, top = axes.get_ylim()
    assert top < 0 < bottom


def _eight():
    kinds = ("cnn_halflife_encoded", "autoencoder_xgboost")
    return [
        ModelResult(f"{kinds[place % 2]}.{place}", "lstm", (_seed(place, 0, (0.5, 0.6)), _seed(place, 1, (0.5,))))
        for place in range(8)
    ]


def test_nothing_is_clipped_and_no_legend_covers_a_curve():
    results = _eight()
    for figure in (
        figures.roc_curves(results),
        figures.precision_recall_curves(results),
        figures.learning_curves(results),
        figures.forest(benchmark_table(results, resamples=10)),
    ):
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_pyplot_stays_out():
    code = "import sys, raygenex.benchmark.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
