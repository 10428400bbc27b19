"""The arithmetic of benchmarks/sizing.py, against numbers worked out by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

from raygenex.config.load import load_config, parse_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sizing():
    spec = importlib.util.spec_from_file_location("sizing", ROOT / "benchmarks" / "sizing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    sys.modules["sizing"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["sizing"]


def sizes_of(sizing, config, *words):
    return sizing.find_sizes(config, sizing.read_options(["unused", *words]))


@pytest.mark.parametrize(
    ("bin_size", "bins", "gene"), [(1, 20000, 10_240_000), (8, 2500, 1_280_000), (128, 157, 80_384), (512, 40, 20_480)]
)
def test_disk_of_a_gene(sizing, bin_size, bins, gene):
    assert sizing.count_bins(20000, bin_size) == bins
    assert sizing.embedding_bytes(20000, bin_size, 256) == gene
    assert sizing.embedding_bytes(20000, bin_size, 128, itemsize=4) == gene


def test_bins_and_bytes_are_those_of_the_store(sizing):
    from raygenex.embed.hyenadna.pooling import bin_count

    for window in (1, 7, 8, 200, 20000):
        assert sizing.count_bins(window, 8) == bin_count(window, 8)


def test_operations_of_a_gene(sizing):
    # One layer of 2 channels over 8 bases: 24 x 4 + 18 x 2 + 5 x 2 x log2(16) x 2 = 96 + 36 + 80 a base.
    assert sizing.embedding_flop(8, 2, 1) == 8 * 212
    assert sizing.embedding_flop(8, 2, 3) == 3 * 8 * 212


def test_the_paper(sizing, monkeypatch):
    config = load_config(ROOT / "jobs" / "paper.yaml")
    sizes = sizes_of(sizing, config)
    assert sizes == sizing.Sizes((16215, 989, 990), 20000, 256, 4)
    assert sizes.total == 18194
    assert sizing.row_bytes(config, sizes) == 157 * 256 * 2 + 80
    # A quarter of 16,215 genes, rounded up.
    assert sizing.shard_bytes(config, sizes) == 4054 * 80464
    # 507 steps an epoch.
    assert sizing.training_steps(config, sizes) == 50 * 507
    assert sizing.activation_bytes(8, sizes) == 8 * 8 * 20000 * 256 * 4

    options = sizing.read_options(["unused", "--tflops", "2", "--step-ms", "12", "--start-min", "6", "--price", "2"])
    flop = sizing.embedding_flop(20000, 256, 4) * 18194
    rows = [line.split() for line in sizing.cost_table(config, sizes, options)[2:]]
    embedding = flop / 2e12 / 60
    for (gpus, embed, train, hours, gpu_hours, cost), count in zip(rows, (1, 8), strict=True):
        assert int(gpus) == count
        assert float(embed) == pytest.approx(embedding / count, abs=0.05)
        # 25,350 steps of 12 ms, however many GPUs share a step.
        assert float(train) == pytest.approx(5.07, abs=0.05)
        assert float(hours) == pytest.approx((6 + embedding / count + 5.07) / 60, abs=0.01)
        assert float(gpu_hours) == pytest.approx(count * (6 + embedding / count + 5.07) / 60, abs=0.01)
        assert float(cost) == pytest.approx(2 * count * (6 + embedding / count + 5.07) / 60, abs=0.01)


def test_stages_hold_the_processor_for_reading(sizing):
    config = parse_config(
        {
            "simulate": {"train": 100, "valid": 10, "test": 10, "window": 200},
            "train": {"workers": 3, "cpus_per_worker": 2, "memory_gib": 0.00001, "global_batch_size": 30},
        },
        "the test",
    )
    sizes = sizes_of(sizing, config)
    assert sizes == sizing.Sizes((100, 10, 10), 200, 0, 0)
    assert sizing.row_bytes(config, sizes) == 280
    header, train, predict, note = sizing.stage_table(config, sizes)
    assert header.split()[:4] == ["stage", "processes", "CPUs", "GPUs"]
    assert train.split()[:4] == ["train", "3", "7", "0"]
    assert predict.split()[:4] == ["predict", "1", "2", "0"]
    # 34 genes of 280 bytes are 9,520, less than the 10,737 of memory_gib.
    assert "stays in the worker's memory" in note
    more = config.model_copy(update={"train": config.train.model_copy(update={"memory_gib": 0.000001})})
    assert "is streamed every epoch" in sizing.stage_table(more, sizes)[-1]


def test_unknown_weights_need_their_sizes(sizing):
    config = parse_config({"backbone": {"kind": "hyenadna", "weights": "my/folder"}}, "the test")
    with pytest.raises(SystemExit, match="give --d-model and --n-layer"):
        sizes_of(sizing, config)
    words = ("--d-model", "64", "--n-layer", "3", "--genes", "4", "2", "1", "--window", "100")
    assert sizes_of(sizing, config, *words) == sizing.Sizes((4, 2, 1), 100, 64, 3)


def test_the_documented_numbers_are_those_of_the_command(sizing, capsys, monkeypatch):
    monkeypatch.delenv("RAYGENEX_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["sizing.py", str(ROOT / "jobs" / "paper.yaml")])
    sizing.main()
    printed = capsys.readouterr().out.strip()
    assert printed in (ROOT / "docs" / "laptop-to-cluster.md").read_text(encoding="utf-8")
