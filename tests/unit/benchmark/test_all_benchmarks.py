"""The one table of benchmarks/all.py, of scripts that print ratios, print none, fail, or need data."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
FAKE = "import sys; sys.path.insert(0, {folder!r}); from measure import print_ratio\n"


@pytest.fixture
def whole(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("all")
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "RECORDED", tmp_path / "recorded.json")
    return module


def fake(folder, name, code):
    (folder / name).write_text(FAKE.format(folder=str(BENCHMARKS)) + code, encoding="utf-8")


def table(whole, monkeypatch, capsys, scripts, *arguments):
    monkeypatch.setattr(sys, "argv", ["all.py", *arguments])
    whole.main(scripts)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_ratios_are_read_from_lines_of_their_own(whole):
    output = "| ratio a: 1 |\nratio a_b: 1.25\nthe ratio c: 2\nratio d e: 3e-05\n"
    assert whole.read_ratios(output) == {"a_b": 1.25, "d e": 3e-5}


def test_one_table_of_all(whole, monkeypatch, capsys, tmp_path):
    fake(tmp_path, "good.py", "print_ratio('high', 2.5); print_ratio('low', 1.2); print_ratio('more', 7)")
    fake(tmp_path, "bad.py", "raise ValueError('no such thing')")
    fake(tmp_path, "real.py", "print_ratio('real', float(len(sys.argv[1])))")
    scripts = (
        whole.Script("good.py --fast", {"high": ">= 2", "low": "<= 1.1", "gone": ""}),
        whole.Script("bad.py", {"bad": ""}),
        whole.Script("real.py {data}", {"real": ">= 1"}),
    )
    assert table(whole, monkeypatch, capsys, scripts, "--record") == [
        ["high", ">= 2", "2.5", "", "good.py --fast"],
        ["low", "<= 1.1", "1.2, missed", "", "good.py --fast"],
        ["gone", "", "not printed", "", "good.py --fast"],
        ["more", "", "7", "", "good.py --fast"],
        ["bad", "", "failed: ValueError: no such thing", "", "bad.py"],
        ["real", ">= 1", "needs --data", "", "real.py {data}"],
    ]
    kept = json.loads((tmp_path / "recorded.json").read_text())
    assert set(kept) == {"high", "low", "more"}
    assert kept["high"]["ratio"] == 2.5
    assert kept["high"]["command"] == "good.py --fast"
    # What was recorded stands beside what is measured, and is left alone without --record.
    fake(tmp_path, "good.py", "print_ratio('high', 3)")
    (again,) = table(whole, monkeypatch, capsys, scripts[:1], "--only", "high")[:1]
    assert again[2:4] == ["3", f"2.5 ({kept['high']['date']})"]
    assert json.loads((tmp_path / "recorded.json").read_text()) == kept
    (row,) = table(whole, monkeypatch, capsys, scripts, "--only", "real", "--data", str(tmp_path))
    assert float(row[2]) == len(str(tmp_path))


def test_a_script_that_hangs_is_ended(whole, tmp_path):
    fake(tmp_path, "slow.py", "import time; time.sleep(600)")
    assert whole.Script("slow.py", {}).run(None, 0.5) == ({}, "took over 0.5 s")


def test_every_script_of_the_list_is_there(whole):
    names = [name for script in whole.SCRIPTS for name in script.ratios]
    assert len(names) == len(set(names))
    for script in whole.SCRIPTS:
        assert (BENCHMARKS / script.command.split()[0]).is_file()
        assert all(asked in ("", "less") or asked.split()[0] in (">=", "<=") for asked in script.ratios.values())
