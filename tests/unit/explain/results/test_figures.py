"""Figures of what a model looks at, by the data and the words that they draw."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.drawing.style import COLOURS
from raygenex.drawing.svg import draw
from raygenex.explain.results import feature_figures, figures
from raygenex.explain.results.figure_words import caption
from raygenex.explain.results.profile import profiles, top_positions
from raygenex.explain.results.projection import Projection
from raygenex.explain.results.words import Words


@pytest.fixture
def axes():
    return Figure(figsize=(4, 3), layout="constrained").subplots()


@pytest.fixture
def found():
    xy = np.arange(12.0).reshape(6, 2)
    probability = np.array([0.1, 0.6, 0.9, 0.4, 0.8, 0.45])
    label = np.array([0, 0, 1, 1, -1, 0], dtype=np.int8)
    gene_id = np.array(list("abcdef"))
    return Projection(gene_id, label, probability, (probability >= 0.5).astype(np.int8), xy, {})


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def parts(axes):
    return {part.get_label(): part for part in axes.collections}


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_projection_by_prediction(axes, found):
    assert figures.projection(axes, found, "prediction") is axes
    drawn = parts(axes)
    assert legend(axes) == list(drawn) == ["predicted low (3)", "predicted high (3)"]
    np.testing.assert_array_equal(drawn["predicted high (3)"].get_offsets(), found.xy[[1, 2, 4]])
    assert tuple(drawn["predicted low (3)"].get_facecolor()[0][:3]) == to_rgba(COLOURS["blue"])[:3]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("UMAP 1 (no unit)", "UMAP 2 (no unit)")


def test_projection_by_label_and_by_error(axes, found):
    figures.projection(axes, found, "label")
    assert legend(axes) == ["label unknown (1)", "low (3)", "high (2)"]
    other = Figure().subplots()
    figures.projection(other, found, "error")
    assert legend(other) == ["label unknown (1)", "right (3)", "high, predicted low (1)", "low, predicted high (1)"]
    np.testing.assert_array_equal(parts(other)["low, predicted high (1)"].get_offsets(), found.xy[[1]])


def test_projection_by_probability(axes, found):
    figures.projection(axes, found, "probability")
    (points,) = axes.collections
    # The least certain are drawn last.
    np.testing.assert_array_equal(points.get_array(), [0.1, 0.9, 0.8, 0.6, 0.4, 0.45])
    np.testing.assert_array_equal(points.get_offsets()[-1], found.xy[5])
    assert points.norm.vmin == 0
    assert points.norm.vmax == 1
    assert points.get_cmap().name == "cividis"
    (bar,) = [other for other in axes.figure.axes if other is not axes]
    assert bar.get_ylabel() == "Probability of high expression"


def test_importance_profile(axes):
    values = np.array([[1, -2, 3], [3, 2, 1], [5, 5, 5]], dtype=np.float32)
    found = profiles(values, np.array([True, True, False]), -1)
    assert figures.importance_profile(axes, found, 1) is axes
    high, low, tss = axes.lines
    np.testing.assert_array_equal(high.get_xydata(), [(-1, 2), (0, 2), (1, 2)])
    np.testing.assert_array_equal(low.get_xydata(), [(-1, 5), (0, 5), (1, 5)])
    assert list(tss.get_xdata()) == [0, 0]
    assert legend(axes) == ["predicted high (2)", "predicted low (1)"]
    assert (high.get_linestyle(), low.get_linestyle()) == ("-", "--")
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.x0, band.x1, band.y0, band.y1) == (-1, 1, 1, 3)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Bases from the TSS", "Mean |attribution| (logit)")
    assert axes.get_ylim()[0] == 0


def test_importance_profile_states_its_smoothing_and_can_show_all_genes(axes):
    found = profiles(np.ones((2, 9), dtype=np.float32), np.ones(2, dtype=bool), 0, smoothing=3)
    figures.importance_profile(axes, found, 3, ("all",))
    assert "moving average of 3 bases" in axes.get_ylabel()
    assert legend(axes) == ["all genes (2)"]


def test_the_band_of_a_long_promoter_keeps_its_peak(axes):
    values = np.zeros((3, 20_000), dtype=np.float32)
    values[:, 12_345] = 7
    found = profiles(values, np.ones(3, dtype=bool), -10_000, resamples=50)
    figures.importance_profile(axes, found, 1)
    (path,) = axes.collections[0].get_paths()
    assert len(path.vertices) < 5_000
    assert path.vertices[:, 1].max() == 7
    assert axes.lines[0].get_xydata()[12_345].tolist() == [2_345, 7]


def test_top_heatmap(axes):
    values = np.array([[1, -2, 0, 4], [3, 2, 0, 0], [5, 5, 5, 5]], dtype=np.float32)
    top = top_positions(values, np.array(["a", "b", "c"]), np.array([0.6, 0.9, 0.1]), 0.5, -1, positions=3)
    assert figures.top_heatmap(axes, top) is axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), [[3, 2, 0], [1, -2, 4]])
    assert ticks(axes.xaxis) == ["\N{MINUS SIGN}1", "0", "+2"]
    assert ticks(axes.yaxis) == ["b", "a"]
    assert image.norm.vmin == -image.norm.vmax
    assert image.get_cmap().name == "PuOr_r"


def test_top_heatmap_of_one_sign_and_of_many_genes(axes):
    values = np.abs(np.random.default_rng(0).normal(size=(40, 5))).astype(np.float32)
    top = top_positions(values, np.arange(40).astype(str), np.ones(40), 0.5, 0)
    figures.top_heatmap(axes, top, "clustered")
    (image,) = axes.images
    assert (image.norm.vmin, image.get_cmap().name) == (0, "cividis")
    assert axes.get_ylabel() == "40 genes, clustered"
    # The same genes, in another order.
    assert sorted(map(tuple, image.get_array().tolist())) == sorted(map(tuple, values.tolist()))
    assert (image.get_array() != values).any()


def test_top_heatmap_of_nothing_but_zeros(axes):
    top = top_positions(np.zeros((2, 3), dtype=np.float32), np.array(["a", "b"]), np.ones(2), 0.5, 0)
    figures.top_heatmap(axes, top)
    axes.figure.draw_without_rendering()


def test_halflife_strips(axes):
    rng = np.random.default_rng(0)
    attribution = rng.normal(size=(50, 8)) * 2.0 ** np.arange(8)
    assert feature_figures.halflife_strips(axes, attribution, HALFLIFE_FEATURES, rng.normal(size=(50, 8))) is axes
    assert ticks(axes.yaxis) == list(reversed(HALFLIFE_FEATURES))
    first = axes.collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(first[:, 0]), np.sort(attribution[:, 7]))
    assert np.abs(first[:, 1]).max() <= 0.41
    assert len(axes.collections) == 8
    assert axes.get_xlabel() == "Shapley value (logit)"


def test_halflife_strips_of_one_colour_and_constant_values(axes):
    feature_figures.halflife_strips(axes, np.zeros((3, 2)), ("a", "b"))
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.zeros((3, 2)))
    assert axes.figure.axes == [axes]


def test_permutation_bars(axes):
    names = ("a", "b", "c")
    assert (
        feature_figures.permutation_bars(axes, names, [0.1, 0.3, -0.01], [0.05, 0.2, -0.03], [0.2, 0.35, 0.0]) is axes
    )
    assert ticks(axes.yaxis) == ["b", "a", "c"]
    assert [bar.get_width() for bar in axes.patches] == [0.3, 0.1, -0.01]
    (arms,) = axes.collections
    ends = [segment[:, 0].tolist() for segment in arms.get_segments()]
    np.testing.assert_allclose(ends, [[0.2, 0.35], [0.05, 0.2], [-0.03, 0.0]])
    assert axes.get_xlabel() == "Loss of AUROC when shuffled"


def test_agreement_scatter(axes):
    methods = ("saliency", "deeplift")
    assert figures.agreement_scatter(axes, methods, [1.0, 2, np.nan], [3.0, 4, 5], -0.25) is axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[1, 3], [2, 4]])
    assert axes.get_title(loc="left") == "Spearman \N{MINUS SIGN}0.25, median over genes"
    assert axes.get_xlabel() == "Saliency\nmean |attribution| (logit)"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    other = figures.agreement_scatter(Figure().subplots(), methods, [0.0, 1], [1, 2], 0.5)
    assert other.get_xscale() == "linear"


def test_pages_can_recolour_a_figure(found):
    svg = draw("projection", "Genes", (4, 4), lambda axes: figures.projection(axes, found, "prediction"))
    assert "var(--red, #d55e00)" in svg
    assert "predicted high (3)" in svg


def test_caption():
    assert caption("A.", 1, "test") == "A. n = 1 gene of test."
    assert caption("A.", 990, "test", "saliency", 50, 0.9) == (
        "A. n = 990 genes of test. Method: saliency. Centred moving average of 50 bases. "
        "Intervals: 90 %, by resampling genes."
    )
    assert caption("A.", 2, "valid", "deeplift", 1) == "A. n = 2 genes of valid. Method: DeepLIFT. Not smoothed."


def test_a_quantity_is_drawn_by_value_in_its_own_words(axes, found):
    words = Words(unit="level, TPM", predicted="Predicted level, TPM", measured="Measured level, TPM", is_quantity=True)
    measured = np.array([3.0, np.nan, 1.0, 2.0, np.nan, 0.0])
    quantity = Projection(**(vars(found) | {"measured": measured, "words": words}))
    figures.projection(axes, quantity, "measured")
    crosses, points = axes.collections
    assert len(crosses.get_offsets()) == 2
    # The highest last, so that it lies on top.
    assert points.get_array().tolist() == [0, 1, 2, 3]
    assert axes.figure.axes[1].get_ylabel() == "Measured level, TPM"


def test_axes_say_the_unit_of_a_target(axes):
    feature_figures.halflife_strips(axes, np.ones((3, 8)), HALFLIFE_FEATURES, words=Words(unit="ln reads"))
    assert axes.get_xlabel() == "Shapley value (ln reads)"


def test_strips_draw_genes_without_a_value_in_grey(axes):
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    feature_figures.halflife_strips(axes, np.array([[3.0, 0.1], [-3.0, 0.2], [2.0, 0.3]]), ("part", "none"), values)
    grey = [dots for dots in axes.collections if dots.get_array() is None and len(dots.get_offsets())]
    assert [len(dots.get_offsets()) for dots in grey] == [1, 3]
    assert grey[0].get_offsets()[0, 0] == 2.0
    coloured = next(dots for dots in axes.collections if dots.get_array() is not None and len(dots.get_offsets()))
    assert coloured.get_array().tolist() == [0.0, 1.0]
    axes.figure.draw_without_rendering()
