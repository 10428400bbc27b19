"""The page of a report: its numbers are the files', it needs nothing else, and what users name is text."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import toy_runs
from toy_pages import Page

from raygenex import __version__
from raygenex.benchmark.tables import PUBLISHED
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.drawing.html import source
from raygenex.report.collect import Registered, collect
from raygenex.report.drawing import along_the_promoter
from raygenex.report.page import render_page
from raygenex.report.studies import Benchmark, StudyTable, StudyTrial

DAY = "2026-01-02"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return toy_runs.make_full_run(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def facts(run):
    return collect(run[1])


@pytest.fixture(scope="module")
def text(facts):
    return render_page(facts, DAY)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_numbers_are_those_of_the_files(run, page):
    numbers = json.loads((run[1] / "evaluation" / "valid" / "metrics.json").read_text())
    for value in numbers["metrics"].values():
        assert f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" in page.words
    (tn, fp), (fn, tp) = numbers["confusion"]
    assert f"observed low {tn} {100 * tn / 20:.1f} % {fp} {100 * fp / 20:.1f} %" in page.words
    assert f"observed high {fn} {100 * fn / 20:.1f} % {tp} {100 * tp / 20:.1f} %" in page.words
    area = numbers["metrics"]["auroc"]
    assert f"ranks the 40 genes of valid with an AUROC of {area['value']:.3f} (95 % interval" in page.words
    assert f"(50 resamples); valid: n = {numbers['genes']} genes" in page.words


def test_simple_models_are_beside_the_trained_one(run, page):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    train, valid = (read_table(inspect(run[0].data.split(name)[0])) for name in ("train", "valid"))
    mean, sd = train.halflife.mean(axis=0), train.halflife.std(axis=0)
    model = LogisticRegression().fit((train.halflife - mean) / sd, train.label)
    area = roc_auc_score(valid.label, model.predict_proba((valid.halflife - mean) / sd)[:, 1])
    numbers = json.loads((run[1] / "evaluation" / "valid" / "metrics.json").read_text())
    lead = numbers["metrics"]["auroc"]["value"] - area
    assert f"half-life features {area:.3f} {lead:+.3f} (".replace("-0", "\N{MINUS SIGN}0") in page.words
    assert "GC content and CpG ratio 0." in page.words
    assert "both 0." in page.words


def test_the_papers_rows_are_marked_as_of_other_data(page):
    for kind in PUBLISHED["test"]:
        values = [f"{value:.4f}" for split in ("valid", "test") for value in PUBLISHED[split][kind]]
        assert f"{kind} published, other data {' '.join(values)}" in page.words
    assert "published for other data: Duan, Huang and Li, GM12878, hg19" in page.words


def test_every_part_of_a_full_run_is_there(page, facts):
    assert [text for level, text in page.headings if level == 2] == [
        "What was trained on what",
        "Data",
        "How good it is",
        "Learning",
        "Other models",
        "Search of settings",
        "What it looks at",
        "How to use it",
        "How this page was made",
    ]
    assert page.headings[0] == (1, "toy: cnn_halflife_encoded")
    levels = [level for level, _ in page.headings]
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    for words in (
        f"Report {DAY}, raygenex {__version__}",
        "raygenex 0.1.0, torch 9.8.7",
        f"hash {facts.config.hash()}",
        "epoch 2 of 0 to 2 kept",
        "3 0.7303 finished 0.25 0 0.7101 finished 0.5 2 0.6902 stopped 0.7",
        "n = 4 trials, 1 of them stopped early and 1 failed",
        "broken, seed 0, failed: no <GPU>",
        "silhouette \N{MINUS SIGN}0.12, 88 % of the 15 nearest genes of one class",
        "Not finished yet: mutagenesis",
        "pos <0> 33",
        f"{toy_runs.ODD}, -5 to 4 by Saliency",
        "20 bases a promoter, as single bases",
        "dropout: 0.25",
        facts.trained.sha256,
        facts.trained.info.fingerprints["train"][0],
    ):
        assert words in page.words, words
    assert "Nothing was measured on test with this model: raygenex evaluate CONFIG --split test" in page.words
    assert "This model is not registered; raygenex register CONFIG gives it a name" in page.words


def test_figures_can_be_heard(page):
    drawn = [values for tag, values in page.elements if tag == "svg"]
    assert all(values["role"] == "img" and values["aria-label"] for values in drawn)
    titles = [values["aria-label"] for values in drawn]
    assert len(titles) == len(set(titles))
    for title in (
        "ROC curve on valid",
        "Precision and recall on valid",
        "Calibration on valid",
        "Losses and validation AUROC by epoch",
        "Valid AUROC by trial",
        "Genes of valid by predicted class",
        "Genes of valid by predicted probability",
        "Saliency along the promoter, valid",
        "The 5 most important positions by Saliency, valid",
        "Half-life features, Shapley values, valid",
        "Half-life features, loss of AUROC, valid",
        f"Logo of {toy_runs.ODD}, -5 to 4 by Saliency",
    ):
        assert title in titles, title


def test_nothing_but_the_page_is_needed(text, page):
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"url\((?!#)|@import|<iframe|<img", text)
    for tag, values in page.elements:
        assert not [name for name in values if name.startswith("on")], (tag, values)
        for key in ("src", "href", "srcset", "data", "action"):
            assert (values.get(key) or "#").startswith(("#", "data:")), (tag, values)
    assert len(text) < 1_500_000


def test_no_script_runs_but_its_own(text, page):
    digest = base64.b64encode(hashlib.sha256(source("report/report.js").encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text
    assert f"<script>{source('report/report.js')}</script>" in text
    scripts = [values.get("type") for tag, values in page.elements if tag == "script"]
    assert scripts == ["application/json", "application/json", None]
    assert "alert(1)" not in text


def test_what_users_name_is_text(text, page):
    assert toy_runs.ODD in page.text
    assert "<b>G&" not in text
    assert "small <x>" in page.text
    assert "<x>" not in text


def test_genes_of_the_projection_have_places(text, facts):
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    for block in blocks:
        genes = json.loads(block)
        assert genes["id"][0] == toy_runs.ODD
        assert genes["label"] == facts.explained["valid"].projection.label.tolist()
        assert len(genes["x"]) == len(genes["y"]) == len(genes["p"]) == 40
        assert all(0 < value < 10_000 for value in genes["x"] + genes["y"])
    first = facts.explained["valid"].projection.xy
    x, y = json.loads(blocks[0])["x"], json.loads(blocks[0])["y"]
    # From left to right, and from the top down.
    assert x.index(max(x)) == first[:, 0].argmax()
    assert y.index(max(y)) == first[:, 1].argmin()


def test_the_same_facts_give_the_same_page(facts, text):
    assert render_page(facts, DAY) == text


@pytest.mark.usefixtures("blank_figures")
def test_little_is_said_to_be_missing(tmp_path):
    _, folder = toy_runs.make_run(tmp_path)
    words = Page(render_page(collect(folder), DAY)).words
    for command in (
        "Nothing was measured on valid with this model: raygenex evaluate CONFIG --split valid",
        "Nothing was measured on test with this model: raygenex evaluate CONFIG --split test",
        "raygenex benchmark CONFIG",
        "raygenex tune CONFIG",
        "raygenex explain CONFIG",
        "raygenex register CONFIG",
        f"raygenex predict CONFIG genes.h5 --output scores.csv --model {folder}/checkpoint",
    ):
        assert command in words, command
    assert "AUROC of" not in words


@pytest.mark.usefixtures("blank_figures")
def test_a_comparison_without_a_model(tmp_path):
    toy_runs.add_benchmark(tmp_path / "runs" / "toy")
    config = tmp_path / "toy.yaml"
    config.write_text(f"name: toy\noutput: {tmp_path / 'runs'}\n")
    page = Page(render_page(collect(config), DAY))
    assert page.headings[0] == (1, "toy: no model yet")
    assert "No model was trained under this name: raygenex run CONFIG" in page.words
    assert "lstm" in page.words


def test_the_page_is_of_the_model_that_was_trained(run, facts, tmp_path):
    config, _ = run
    values = {
        "name": "toy",
        "output": config.output,
        "data": {"train": list(config.data.train), "valid": list(config.data.valid)},
        "model": {"kind": "lstm"},
        "evaluate": {"threshold_metric": "f1"},
        "explain": {"smoothing": 51},
    }
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps(values))
    text = render_page(collect(path), DAY)
    page = Page(text)
    assert page.headings[0] == (1, "toy: cnn_halflife_encoded")
    assert " ".join(type(config.model).__doc__.split()) in page.words
    assert "the cut of valid with the best mcc" in page.words
    assert "cnn_halflife_encoded this run, toy" in page.words
    assert f"moving average of {toy_runs.SMOOTHING} bases" in text
    assert "51 bases" not in text
    # An explanation that does not say how it was smoothed.
    found = facts.explained["valid"]
    silent = replace(found, manifest=found.manifest.model_copy(update={"summary": {}}))
    assert "moving average" not in "".join(one.svg for one in along_the_promoter(silent))


def test_correlations_have_two_decimals(page):
    assert "saliency deeplift \N{MINUS SIGN}0.12 40" in page.words


@pytest.mark.usefixtures("blank_figures")
def test_no_password_in_what_went_wrong(tmp_path):
    _, folder = toy_runs.make_run(tmp_path, tracking={"uri": "http://bob:secret@127.0.0.1:9"})
    facts = collect(folder)
    assert "127.0.0.1:9" in facts.unregistered
    address = "s3://bob:sec@ret@store/a.h5"
    benchmark = Benchmark((), (("lstm", 0, f"no {address}"),), "test", 1, None, 0.95, None)
    study = StudyTable((), (StudyTrial(0, "finished", 0.5, {}),), f"uri: {address}")
    data = replace(facts.data, report=None, missing=f"{address} is away")
    text = render_page(replace(facts, notes=(f"no {address}",), benchmark=benchmark, study=study, data=data), DAY)
    words = Page(text).words
    assert not re.search("bob|secret|sec@|ret@", text)
    assert "no MLflow server answers at http://127.0.0.1:9 (" in words
    assert words.count("s3://store/a.h5") == 4


@pytest.mark.usefixtures("blank_figures")
def test_a_registered_model_and_no_password(facts):
    tracking = facts.config.tracking.model_copy(update={"uri": "http://me:secret@mlflow.example.org"})
    config = facts.config.model_copy(update={"tracking": tracking})
    info = facts.trained.info.model_copy(update={"config": config.dump()})
    named = replace(
        facts,
        config=config,
        trained=replace(facts.trained, info=info),
        registered=Registered("promoters", "7", ("candidate", "champion")),
    )
    text = render_page(named, DAY)
    words = Page(text).words
    assert "secret" not in text
    assert 'mlflow.set_tracking_uri("http://mlflow.example.org")' in words
    assert "version 7 of promoters, alias candidate, champion" in words
    assert "--model models:/promoters/7" in words
    code = re.search(r"genes = pd.DataFrame\((\[.*?\])\)", words)
    (row,) = eval(code[1])
    assert row["sequence"] == "N" * toy_runs.WINDOW
    assert set(row) == {"sequence", *facts.trained.info.inputs.features}


@pytest.mark.parametrize(
    "name", ["</script><script>x()</script>", "<img src=x onerror=x()>", '" onclick="x()', "]]><!--"]
)
def test_names_of_genes_are_text_and_nothing_else(tmp_path, monkeypatch, name, page):
    monkeypatch.setattr(toy_runs, "ODD", name)
    config, folder = toy_runs.make_run(tmp_path)
    toy_runs.add_evaluation(folder, config.data.valid[0])
    text = render_page(collect(folder), DAY)
    found = Page(text)
    assert text.count("<script") == text.count("</script>") <= 1 + text.count('type="application/json"')
    tags = [tag for tag, _ in found.elements]
    assert "img" not in tags
    assert not any(attribute.startswith("on") for _, values in found.elements for attribute in values)
