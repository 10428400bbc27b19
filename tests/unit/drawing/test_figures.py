"""Figures, by the data and the words of what they draw."""

import math
import sys
from subprocess import run

import numpy as np
import pytest

from raygenex.drawing import figures
from raygenex.drawing.style import save
from raygenex.errors import DataError
from raygenex.stats import metrics
from raygenex.stats.resamples import Interval

BLUE = figures.BLUE


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 120).astype(np.uint8)
    return labels, np.round(1 / (1 + np.exp(0.5 - labels - rng.normal(size=120))), 2)


def _history(*aurocs):
    return [
        {"epoch": epoch, "train_loss": 0.7 / epoch, "valid_loss": 0.6 + epoch / 100, "valid_auroc": auroc}
        for epoch, auroc in enumerate(aurocs, start=1)
    ]


def _line(axes, label):
    (line,) = (line for line in axes.lines if str(line.get_label()).startswith(label))
    return line


def _legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_loss_figure_marks_the_first_best_epoch():
    history = _history(0.6, 0.8, 0.7, 0.8)
    losses, scores = figures.loss_figure(history).axes
    np.testing.assert_array_equal(
        _line(losses, "training").get_xydata(), [(row["epoch"], row["train_loss"]) for row in history]
    )
    np.testing.assert_array_equal(
        _line(losses, "validation").get_xydata(), [(row["epoch"], row["valid_loss"]) for row in history]
    )
    np.testing.assert_array_equal(scores.lines[0].get_ydata(), [0.6, 0.8, 0.7, 0.8])
    np.testing.assert_array_equal(_line(scores, "best").get_xydata(), [(2, 0.8)])
    assert _legend(scores) == ["best: 0.800 (epoch 2)"]
    assert (losses.get_ylabel(), scores.get_ylabel()) == ("Loss (nats per gene)", "Validation AUROC")
    assert scores.get_xlabel() == "Epoch"


def test_loss_figure_of_one_epoch_is_visible_and_has_whole_ticks():
    losses, scores = figures.loss_figure(_history(0.6)).axes
    assert _line(losses, "training").get_marker() == "o"
    low, high = scores.get_xlim()
    assert [tick for tick in scores.get_xticks() if low <= tick <= high] == [1]


def test_loss_figure_without_a_best_epoch():
    assert _legend(figures.loss_figure(_history(math.nan, 0.7)).axes[1]) == ["best: 0.700 (epoch 2)"]
    assert figures.loss_figure(_history(math.nan, math.nan)).axes[1].get_legend() is None


def test_roc_figure(scored):
    labels, probability = scored
    curve, area = metrics.roc_curve(labels, probability), metrics.auroc(labels, probability)
    (axes,) = figures.roc_figure(labels, probability, Interval(area, 0.61, 0.79), confidence=0.9).axes
    line = _line(axes, "AUROC")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([curve.fpr, curve.tpr]))
    assert line.get_color() == BLUE
    np.testing.assert_array_equal(_line(axes, "chance").get_xydata(), [(0, 0), (1, 1)])
    assert _legend(axes) == [f"AUROC {area:.3f} (90 % interval 0.610 to 0.790)", "chance (0.500)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("False positive rate", "True positive rate")
    assert axes.get_aspect() == 1.0
    (plain,) = figures.roc_figure(labels, probability).axes
    assert _legend(plain)[0] == f"AUROC {area:.3f}"


def test_precision_recall_figure(scored):
    labels, probability = scored
    curve, area = metrics.precision_recall_curve(labels, probability), metrics.auprc(labels, probability)
    (axes,) = figures.precision_recall_figure(labels, probability).axes
    line = _line(axes, "AUPRC")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([curve.recall, curve.precision]))
    # In these steps a precision holds back to the recall before it, so the area drawn is the one in the legend.
    assert line.get_drawstyle() == "steps-pre"
    prevalence = labels.mean()
    np.testing.assert_allclose(_line(axes, "prevalence").get_ydata(), [prevalence, prevalence])
    assert _legend(axes) == [f"AUPRC {area:.3f}", f"prevalence ({prevalence:.3f})"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Recall", "Precision")


def test_calibration_figure(scored):
    labels, probability = scored
    curve = metrics.calibration_curve(labels, probability, bins=5, confidence=0.9)
    (axes,) = figures.calibration_figure(labels, probability, bins=5, confidence=0.9).axes
    points = _line(axes, "genes").get_xydata()
    np.testing.assert_array_equal(points, np.column_stack([curve.predicted, curve.observed]))
    (bars,) = axes.collections
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([curve.low, curve.high]), atol=1e-12)
    error = metrics.calibration_error(labels, probability, bins=5)
    assert _legend(axes)[0] == f"genes in 5 bins, 90 % interval\nexpected calibration error {error:.3f}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Mean predicted probability", "Observed fraction of high genes")


