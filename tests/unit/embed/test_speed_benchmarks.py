"""The benchmarks of HyenaDNA at sizes where nothing is measured: both sides agree, and every function runs."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import load_backbone

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
GOLDEN = Path(__file__).parents[2] / "data" / "hyena_golden"


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_plain_network_gives_the_golden_outputs(benchmark_module):
    plain = benchmark_module("plain_hyenadna").plain_copy(load_backbone(str(GOLDEN), None))
    with np.load(GOLDEN / "golden.npz") as arrays, torch.no_grad():
        for length in (7, 1000):
            ids, expected = arrays[f"input_ids_{length}"], torch.from_numpy(arrays[f"last_hidden_state_{length}"])
            codes = torch.from_numpy(ids.astype(np.int16) - 7)
            torch.testing.assert_close(plain(codes), expected, atol=1e-5, rtol=0)


def test_both_sides_of_the_speed_benchmark_agree(benchmark_module):
    speed = benchmark_module("hyenadna_speed")
    sides = speed.make_sides(random_hyenadna(16, 2, 302, seed=0))
    codes = speed.draw(3, 300)
    with torch.no_grad():
        binned = {name: forward(codes) for name, forward in sides.items()}
    assert binned["plain"].shape == (3, 3, 16)
    torch.testing.assert_close(binned["plain"], binned["raygenex"], atol=1e-5, rtol=0)


def test_operations_of_the_matrix_products_by_hand(benchmark_module):
    model = random_hyenadna(4, 3, 2050, seed=0)
    # Per position and layer: 4 x 12, 4 x 4, 4 x 16 and 16 x 4 products, a multiplication and an addition each.
    assert benchmark_module("hyenadna_speed").products(model, 2048)[1] * 1e9 == pytest.approx(2048 * 3 * 2 * 192)
    assert benchmark_module("hyenadna_gpu").flop(model, 2048) == 2048 * 3 * 2 * 192


def test_the_gpu_benchmark_runs_on_a_cpu(benchmark_module):
    gpu = benchmark_module("hyenadna_gpu")
    limits = gpu.measure_limits("cpu", side=16, copied=1000)
    assert set(limits.tflops) == {"fp32", "bf16"}
    rows = gpu.measure(8, 1, 50, genes=3, batch_size=2, device="cpu", limits=limits)
    assert [row[0] for row in rows] == ["fp32", "bf16"]
    # CPUs compute in float32 whatever the setting.
    assert {row[-1] for row in rows} == {"0"}


def test_bytes_that_operations_move_are_counted_and_views_are_not(benchmark_module):
    a, b = torch.zeros(10), torch.zeros(10)
    with benchmark_module("hyenadna_gpu").Traffic() as counted:
        (a[:5] + b[5:]).view(5, 1)
    assert counted.bytes == 3 * 5 * 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="the refusal is for machines without a GPU")
def test_the_gpu_benchmark_refuses_in_one_sentence_without_a_gpu():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "hyenadna_gpu.py"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "PyTorch finds none" in done.stderr


def test_memory_is_what_a_pass_adds_at_most(benchmark_module, capsys, monkeypatch):
    speed = benchmark_module("hyenadna_speed")
    monkeypatch.setattr(speed, "resident_mb", {"VmRSS": 10.0, "VmHWM": 17.5}.__getitem__)
    speed.measure_memory("raygenex", 8, 1, 2, 100)
    assert float(capsys.readouterr().out) == 7.5
