"""Everything that is drawn of an explained split, from arrays alone."""

import csv
import json

import numpy as np
import pytest

from raygenex.config.explain import ExplainConfig
from raygenex.errors import DataError
from raygenex.explain.results.draw import draw_results
from raygenex.explain.results.explained import Explained

GENES, LENGTH, FIRST = 20, 60, -30


@pytest.fixture
def explained():
    rng = np.random.default_rng(0)
    label = (np.arange(GENES) % 2).astype(np.int8)
    return Explained(
        gene_id=np.array([f"G{i}" for i in range(GENES)]),
        label=label,
        probability=np.where(label, 0.9, 0.2) + np.arange(GENES) / 1000,
        dense=(rng.normal(size=(GENES, 8)) + 4 * label[:, None]).astype(np.float32),
        threshold=0.5,
        split="test",
        window_first=FIRST,
        bases=rng.integers(0, 5, (GENES, LENGTH)).astype(np.uint8),
        halflife=rng.normal(size=(GENES, 8)),
    )


@pytest.fixture
def columns(explained):
    rng = np.random.default_rng(1)
    signed = rng.normal(size=(GENES, LENGTH)).astype(np.float32) * 0.1
    signed[:, 40] = 5
    mutated = signed.copy()
    mutated[:, :10] = np.nan
    return {
        "saliency": {"gene_id": explained.gene_id, "attribution": np.abs(signed)},
        "mutagenesis": {"gene_id": explained.gene_id, "attribution": mutated},
        "halflife": {"gene_id": explained.gene_id, "attribution": rng.normal(size=(GENES, 8)).astype(np.float32)},
    }


@pytest.fixture
def undrawn(monkeypatch):
    """Save no figure, which takes most of the time."""
    for module in ("results", "explained"):
        monkeypatch.setattr(f"raygenex.explain.results.{module}.save_figure", lambda *arguments: None)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def without_dense(explained):
    return Explained(**(vars(explained) | {"dense": explained.dense[:, :0]}))


@pytest.mark.slow
def test_everything_is_drawn(explained, columns, tmp_path):
    (tmp_path / "halflife_importance.csv").write_text("feature,drop,low,high\nUTR5LEN,0.02,0.01,0.03\nCDSLEN,0,0,0\n")
    drawn = draw_results(tmp_path, ExplainConfig(), explained, list(columns), columns.__getitem__)
    assert drawn.notes == []
    figures = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert figures == {path.stem for path in (tmp_path / "figures").glob("*.png")} == set(drawn.captions)
    assert figures == {
        *(f"projection_{name}" for name in ("prediction", "probability", "label", "error")),
        *(f"{kind}_{name}" for kind in ("importance", "top") for name in ("saliency", "mutagenesis")),
        *("top_saliency_clustered", "top_mutagenesis_clustered", "agreement_saliency_mutagenesis"),
        *("halflife", "halflife_importance"),
    }
    assert json.loads((tmp_path / "figures" / "captions.json").read_text(encoding="utf-8")) == drawn.captions
    assert "n = 20 genes of test." in drawn.captions["importance_saliency"]["caption"]
    assert "n = 10 genes of test." in drawn.captions["top_saliency"]["caption"]
    assert rows_of(tmp_path / "top_saliency.csv")[0] == {"rank": "1", "position": "10", "importance": "5"}
    assert rows_of(tmp_path / "importance_mutagenesis.csv")[0]["mean"] == ""
    assert len(rows_of(tmp_path / "projection.csv")) == GENES
    assert (tmp_path / "projection.html").stat().st_size > 3e6
    (agreed,) = rows_of(tmp_path / "agreement.csv")
    assert (agreed["method"], agreed["other"]) == ("saliency", "mutagenesis")
    assert float(agreed["spearman_median"]) == pytest.approx(1)
    logos = rows_of(tmp_path / "logos" / "saliency.csv")
    assert len({row["gene_id"] for row in logos}) == len(logos) == 6
    assert (tmp_path / "logos" / logos[0]["file"]).is_file()
    # Every stretch holds the strongest position, 10 bases after the TSS.
    assert all(int(row["first"]) <= 10 <= int(row["last"]) for row in logos)


def test_the_same_results_make_the_same_files(explained, columns, tmp_path, monkeypatch):
    monkeypatch.setattr("raygenex.explain.results.draw.LOGOS", 1)
    methods = {"mutagenesis": columns["mutagenesis"]}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_results(tmp_path / name, ExplainConfig(), without_dense(explained), list(methods), methods.__getitem__)
    for path in (tmp_path / "a").rglob("*"):
        if path.suffix in (".svg", ".csv", ".json"):
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path


