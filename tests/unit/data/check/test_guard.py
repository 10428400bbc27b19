"""The verdict on leaks before a training."""

import json
import logging
import os

import h5py
import pytest

from raygenex.config.load import parse_config
from raygenex.data.check import guard as module
from raygenex.data.check.check import check
from raygenex.data.check.guard import Verdict, guard, keep_verdict
from raygenex.errors import DataError


@pytest.fixture
def run(built, tmp_path):
    """Return a function that makes the configuration of a run; one of the four genes of valid overlaps with train."""

    def make(valid=(110, 1000, 2000, 3000), **sections):
        paths = {"train": built("train.h5", [100, 200], prefix="T"), "valid": built("valid.h5", valid, prefix="V")}
        return parse_config({"output": str(tmp_path / "runs"), "data": paths, **sections}, "test")

    return make


@pytest.fixture
def no_check(monkeypatch):
    """Make the full check fail: what is known need not be looked for again."""

    def fail(*arguments, **more):
        raise AssertionError("the promoters were read again")

    return lambda: monkeypatch.setattr(module, "look", fail)


def verdicts(config):
    return sorted(os.listdir(f"{config.output_root}/checks"))


def test_a_leak_is_a_warning(run, caplog):
    with caplog.at_level(logging.WARNING):
        verdict = guard(run(), strict=False)
    assert verdict.worst == 0.25
    assert verdict.sentence.startswith("1 of the 4 genes of valid (25.0%) leak from train (1 by overlapping windows")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("raygenex.data.check.guard", "WARNING")
    assert record.getMessage() == f"LEAK between splits: {verdict.sentence}"


def test_strict_stops(run, sentence, caplog):
    config = run()
    with pytest.raises(DataError) as info:
        guard(config, strict=True)
    sentence(info, "1 of the 4 genes of valid", "V0 from T0", "check.max_leaked is 1.0%", "raygenex data split")
    assert caplog.records == []


def test_nothing_leaks_and_nothing_is_said(run, caplog):
    with caplog.at_level(logging.DEBUG):
        assert guard(run(valid=(1000, 2000)), strict=True) == Verdict(0, "")
    assert caplog.records == []


def test_promoters_without_bases_are_a_warning_each_time(run, caplog, no_check):
    config = run(valid=(1000, 2000))
    with h5py.File(config.data.train[0], "r+") as handle:
        handle["promoter"][1] = False
    for _ in range(2):
        verdict = guard(config, strict=True)
        assert verdict == Verdict(0, "", "train: no base is known of the promoters of T1")
        no_check()
    first, second = (record.getMessage() for record in caplog.records)
    assert first == second == f"{verdict.without_bases}: leave these genes out, or write their promoters again"


@pytest.mark.parametrize(("limit", "warns"), [(0.24, True), (0.25, False), (1.0, False)])
def test_as_much_as_the_limit_may_leak(run, caplog, limit, warns):
    verdict = guard(run(check={"max_leaked": limit}), strict=False)
    assert verdict.worst == 0.25
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warns


def test_the_verdict_is_kept(run, no_check, caplog):
    config = run()
    first = guard(config, strict=False)
    assert len(verdicts(config)) == 1
    no_check()
    assert guard(config, strict=False) == first
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    with pytest.raises(DataError, match="1 of the 4 genes"):
        guard(config, strict=True)


def test_a_verdict_without_a_leak_is_kept_too(run, no_check):
    config = run(valid=(1000, 2000))
    guard(config, strict=True)
    no_check()
    assert guard(config, strict=True) == Verdict(0, "")


def test_the_verdict_of_a_full_check_is_the_one_that_counts(run, no_check):
    config = run()
    kept = keep_verdict(config, check(config.data, config.check))
    no_check()
    assert guard(config, strict=False) == kept


@pytest.mark.parametrize("content", ["", "{", "[]", '{"worst": 0.0}', '{"worst": "much", "sentence": ""}', "\udcff"])
def test_a_damaged_verdict_is_made_anew(run, content):
    config = run()
    first = guard(config, strict=False)
    (name,) = verdicts(config)
    path = f"{config.output_root}/checks/{name}"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(content)
    assert guard(config, strict=False) == first
    assert verdicts(config) == [name]
    with open(path, encoding="utf-8") as stream:
        assert json.load(stream) == {"worst": 0.25, "sentence": first.sentence, "without_bases": ""}


def test_other_data_or_another_rule_need_a_verdict_of_their_own(run, built, no_check):
    config = run()
    guard(config, strict=False)
    no_check()

    def other(**sections):
        values = config.dump()
        return parse_config(values | {name: values[name] | section for name, section in sections.items()}, "test")

    # A run of another model has the same data.
    assert guard(other(train={"epochs": 3}), strict=False).worst == 0.25
    for changed in (
        other(check={"promoter": 0.6}),
        other(data={"window": 20}),
        other(data={"test": built("test.h5", [7000, 8000], prefix="X")}),
        other(data={"valid": built("valid.h5", [111, 1000], prefix="V")}),
    ):
        with pytest.raises(AssertionError, match="read again"):
            guard(changed, strict=False)


def test_a_folder_that_cannot_be_written(run, tmp_path, sentence):
    config = run()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "checks").write_text("")
    with pytest.raises(DataError) as info:
        keep_verdict(config, check(config.data, config.check))
    sentence(info, tmp_path / "runs" / "checks", "cannot be written", "set output to another folder")


def test_how_many_processes_look_changes_no_verdict(run, no_check):
    verdict = guard(run(), strict=False)
    no_check()
    assert guard(run(check={"workers": 2}), strict=False) == verdict
    assert run(check={"workers": 1}).hash() == run().hash()
