"""Folders of runs, written by hand: a trained model alone, and one with everything that a report can show."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from toy_models import columns, save_toy, small_config, write_promoters

from raygenex.benchmark.results import ModelResult, SeedResult
from raygenex.benchmark.table_files import to_json
from raygenex.benchmark.tables import benchmark_table
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.explain.parts import ExplanationManifest, MethodRecord, write_part
from raygenex.explain.results.profile import profiles, top_positions, write_profiles, write_top
from raygenex.explain.results.projection import Projection, write_projection
from raygenex.files.fingerprint import fingerprint
from raygenex.files.parts import write_manifest
from raygenex.predict.table import open_predictions
from raygenex.stats import metrics
from raygenex.train.checkpoint import InputInfo, checkpoint_sha256
from raygenex.train.targets import LABEL_TYPES

GENES = 40
WINDOW = 20
THRESHOLD = 0.45
SMOOTHING = 3
"""Bases of the moving average of the explanation's profiles."""
TOP_GENES = 4
"""Genes of its most important positions, fewer than are predicted high."""
ODD = "<b>G&0"
"""The first gene of valid, which a page must show as it is."""

HISTORY = [
    {"epoch": float(epoch), "train_loss": 0.7 - epoch / 10, "valid_loss": 0.6, "valid_auroc": 0.6 + epoch / 10}
    for epoch in range(3)
]


def make_run(root: Path, **sections: Any) -> tuple[RunConfig, Path]:
    """Write the data and the checkpoint of a run; return its configuration and its folder."""
    files = {}
    for number, split in enumerate(("train", "valid")):
        genes = columns(GENES, WINDOW, seed=number, prefix=f"{split}-")
        if split == "valid":
            genes["gene_id"][0] = ODD
        files[split] = write_promoters(root / f"{split}.h5", genes)
    values: dict[str, Any] = {"name": "toy", "output": str(root / "runs"), "data": files} | sections
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    nested = {name: value for name, value in values.items() if isinstance(value, dict)}
    config = small_config(**nested).model_copy(update=plain)
    folder = root / "runs" / "toy"
    (root / "runs").mkdir()
    prints = {name: [fingerprint(path)] for name, path in files.items()}
    save_toy(
        folder / "checkpoint",
        config,
        InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW),
        threshold=THRESHOLD,
        history=HISTORY,
        epoch=2,
        fingerprints=prints,
        versions={"raygenex": "0.1.0", "torch": "9.8.7"},
    )
    return config, folder


def add_evaluation(folder: Path, valid: str, split: str = "valid", resamples: int = 50) -> dict[str, Any]:
    """Write what `evaluate` writes, of made-up scores; return the numbers."""
    genes = columns(GENES, WINDOW, seed=1, prefix="valid-")
    ids, label = genes["gene_id"].copy(), genes["label"]
    ids[0] = ODD
    probability = np.clip(0.5 + 0.2 * (label - 0.5) + np.random.default_rng(5).normal(0, 0.2, GENES), 0.01, 0.99)
    found = metrics.bootstrap_intervals(label, probability, THRESHOLD, resamples, 0.95, 0)
    numbers = {
        "key": {
            "checkpoint_sha256": checkpoint_sha256(folder / "checkpoint"),
            "fingerprints": [fingerprint(valid)],
            "evaluate": {"bootstrap": resamples, "confidence": 0.95, "threshold_metric": "mcc"},
            "seed": 0,
        },
        "split": split,
        "genes": GENES,
        "threshold": THRESHOLD,
        "confidence": 0.95,
        "metrics": {name: interval._asdict() for name, interval in found.items()},
        "calibration_error": metrics.calibration_error(label, probability),
        "confusion": metrics.confusion(label, probability >= THRESHOLD).tolist(),
    }
    part = folder / "evaluation" / split
    part.mkdir(parents=True)
    (part / "metrics.json").write_text(json.dumps(numbers))
    calls = (probability >= THRESHOLD).astype(np.int8)
    with open_predictions(part / "predictions.parquet", LABEL_TYPES) as add:
        add(ids, {"probability": probability, "prediction": calls})
    return numbers