def test_calibration_figure_of_pure_bins():
    (axes,) = figures.calibration_figure([0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9], bins=2).axes
    np.testing.assert_array_equal(_line(axes, "genes").get_ydata(), [0.0, 1.0])


def test_confusion_figure():
    # Three low genes, one of them called high; four high genes, one of them called low.
    labels = [0, 0, 0, 1, 1, 1, 1]
    probability = np.array([0.1, 0.2, 0.7, 0.3, 0.6, 0.75, 0.9], dtype=np.float32)
    (axes,) = figures.confusion_figure(labels, probability, 0.6).axes
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    # Positions are (column, row): the prediction runs along x. As float32 0.6 lies just above 0.6.
    assert texts == {
        (0, 0): "2\n66.7 % of low",
        (1, 0): "1\n33.3 % of low",
        (0, 1): "1\n25.0 % of high",
        (1, 1): "3\n75.0 % of high",
    }
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3], [1 / 4, 3 / 4]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["low", "high"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    assert axes.get_xlabel() == "Predicted expression (high: probability ≥ 0.6)"
    assert axes.get_ylabel() == "Observed expression"


def test_confusion_figure_of_one_class():
    (axes,) = figures.confusion_figure([1, 1], [0.2, 0.9], 0.5).axes
    assert [text.get_text() for text in axes.texts][:2] == ["0\n0.0 % of low"] * 2


@pytest.mark.parametrize("draw", [figures.roc_figure, figures.precision_recall_figure])
def test_curves_need_both_classes(draw):
    with pytest.raises(DataError, match="all 2 have label 1"):
        draw([1, 1], [0.2, 0.9])


def test_nothing_is_clipped(scored):
    labels, probability = scored
    for figure in (
        figures.loss_figure(_history(0.6, 0.8)),
        figures.roc_figure(labels, probability, Interval(0.7, 0.6, 0.8)),
        figures.precision_recall_figure(labels, probability, Interval(0.7, 0.6, 0.8)),
        figures.calibration_figure(labels, probability),
        figures.confusion_figure(labels, probability, 0.123456),
    ):
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01


def test_save_writes_a_png_of_the_figure_size(scored, tmp_path):
    path = tmp_path / "roc.png"
    save(figures.roc_figure(*scored), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    # Width and height open the first chunk: 4 inches at 200 dots.
    assert [int.from_bytes(content[start : start + 4], "big") for start in (16, 20)] == [800, 800]


def test_save_writes_vectors_without_a_date(scored, tmp_path):
    for name in ("roc.test.svg", "roc.test.pdf"):
        save(figures.roc_figure(*scored), tmp_path / name)
    svg, pdf = ((tmp_path / name).read_bytes() for name in ("roc.test.svg", "roc.test.pdf"))
    assert svg.startswith(b"<?xml")
    assert b"dc:date" not in svg
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf


def test_pyplot_stays_out():
    code = "import sys, raygenex.drawing.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
