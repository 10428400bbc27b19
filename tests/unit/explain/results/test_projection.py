"""The projection of genes: numbers against points laid by hand and scikit-learn, UMAP by what it must keep."""

import csv
import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from raygenex.errors import DataError
from raygenex.explain.results import projection
from raygenex.explain.results.explained import Explained
from raygenex.explain.results.projection_page import render_page, write_page

# Two pairs far apart, and a point between them that is nearer to the right pair.
POINTS = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0], [7, 0]])


def clusters(genes, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.arange(genes) % 2
    return rng.normal(size=(genes, 16)).astype(np.float32) + 6 * classes[:, None], classes.astype(np.int8)


@pytest.fixture
def found():
    prediction = np.array([0, 0, 1, 1, 1], dtype=np.int8)
    label = np.array([0, 1, 1, -1, 0], dtype=np.int8)
    numbers = projection.separation(POINTS, POINTS, prediction, label, 2)
    genes = np.array(["a", "b", "c", "d", "</script><b>e"])
    return projection.Projection(genes, label, np.array([0.1, 0.2, 0.9, 0.8, 0.7]), prediction, POINTS, numbers)


def test_purity_of_hand_made_points():
    classes = np.array([0, 0, 1, 1, 1])
    assert projection.knn_purity(POINTS, classes, 1) == 1
    # Two neighbours: 0 has 1 and 4, 1 has 0 and 4, 2 has 3 and 4, 3 has 2 and 4, 4 has 2 and 3.
    assert projection.knn_purity(POINTS, classes, 2) == pytest.approx((1 + 1 + 2 + 2 + 2) / 10)
    assert projection.knn_purity(POINTS, np.array([0, 1, 0, 1, 0]), 1) == pytest.approx(1 / 5)


def test_a_point_is_not_its_own_neighbour_where_points_coincide():
    assert projection.knn_purity(np.zeros((2, 2)), np.array([0, 1]), 1) == 0


def test_purity_by_chance():
    # 2 x 1 and 3 x 2 ordered pairs of one class among 5 x 4.
    assert projection.chance_purity(np.array([0, 0, 1, 1, 1])) == pytest.approx(8 / 20)
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], [70, 30])
    points = rng.normal(size=(100, 2))
    shuffled = [projection.knn_purity(points, rng.permutation(classes), 5) for _ in range(200)]
    assert np.mean(shuffled) == pytest.approx(projection.chance_purity(classes), abs=0.01)


def test_silhouette():
    points, classes = clusters(30)
    assert projection.silhouette(points, classes) == pytest.approx(silhouette_score(points, classes))
    # By hand: a of the first is 1, b is the mean of 10, 11, and so on.
    four = np.array([[0.0], [1], [10], [11]])
    expected = np.mean([1 - 1 / 10.5, 1 - 1 / 9.5, 1 - 1 / 9.5, 1 - 1 / 10.5])
    assert projection.silhouette(four, np.array([0, 0, 1, 1])) == pytest.approx(expected)
    assert projection.silhouette(four, np.zeros(4)) is None


def test_numbers_without_what_they_need():
    one_class = projection.separation(POINTS, POINTS, np.ones(5, np.int8), np.full(5, -1, np.int8), 15)
    assert one_class["silhouette"] == {"dense": None, "plane": None}
    assert one_class["knn_purity"] == one_class["knn_purity_label"] == {"dense": None, "plane": None, "chance": None}
    assert one_class["neighbours"] == 4


def test_errors(found):
    assert found.error.tolist() == [0, 1, 0, -1, 1]


def test_files(found, tmp_path):
    projection.write_projection(tmp_path, found)
    with (tmp_path / "projection.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["gene_id", "x", "y", "probability", "prediction", "label", "split_error"]
    assert list(rows[1].values()) == ["b", "1.00000", "0.00000", "0.2", "0", "1", "1"]
    assert (rows[3]["label"], rows[3]["split_error"]) == ("", "")
    numbers = json.loads((tmp_path / "projection.json").read_text(encoding="utf-8"))
    assert numbers == found.numbers
    assert numbers["knn_purity"] == {"dense": 0.8, "plane": 0.8, "chance": 0.4}


def test_page_stands_alone(found, tmp_path):
    write_page(tmp_path / "projection.html", found, "Five <genes>", "Of test.")
    text = (tmp_path / "projection.html").read_text(encoding="utf-8")
    assert 3e6 < len(text) < 7e6
    own = text.split("<body>", 1)[1]
    assert "src=" not in own
    assert "Five &lt;genes&gt;" in own
    # A gene's name can end no script.
    assert own.count("</script>") == 2
    assert "&lt;/script>" not in own
    assert own.count("data-view=") == 4


def test_page_holds_every_gene_in_every_view(found):
    text = render_page(found, "t", "c").split('id="figure">', 1)[1].split("</script>", 1)[0]
    figure = json.loads(text)
    names = [trace["name"] for trace in figure["data"]]
    assert names == [
        *("predicted low (2)", "predicted high (3)", "genes"),
        *("label unknown (1)", "low (2)", "high (2)"),
        *("label unknown (1)", "right (2)", "high, predicted low (1)", "low, predicted high (1)"),
    ]
    assert [trace["visible"] for trace in figure["data"]] == [True, True] + [False] * 8
    (hover,) = [trace["text"] for trace in figure["data"] if trace["name"] == "high, predicted low (1)"]
    assert hover == ["b<br>probability 0.200<br>predicted low, label high"]
    assert figure["data"][1]["x"] == [10, 11, 7]


@pytest.mark.slow
def test_umap_is_the_same_for_one_seed_and_keeps_clusters_apart():
    dense, classes = clusters(40)
    genes = Explained(np.arange(40).astype(str), classes, classes.astype(np.float64), dense, 0.5, "test", 0, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        one, same = (projection.project(genes, neighbours=10) for _ in range(2))
    np.testing.assert_array_equal(one.xy, same.xy)
    assert one.numbers["knn_purity"]["plane"] > 0.9
    assert one.numbers["silhouette"]["plane"] > one.numbers["silhouette"]["dense"] > 0.2
    assert (one.numbers["neighbours"], one.numbers["seed"]) == (10, 4)


# The first projection of a process compiles UMAP.
@pytest.mark.slow
@pytest.mark.parametrize("genes", [5, 6, 15, 16])
def test_umap_of_fewer_genes_than_neighbours(genes):
    dense, _ = clusters(genes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        xy = projection.embed(dense, 15, 0.1, 0)
    assert xy.shape == (genes, 2)
    assert np.isfinite(xy).all()


@pytest.mark.parametrize(
    ("dense", "sentence"),
    [
        (np.zeros((4, 3)), "4 genes are too few for a projection: explain at least 5"),
        (np.zeros((9, 0)), "no dense layer"),
        (np.full((9, 3), np.nan), "not finite"),
    ],
)
def test_what_cannot_be_projected(dense, sentence):
    with pytest.raises(DataError, match=sentence):
        projection.embed(dense, 15, 0.1, 0)