def add_benchmark(folder: Path) -> None:
    """Write the table of a comparison of two models, and one that failed."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2

    def trained(gain: float, seed: int) -> SeedResult:
        probability = 1 / (1 + np.exp(-gain * (label - 0.5) - rng.normal(size=60)))
        numbers = metrics.binary_metrics(label, probability, 0.5)
        ids = np.array([f"G{i}" for i in range(60)])
        scores = {"gene_ids": ids, "labels": label, "probability": probability, "threshold": 0.5}
        return SeedResult(seed, numbers, numbers, **scores, seconds=1.0, peak_mb=10.0, epochs=(0.5, 0.6))

    models = [
        ModelResult("lstm", "lstm", (trained(3.0, 0), trained(3.0, 1))),
        ModelResult("small <x>", "logistic", (trained(1.0, 0), trained(1.0, 1))),
        ModelResult("broken", "cnn_dna_only", (SeedResult(0, error="no <GPU>"),)),
    ]
    (folder / "benchmark").mkdir(parents=True)
    (folder / "benchmark" / "tables.json").write_text(to_json(benchmark_table(models, resamples=50)))


TRIALS = """\
trial,state,reason,epochs,valid_auroc,model.dropout,training_s,wall_s,overhead_s
0,finished,all 3 epochs,3,0.7101,0.5,1.00,2.00,1.00
1,failed,out of memory,0,,0.1,0.00,1.00,1.00
2,stopped,not promising,1,0.6902,0.7,1.00,2.00,1.00
3,finished,all 3 epochs,3,0.7303,0.25,1.00,2.00,1.00
"""


def add_study(folder: Path) -> None:
    """Write the table of a search with four trials, one of which failed."""
    part = folder / "tune" / "report"
    part.mkdir(parents=True)
    (part / "trials.csv").write_text(TRIALS)
    (part / "best.yaml").write_text("# trial 3\nmodel:\n  dropout: 0.25\n")


LOGO = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
<script>alert(1)</script><a xlink:href="http://elsewhere.example"><path onclick="alert(1)" d="M 0 0 L 9 9"
 style="fill: #000000"/></a></svg>"""


def add_explanation(folder: Path, valid: str) -> None:
    """Write an explanation of valid in the layout of `raygenex.explain.parts`, of made-up attributions."""
    file = inspect(valid)
    ids, window = read_table(file).gene_id.astype(str), file.window
    genes = len(ids)
    part = folder / "explain" / "valid"
    part.mkdir(parents=True)
    rng = np.random.default_rng(0)
    done = {name: MethodRecord(complete=True, genes=genes) for name in ("saliency", "halflife")}
    made = ExplanationManifest(
        package_version="0.1.0",
        checkpoint=str(folder / "checkpoint"),
        checkpoint_sha256=checkpoint_sha256(folder / "checkpoint"),
        run_name="toy",
        model_kind="cnn_halflife_encoded",
        split="valid",
        genes=genes,
        window=window,
        window_first=-window // 2,
        threshold=THRESHOLD,
        confidence=0.95,
        fingerprints=[fingerprint(valid)],
        methods=done | {"mutagenesis": MethodRecord(complete=False, genes=1)},
        derived="0" * 64,
        summary={"smoothing": SMOOTHING},
    )
    write_manifest(part, made)
    probability = rng.random(genes)
    high = probability >= THRESHOLD
    saliency = rng.random((genes, window)).astype(np.float32)
    write_profiles(
        part / "importance_saliency.csv", profiles(saliency, high, made.window_first, SMOOTHING, resamples=20)
    )
    top = top_positions(saliency, ids, probability, THRESHOLD, made.window_first, 5, TOP_GENES)
    write_top(part, "saliency", top)
    shapley = rng.normal(size=(genes, 8)).astype(np.float32)
    halflife = {"gene_id": ids, "row": np.arange(genes), "attribution": shapley, "base": np.zeros(genes)}
    write_part(part / "halflife", 0, halflife)
    rows = "".join(f"{name},0.0{i},0.0{i},0.1\n" for i, name in enumerate(HALFLIFE_FEATURES))
    (part / "halflife_importance.csv").write_text("feature,drop,low,high\n" + rows)
    label = rng.integers(-1, 2, genes).astype(np.int8)
    numbers = {"neighbours": 15, "silhouette": {"dense": -0.125}, "knn_purity": {"dense": 0.875}}
    xy = rng.normal(size=(genes, 2))
    write_projection(part, Projection(ids, label, probability, high.astype(np.int8), xy, numbers))
    (part / "logos").mkdir()
    (part / "logos" / "saliency_1.svg").write_text(LOGO)
    (part / "logos" / "saliency.csv").write_text(f"file,gene_id,first,last\nsaliency_1.svg,{ids[0]},-5,4\n")
    (part / "motifs").mkdir()
    (part / "motifs" / "motifs.csv").write_text("motif,seqlets\npos <0>,33\n")
    for name in ("pos_10", "pos_2"):
        (part / "motifs" / f"{name}.svg").write_text(LOGO)
    (part / "agreement.csv").write_text("method,other,spearman_median,genes\nsaliency,deeplift,-0.12345678,40\n")


def make_full_run(root: Path) -> tuple[RunConfig, Path]:
    """Write a run with everything that a report can show, but for MLflow."""
    config, folder = make_run(root)
    valid = config.data.valid[0]
    add_evaluation(folder, valid)
    add_benchmark(folder)
    add_study(folder)
    add_explanation(folder, valid)
    return config, folder