def test_what_cannot_be_drawn_is_noted(explained, columns, tmp_path):
    few = Explained(**(vars(without_dense(explained)) | {"probability": np.zeros(GENES), "bases": None}))
    methods = {"saliency": columns["saliency"]}
    drawn = draw_results(tmp_path, ExplainConfig(discover=True), few, list(methods), methods.__getitem__)
    assert drawn.notes == [
        "no projection: the model has no dense layer",
        "saliency: no top positions, as no gene is predicted high",
        "no motifs: no method kept what each base would contribute; set explain.hypothetical=true",
    ]
    assert set(drawn.captions) == {"importance_saliency"}
    assert not (tmp_path / "logos").exists()


def test_windows_too_short_for_motifs_are_noted(explained, columns, tmp_path):
    hypothetical = np.full((GENES, LENGTH, 4), np.nan, dtype=np.float32)
    hypothetical[:, 5:25] = 0
    methods = {"saliency": columns["saliency"] | {"hypothetical": hypothetical}}
    one = Explained(**(vars(without_dense(explained)) | {"probability": np.zeros(GENES)}))
    drawn = draw_results(tmp_path, ExplainConfig(discover=True), one, list(methods), methods.__getitem__)
    assert drawn.notes[-1].startswith("no motifs: attributions of 20 bases are too few")
    assert (tmp_path / "figures" / "captions.json").is_file()


def test_the_stretch_that_is_searched_for_motifs_is_noted(undrawn, explained, columns, tmp_path, monkeypatch):
    monkeypatch.setattr("raygenex.explain.results.draw.discover", lambda bases, hypothetical: [])
    hypothetical = np.zeros((GENES, LENGTH, 4), dtype=np.float32)
    methods = {"saliency": columns["saliency"] | {"hypothetical": hypothetical}}
    settings = ExplainConfig(discover=True)
    one = without_dense(explained)
    whole = draw_results(tmp_path, settings, one, list(methods), methods.__getitem__)
    assert not any("searched" in note for note in whole.notes)
    hypothetical[3, :10] = np.nan
    part = draw_results(tmp_path, settings, one, list(methods), methods.__getitem__)
    # The window begins at -30.
    (note,) = [note for note in part.notes if "searched" in note]
    assert "saliency: only the bases -20 to +29 from the TSS are searched" in note


def test_logos_of_a_short_window_end_with_it(undrawn, explained, columns, tmp_path):
    short = Explained(**(vars(without_dense(explained)) | {"bases": explained.bases[:, :25]}))
    one = {"gene_id": explained.gene_id, "attribution": columns["saliency"]["attribution"][:, :25]}
    draw_results(tmp_path, ExplainConfig(), short, ["saliency"], lambda method: one)
    rows = rows_of(tmp_path / "logos" / "saliency.csv")
    assert {(row["first"], row["last"]) for row in rows} == {("-30", "-6")}


def test_what_has_no_correlation_is_an_empty_field(undrawn, explained, columns, tmp_path):
    constant = columns["saliency"] | {"attribution": np.ones((GENES, LENGTH), dtype=np.float32)}
    methods = {"saliency": constant, "mutagenesis": columns["mutagenesis"]}
    drawn = draw_results(tmp_path, ExplainConfig(), without_dense(explained), list(methods), methods.__getitem__)
    (row,) = rows_of(tmp_path / "agreement.csv")
    assert (row["spearman_median"], row["spearman_lower_quartile"], row["genes"]) == ("", "", "0")
    assert drawn.numbers["agreement"][0]["spearman_median"] is None


def test_a_missing_motif_file_is_named_before_anything_is_drawn(explained, columns, tmp_path):
    settings = ExplainConfig(motifs=str(tmp_path / "none.meme"))
    with pytest.raises(DataError, match=r"none\.meme cannot be read"):
        draw_results(tmp_path, settings, explained, list(columns), columns.__getitem__)
    assert list(tmp_path.iterdir()) == []


def test_columns_of_other_genes_are_a_mistake(explained, columns, tmp_path):
    methods = {"saliency": columns["saliency"] | {"gene_id": explained.gene_id[::-1]}}
    with pytest.raises(AssertionError, match="other genes"):
        draw_results(tmp_path, ExplainConfig(), without_dense(explained), list(methods), methods.__getitem__)
