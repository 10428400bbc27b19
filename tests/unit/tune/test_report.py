"""The table, the plots and the best settings."""

import csv
import re

import pytest

from raygenex.config.load import load_config, parse_config
from raygenex.tune.records import Ledger, StudyState, TrialRecord
from raygenex.tune.report import best_yaml, choose, pareto_front, write_report
from raygenex.tune.space import Space


def record(number, auroc, state="finished", params=None, **values):
    return TrialRecord(
        number=number,
        params=params or {},
        state=state,
        reason="all 2 epochs",
        history=[{"epoch": 0.0, "valid_auroc": auroc}],
        values={"valid_auroc": auroc, **values} if state != "failed" else {},
        training_s=2.5,
        wall_s=3.0,
    )


def options(**tune):
    return parse_config({"tune": tune}, "test").tune


def test_the_best_is_the_first_of_the_highest_auroc():
    assert choose([record(0, 0.7), record(1, 0.8, "stopped"), record(2, 0.8)], options()).number == 1


def test_with_more_objectives_the_cheapest_near_the_best():
    trials = [record(0, 0.80, size_mb=9.0), record(1, 0.797, size_mb=2.0), record(2, 0.79, size_mb=1.0)]
    both = {"objectives": ["valid_auroc", "size_mb"]}
    assert choose(trials, options(**both)).number == 1
    assert choose(trials, options(**both, tolerance=0)).number == 0
    assert choose(trials, options(**both, tolerance=0.1)).number == 2


def test_the_pareto_front_by_hand():
    trials = [
        record(0, 0.80, size_mb=9.0),
        record(1, 0.79, size_mb=9.5),
        record(2, 0.78, size_mb=2.0),
        record(3, 0.78, size_mb=2.0),
        record(4, 0.70, size_mb=2.0),
        record(5, 0.60, size_mb=1.0),
    ]
    assert [one.number for one in pareto_front(trials, ("valid_auroc", "size_mb"))] == [0, 2, 3, 5]


@pytest.fixture
def study(tmp_path):
    space = {"model.dropout": {"uniform": [0, 0.8]}, "model.channels": {"choice": [[8], [16, 8]]}}
    config = parse_config(
        {
            "name": "toy",
            "data": {"train": "a.h5", "valid": ["b.h5"]},
            "model": {"kind": "cnn_halflife_raw", "width": 16, "channels": [8]},
            "tune": {"space": space, "trials": 6},
        },
        "test",
    )
    ledger = Ledger(tmp_path / "tune")
    ledger.begin(StudyState(identity="x", run_id="y"))
    for number in range(6):
        params = {"model.dropout": 0.1 * number, "model.channels": ["[8]", "[16, 8]"][number % 2]}
        ledger.keep(record(number, 0.6 + 0.01 * number, "failed" if number == 3 else "finished", params))
    return Space(config), ledger


def test_best_yaml_is_a_configuration_that_gives_the_settings(study, tmp_path):
    space, ledger = study
    (tmp_path / "best.yaml").write_text(best_yaml(space, ledger.records[5]))
    config = load_config(tmp_path / "best.yaml")
    assert (config.name, config.model.kind, config.model.dropout, config.model.channels) == (
        *("toy-best", "cnn_halflife_raw"),
        *(0.5, (16, 8)),
    )
    expected = space.settings(ledger.records[5].params)
    for section in ("data", "model", "halflife", "train", "backbone", "seed", "tracking"):
        assert getattr(config, section) == getattr(expected, section)
    assert "tune" not in (tmp_path / "best.yaml").read_text()


def test_the_table_has_every_trial_and_the_plots_need_no_network(study):
    space, ledger = study
    folder = write_report(space, ledger, 60.0)
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert [row["trial"] for row in rows] == list("012345")
    assert rows[3]["state"] == "failed"
    assert rows[3]["valid_auroc"] == ""
    assert (rows[5]["valid_auroc"], rows[5]["model.channels"]) == ("0.65", "[16, 8]")
    assert (rows[5]["training_s"], rows[5]["wall_s"], rows[5]["overhead_s"]) == ("2.50", "3.00", "0.50")
    page = (folder / "plots.html").read_text()
    assert page.count("Plotly.newPlot") == 4
    assert not re.findall(r"<script[^>]+src=", page)
    for title in ("trial by trial", "fANOVA", "Settings and valid AUROC", "along each key"):
        assert title in page
    assert not (folder / "pareto.csv").exists()


def test_plots_of_few_trials_leave_the_importances_out(study):
    space, ledger = study
    for number in (2, 3, 4, 5):
        del ledger.records[number]
    page = (write_report(space, ledger, 1.0) / "plots.html").read_text()
    assert page.count("Plotly.newPlot") == 3


def test_a_study_without_a_result_has_its_table(study):
    space, ledger = study
    for one in ledger.records.values():
        one.state = "failed"
    folder = write_report(space, ledger, 1.0)
    assert [path.name for path in folder.iterdir()] == ["trials.csv"]


def test_best_yaml_finds_the_embeddings_of_the_study(tmp_path):
    values = {"name": "s", "output": str(tmp_path), "backbone": {"kind": "hyenadna"}}
    config = parse_config(values | {"tune": {"space": {"model.dropout": {"uniform": [0, 0.8]}}}}, "test")
    (tmp_path / "best.yaml").write_text(best_yaml(Space(config), record(0, 0.7, params={"model.dropout": 0.3})))
    assert load_config(tmp_path / "best.yaml").store == config.store
