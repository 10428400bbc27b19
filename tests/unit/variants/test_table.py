import csv
import math
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from raygenex.variants.figures import POINTS, caption, draw_effects, write_effects
from raygenex.variants.table import COLUMNS, SUFFIXES, TableWriter


def rows(n):
    values = {
        "string": ["a,b\t'c'"] * n,
        "int64": list(range(n)),
        "int8": [None, 1][:n],
        "bool": [True, False][:n],
        "float64": [0.1 + 0.2, math.nan][:n],
    }
    return {name: values[kind] for name, kind in COLUMNS.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_blocks_become_one_table_that_reads_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with TableWriter(path, suffix) as table:
        table.write(rows(2))
        table.write(rows(1))
    if suffix == ".parquet":
        found = pq.read_table(path)
        assert found.num_rows == 3
        assert found["prediction_alt"].to_pylist() == [None, 1, None]
        assert found["logit_ref"][0].as_py() == 0.1 + 0.2
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="," if suffix == ".csv" else "\t"))
    assert list(lines[0]) == list(COLUMNS)
    assert [line["ref_match"] for line in lines] == ["true", "false", "true"]
    assert [line["logit_ref"] for line in lines] == ["0.30000000000000004", "", "0.30000000000000004"]
    assert [line["prediction_ref"] for line in lines] == ["", "1", ""]
    assert lines[0]["note"] == "a,b\t'c'"


def test_few_effects_are_points_and_many_are_bands():
    position = np.array([-3, 0, 2], dtype=np.int32)
    delta = np.array([0.5, -0.5, 0.0], dtype=np.float32)
    axes = Figure().subplots()
    assert draw_effects(axes, position, delta, -4, 4) is axes
    assert [len(points.get_offsets()) for points in axes.collections] == [1, 2]
    assert axes.get_xlabel() == "Position of the variant (bases from the TSS)"
    assert caption(delta) == (
        "n = 3 pairs of an allele and a gene (1 raise the logit, 1 lower it); filled: rises, open: falls or stays"
    )
    many = np.random.default_rng(0).integers(-4, 4, POINTS + 1).astype(np.int32)
    axes = draw_effects(Figure().subplots(), many, many.astype(np.float32), -4, 4)
    # A position is a bin here, and all of its effects are one number: the median is the position.
    x, y = axes.lines[-1].get_data()
    known = ~np.isnan(y)
    assert known.sum() == 8
    np.testing.assert_array_equal(y[known], np.arange(-4, 4))
    assert np.abs(x[known] - np.arange(-4, 4)).max() < 1
    assert [text.get_text() for text in axes.get_legend().get_texts()][-1] == "median"


def test_effects_that_begin_outside_the_window_are_drawn_at_its_end():
    axes = draw_effects(Figure().subplots(), np.array([-9, 2], np.int32), np.array([1, 2], np.float32), -4, 4)
    assert axes.collections[0].get_offsets().tolist() == [[-4, 1], [2, 2]]
    assert axes.get_xlim() == (-4.5, 3.5)


def test_the_plot_is_written_twice_and_alike(tmp_path):
    position, delta = np.array([-3, 4], dtype=np.int32), np.array([0.5, -0.5], dtype=np.float32)
    for name in ("a", "b"):
        write_effects(position, delta, -4, 8, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    text = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert "n = 2 pairs of an allele and a gene" in text
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
