import csv
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from toy_models import columns, save_toy, sentence, small_config, write_promoters

from raygenex.config.data import DataConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.rows import PromoterRows
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import load_backbone, save_backbone, weights_sha256
from raygenex.embed.inference import embed_sequences
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.predict.inputs import open_genes
from raygenex.predict.predictor import Predictor
from raygenex.predict.run import predict
from raygenex.predict.scoring import score_rows
from raygenex.predict.table import open_predictions
from raygenex.train.checkpoint import BACKBONE, InputInfo, read_info
from raygenex.train.targets import LABEL_TYPES

WINDOW = 20
BASES = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
# Twenty bases in bins of eight.
BINS = InputInfo(kind="embedding", length=3, channels=8, window=WINDOW)


@pytest.fixture(scope="module")
def bases_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases") / "checkpoint"
    save_toy(folder, small_config(), BASES, threshold=0.25)
    return folder


@pytest.fixture(scope="module")
def embedding_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding") / "checkpoint"
    backbone = random_hyenadna(8, 1, WINDOW + 2, seed=3).eval()
    save_toy(folder, small_config(), BINS, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)
    return folder


def genes(n=11, window=WINDOW):
    found = columns(n, window)
    return found["sequence"], found["halflife"]


# Scores


@pytest.mark.parametrize("batch_size", [1, 3, 11, 100])
@pytest.mark.parametrize("which", ["bases_checkpoint", "embedding_checkpoint"])
def test_scores_do_not_depend_on_the_batch_size(request, which, batch_size):
    checkpoint = request.getfixturevalue(which)
    expected = Predictor(checkpoint, batch_size=4).score(*genes())
    found = Predictor(checkpoint, batch_size=batch_size).score(*genes())
    assert found.shape == (11,)
    assert found.dtype == np.float64
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_scores_are_sigmoids_of_the_logits(bases_checkpoint):
    predictor = Predictor(bases_checkpoint)
    sequence, halflife = genes()
    with torch.inference_mode():
        logits = predictor.model(torch.from_numpy(sequence), torch.from_numpy(halflife)).double().numpy()
    np.testing.assert_allclose(predictor.score(sequence, halflife), 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_bases_are_embedded_on_the_way(embedding_checkpoint):
    predictor = Predictor(embedding_checkpoint)
    sequence, halflife = genes()
    backbone = load_backbone(str(embedding_checkpoint / BACKBONE), None).eval()
    embedding = embed_sequences(backbone, sequence, predictor.settings, "cpu", 5)
    assert embedding.shape == (11, 3, 8)
    assert embedding.dtype == np.float16
    np.testing.assert_allclose(predictor.score(sequence, halflife), predictor.score(embedding, halflife), rtol=1e-3)


def test_embeddings_need_no_backbone(embedding_checkpoint):
    predictor = Predictor(embedding_checkpoint)
    predictor.score(np.zeros((2, 3, 8), np.float16), genes(2)[1])
    assert predictor.backbone is None


def test_inputs_may_be_read_only_and_of_other_number_formats(bases_checkpoint):
    predictor = Predictor(bases_checkpoint)
    sequence, halflife = genes()
    expected = predictor.score(sequence, halflife)
    wide = halflife.astype(np.float64)
    for array in (sequence, wide):
        array.flags.writeable = False
    np.testing.assert_array_equal(predictor.score(sequence, wide), expected)


def test_no_genes_have_no_scores(bases_checkpoint):
    assert Predictor(bases_checkpoint).score(*genes(0)).shape == (0,)


def test_the_threshold_is_the_checkpoints(bases_checkpoint):
    assert Predictor(bases_checkpoint).threshold == 0.25


# Checkpoints that cannot score


def test_an_unfinished_epoch_is_refused(tmp_path):
    save_toy(tmp_path / "a", small_config(), BASES, threshold=None)
    with pytest.raises(CheckpointError) as info:
        Predictor(tmp_path / "a")
    sentence(info, tmp_path / "a", "has no threshold", "train to the end")


def test_another_backbone_is_refused(tmp_path):
    save_toy(tmp_path / "a", small_config(), BINS, backbone_sha256="0" * 64)
    save_backbone(random_hyenadna(8, 1, WINDOW + 2, seed=3), tmp_path / "a" / BACKBONE)
    with pytest.raises(CheckpointError) as info:
        Predictor(tmp_path / "a").score(*genes())
    sentence(info, tmp_path / "a" / BACKBONE, "other weights than the model was trained on")


def test_a_missing_backbone_is_refused(tmp_path):
    save_toy(tmp_path / "a", small_config(), BINS, backbone_sha256="0" * 64)
    with pytest.raises(CheckpointError) as info:
        Predictor(tmp_path / "a").score(*genes())
    sentence(info, tmp_path / "a" / BACKBONE)


@pytest.mark.parametrize("which", ["bases_checkpoint", "embedding_checkpoint"])
def test_a_usable_checkpoint_is_described_with_and_without_loading_it(request, which):
    checkpoint = request.getfixturevalue(which)
    assert Predictor.check(checkpoint) == Predictor.describe(checkpoint) == read_info(checkpoint)


def test_a_check_loads_what_a_description_does_not_tell(tmp_path):
    save_toy(tmp_path / "a", small_config(), BINS, backbone_sha256="0" * 64)
    with pytest.raises(CheckpointError) as info:
        Predictor.describe(tmp_path / "a")
    sentence(info, tmp_path / "a", f"has no {BACKBONE}")
    (tmp_path / "a" / BACKBONE).mkdir()
    Predictor.describe(tmp_path / "a")
    with pytest.raises(CheckpointError) as info:
        Predictor.check(tmp_path / "a")
    sentence(info, tmp_path / "a" / BACKBONE)
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as info:
        Predictor.describe(tmp_path / "a")
    sentence(info, tmp_path / "a", "has no model.safetensors")


def test_registered_versions_of_old_find_what_their_code_imports():
    """What the model of 0.1.0 runs when MLflow loads it into a process that has this package already."""
    code = (
        "import raygenex.api\n"
        "from raygenex.data.features import HALFLIFE_FEATURES\n"
        "from raygenex.errors import DataError\n"
        "from raygenex.sequence import UNKNOWN, from_one_hot, from_string\n"
        "from raygenex.predict import Predictor\n"
        "Predictor.score"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_description_of_an_unfinished_epoch_is_refused(tmp_path):
    save_toy(tmp_path / "a", small_config(), BASES, threshold=None)
    with pytest.raises(CheckpointError) as info:
        Predictor.describe(tmp_path / "a")
    sentence(info, tmp_path / "a", "has no threshold", "train to the end")


# Genes to score


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a promoter file without labels."""

    def make(name, n=3, window=WINDOW, prefix="G", label=False):
        return write_promoters(tmp_path / name, columns(n, window, prefix=prefix), label=label)

    return make


@pytest.fixture
def info(bases_checkpoint):
    return read_info(bases_checkpoint)


def test_genes_need_no_labels(write, info):
    rows = open_genes([write("a.h5", prefix="A"), write("b.h5", prefix="B", label=True)], info, DataConfig())
    assert isinstance(rows, PromoterRows)
    assert (rows.count, rows.window, rows.has_label) == (6, WINDOW, False)
    assert rows.piece(0, 6).read()["gene_id"].tolist() == ["A0", "A1", "A2", "B0", "B1", "B2"]


def test_longer_promoters_are_cut_when_asked(write, info):
    path = write("a.h5", window=30)
    rows = open_genes([path], info, DataConfig(window=WINDOW))
    np.testing.assert_array_equal(rows.piece(0, 3).read()["sequence"], columns(3, 30)["sequence"][:, 5:25])


@pytest.mark.parametrize(
    ("length", "window", "words"),
    [
        (30, None, ["reads 20 bases", "has 30", "set data.window to 20 to crop it"]),
        (30, 25, ["reads 20 bases", "set data.window to 20 to crop it"]),
        (30, 10, ["reads 20 bases", "set data.window to 20 to crop it"]),
        (16, None, ["reads 20 bases", "has 16", "it cannot be stretched"]),
        (16, 20, ["reads 20 bases", "has 16", "it cannot be stretched"]),
    ],
)
def test_promoters_of_another_length_are_refused(write, info, length, window, words):
    path = write("a.h5", window=length)
    with pytest.raises(DataError) as found:
        open_genes([path], info, DataConfig(window=window))
    sentence(found, path, *words)


RANGE = dict.fromkeys(HALFLIFE_FEATURES, (-5.0, 5.0))


@pytest.mark.parametrize(
    ("config", "known", "factor", "warned"),
    [
        ({}, RANGE, 1, False),
        # Up to the range's width beyond it.
        ({}, RANGE | {"CDSLEN": (-1.0, 1.0)}, 1, False),
        ({}, RANGE, 1000, True),
        ({}, RANGE | {"CDSLEN": (90.0, 91.0)}, 1, True),
        # A checkpoint of old, and a model that does not read them.
        ({}, None, 1000, False),
        ({"model": {"kind": "cnn_dna_only"}}, RANGE, 1000, False),
    ],
)
def test_features_far_outside_those_of_training_are_warned_of(tmp_path, caplog, config, known, factor, warned):
    save_toy(tmp_path / "model", small_config(**config), BASES, feature_range=known)
    assert read_info(tmp_path / "model").feature_range == known
    genes = columns(9, WINDOW)
    genes["halflife"] = np.clip(genes["halflife"], -2.9, 2.9)
    genes["halflife"][:, 1] *= factor
    path = write_promoters(tmp_path / "a.h5", genes)
    open_genes([path], read_info(tmp_path / "model"), DataConfig())
    from_file, expected = caplog.messages, Predictor(tmp_path / "model").score(genes["sequence"], genes["halflife"])
    assert [f"half-life features of {path} are far outside" in line and "CDSLEN" in line for line in from_file] == (
        [True] if warned else []
    )
    caplog.clear()
    found = Predictor(tmp_path / "model").predict_arrays(genes["sequence"], genes["halflife"])
    np.testing.assert_array_equal(found["probability"], expected)
    assert ["CDSLEN" in line and "UTR5LEN" not in line for line in caplog.messages] == ([True] if warned else [])


def test_a_strict_model_refuses_features_far_outside_those_of_training(tmp_path):
    save_toy(tmp_path / "model", small_config(predict={"strict": True}), BASES, feature_range=RANGE)
    sequence, halflife = genes()
    Predictor(tmp_path / "model").predict_arrays(sequence, halflife)
    with pytest.raises(DataError) as info:
        Predictor(tmp_path / "model").predict_arrays(sequence, halflife + 1000)
    sentence(info, "UTR5LEN", "in training -5 to 5", "units of the training data")


@pytest.fixture
def halflife_only(tmp_path):
    """A checkpoint of a model that reads no DNA, trained beside promoters of 20 bases."""
    save_toy(tmp_path / "only", small_config(model={"kind": "cnn_halflife_only"}), BASES)
    return tmp_path / "only"


def test_a_model_without_dna_scores_files_of_any_window(write, halflife_only):
    paths = [write("a.h5", window=30, prefix="A"), write("b.h5", window=0, prefix="B")]
    rows = open_genes(paths, read_info(halflife_only), DataConfig(window=WINDOW))
    assert (rows.count, rows.window) == (6, 0)
    block = rows.piece(0, 6).read()
    assert block["sequence"].shape == (6, 0)
    predictor = Predictor(halflife_only)
    found = predictor.score(block["sequence"], block["halflife"])
    with_bases = predictor.score(columns(6, WINDOW)["sequence"], block["halflife"])
    np.testing.assert_array_equal(found, with_bases)


def test_a_registered_model_without_dna_takes_tables_of_features(halflife_only):
    from mlflow.exceptions import MlflowException

    from raygenex.registry.served_model import RaygenexModel

    model = RaygenexModel()
    model.predictor = Predictor(halflife_only)
    halflife = columns(4, 0)["halflife"]
    table = pd.DataFrame(halflife.astype(float), columns=list(HALFLIFE_FEATURES))
    found = model.predict(None, table)["probability"]
    np.testing.assert_array_equal(found, model.predictor.score(np.empty((4, 0), np.uint8), halflife))
    # Sequences of any kind are passed over.
    np.testing.assert_array_equal(model.predict(None, table.assign(sequence=7))["probability"], found)
    with pytest.raises(MlflowException) as info:
        model.predict(None, table.drop(columns="CDSGC"))
    sentence(info, "lacks the columns CDSGC")


def test_a_column_that_is_there_twice_is_named(tmp_path):
    save_toy(tmp_path / "a", small_config(), BASES)
    table = pd.DataFrame({"sequence": ["A" * WINDOW], **{name: [0.5] for name in HALFLIFE_FEATURES}})
    with pytest.raises(DataError) as info:
        Predictor(tmp_path / "a").predict_table(pd.concat([table, table[["UTR5LEN"]]], axis=1))
    sentence(info, "column UTR5LEN more than once")


def test_a_model_trained_without_promoters_scores_files_with_them(write, tmp_path):
    inputs = InputInfo(kind="bases", length=0, channels=4, window=0)
    save_toy(tmp_path / "none", small_config(model={"kind": "cnn_halflife_only"}), inputs)
    info = read_info(tmp_path / "none")
    assert not info.reads_dna
    assert open_genes([write("a.h5")], info, DataConfig()).window == 0


def test_a_model_of_dna_refuses_files_without_promoters(write, info):
    path = write("a.h5", window=0)
    with pytest.raises(DataError) as found:
        open_genes([path], info, DataConfig())
    sentence(found, path, "reads 20 bases", "has no promoters", "cnn_halflife_only")


def test_scales_matter_without_dna_too(write, halflife_only):
    path = write("a.h5", window=0)
    info = read_info(halflife_only)
    info.inputs.halflife_scale = "log10"
    with pytest.raises(DataError) as found:
        open_genes([path], info, DataConfig())
    sentence(found, path, "log10", "z-score")


def test_windows_that_lie_elsewhere_are_refused(write, info):
    path, silent = write("a.h5", window=24), write("b.h5", prefix="B")
    with h5py.File(path, "a") as handle:
        handle.attrs["window_first"] = -12
    # A model of an older version, or of files that did not say it, reads any.
    assert info.inputs.first is None
    assert open_genes([path, silent], info, DataConfig(window=WINDOW)).count == 6
    info.inputs.first = -10
    assert open_genes([path, silent], info, DataConfig(window=WINDOW)).count == 6
    info.inputs.first = -500
    assert open_genes([silent], info, DataConfig(window=WINDOW)).count == 3
    with pytest.raises(DataError) as found:
        open_genes([silent, path], info, DataConfig(window=WINDOW))
    sentence(found, path, "begin at base -500 from the TSS", "begin at -10", "cut at the same place")


def test_a_gene_in_two_files_is_refused(write, info):
    first, second = write("a.h5", n=2), write("b.h5", n=1)
    with pytest.raises(DataError) as found:
        open_genes([first, second], info, DataConfig())
    sentence(found, "gene G0", first, second, "remove it from one of them")


# The output


@pytest.mark.parametrize("name", ["out.txt", "out", "out.csv.gz", "out.CSV"])
def test_an_output_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(ConfigError) as info:
        predict(small_config(), [], "checkpoint", str(tmp_path / name))
    sentence(info, tmp_path / name, "must end in .parquet or .csv")


def test_an_output_that_exists_is_kept(tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(ConfigError) as info:
        predict(small_config(), [], "checkpoint", str(tmp_path / "out.csv"))
    sentence(info, tmp_path / "out.csv", "exists", "--force")
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_an_output_in_no_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError) as info:
        predict(small_config(), [], "checkpoint", str(tmp_path / "no" / "out.csv"))
    sentence(info, tmp_path / "no" / "out.csv", "does not exist", "make it first")


def test_no_checkpoint_and_no_input_are_refused_before_anything_starts(tmp_path, bases_checkpoint):
    output = str(tmp_path / "out.csv")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        predict(small_config(), [], str(tmp_path / "nothing"), output)
    with pytest.raises(DataError, match="nothing matches"):
        predict(small_config(), [str(tmp_path / "*.h5")], str(bases_checkpoint), output)
    assert list(tmp_path.iterdir()) == []


PREDICTIONS = (
    np.array(["G1", 'odd, "name"', "G\u00e9"], dtype=object),
    np.array([1 / 3, 1e-300, np.nextafter(1.0, 0.0)]),
    np.array([0, 0, 1], dtype=np.int8),
)


def write_predictions(path, gene_id, probability, prediction):
    with open_predictions(path, LABEL_TYPES) as add:
        add(gene_id, {"probability": probability, "prediction": prediction})


def test_csv_reads_back_exactly(tmp_path):
    write_predictions(tmp_path / "out.csv", *PREDICTIONS)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["gene_id", "probability", "prediction"]
    assert [row["gene_id"] for row in rows] == list(PREDICTIONS[0])
    assert [float(row["probability"]) for row in rows] == PREDICTIONS[1].tolist()
    assert [row["prediction"] for row in rows] == ["0", "0", "1"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_parquet_reads_back_exactly(tmp_path):
    write_predictions(tmp_path / "out.parquet", *PREDICTIONS)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["gene_id", "probability", "prediction"]
    assert table["gene_id"].to_pylist() == list(PREDICTIONS[0])
    assert table["probability"].to_pylist() == PREDICTIONS[1].tolist()
    assert table["prediction"].to_pylist() == [0, 0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_an_output_that_could_not_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_text("mine")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_predictions(tmp_path / "out.csv", *PREDICTIONS)
    assert (tmp_path / "out.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_blocks_make_the_same_table(tmp_path, name):
    write_predictions(tmp_path / name, *PREDICTIONS)
    gene_id, *columns = PREDICTIONS
    with open_predictions(tmp_path / f"blocks-{name}", LABEL_TYPES) as add:
        for rows in (slice(0, 1), slice(1, 3)):
            add(gene_id[rows], {kind: column[rows] for kind, column in zip(LABEL_TYPES, columns, strict=True)})
        assert not (tmp_path / f"blocks-{name}").exists()
    read = pq.read_table if name.endswith("parquet") else Path.read_text
    assert read(tmp_path / f"blocks-{name}") == read(tmp_path / name)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_nothing_is_left_of_a_table_that_failed_halfway(tmp_path, name):
    columns = {"probability": PREDICTIONS[1], "prediction": PREDICTIONS[2][:2]}
    with pytest.raises(ValueError, match=r"length|shorter"), open_predictions(tmp_path / name, LABEL_TYPES) as add:
        add(PREDICTIONS[0], columns)
    assert list(tmp_path.iterdir()) == []


def scored(rows):
    ids = np.array([f"G{row}" for row in rows])
    return {"gene_id": ids, "row": np.array(rows), "probability": np.zeros(len(rows))}


class Table:
    count, row_bytes = 5, 1

    def pieces(self, start, stop, rows_per_piece):
        return [None]


@pytest.mark.parametrize(
    ("blocks", "fine"),
    [
        ([[0, 1], [2, 3, 4]], True),
        ([[0, 1], [2, 3]], False),
        ([[2, 3, 4], [0, 1]], False),
        ([[0, 1], [1, 2], [3, 4]], False),
        ([[0, 1, 2, 3, 4], [5]], False),
    ],
)
def test_scores_are_those_of_every_row_in_order(monkeypatch, blocks, fine):
    monkeypatch.setattr("raygenex.predict.scoring.connect", lambda *args: nullcontext())
    monkeypatch.setattr("raygenex.data.source.by_actors", lambda *args: map(scored, blocks))
    # One worker needs no Ray.
    config = small_config(predict={"workers": 2})
    if fine:
        assert score_rows(Table(), "", config, "prediction")["gene_id"].tolist() == [f"G{i}" for i in range(5)]
        return
    with pytest.raises(DataError, match="genes in order: run it again"):
        score_rows(Table(), "", config, "prediction")


def test_one_worker_scores_in_this_process_as_the_predictor_does(write, bases_checkpoint, tmp_path):
    path = write("a.h5", n=70)
    before = torch.get_num_threads()
    config = small_config(predict={"batch_size": 7})
    result = predict(config, [path], str(bases_checkpoint), str(tmp_path / "scores.parquet"))
    assert torch.get_num_threads() == before
    found = pq.read_table(tmp_path / "scores.parquet").to_pydict()
    rows = columns(70, WINDOW)
    wanted = Predictor(bases_checkpoint, "cpu", 70).score(rows["sequence"], rows["halflife"])
    assert found["gene_id"] == list(rows["gene_id"])
    assert np.abs(np.array(found["probability"]) - wanted).max() < 1e-6
    assert result.high == int((wanted >= result.threshold).sum())


@pytest.mark.parametrize(
    ("predict", "cluster", "variable"),
    [({"workers": 2}, {}, ""), ({"gpus_per_worker": 0.5}, {}, ""), ({}, {"address": "h:1"}, ""), ({}, {}, "h:1")],
)
def test_work_for_others_is_done_on_ray(monkeypatch, predict, cluster, variable):
    class Asked(Exception):
        pass

    def connect(config, request):
        raise Asked

    monkeypatch.setattr("raygenex.predict.scoring.connect", connect)
    monkeypatch.setenv("RAY_ADDRESS", variable)
    with pytest.raises(Asked):
        score_rows(Table(), "", small_config(predict=predict, cluster=cluster), "prediction")


def test_values_that_a_table_lacks_are_missing_in_whatever_form_pandas_has_them(tmp_path):
    reads = BASES.model_copy(update={"features": ("UTR5LEN", "mark"), "lacking": ("mark",)})
    save_toy(tmp_path / "model", small_config(data={"features": ["UTR5LEN", "mark"]}), reads)
    predictor = Predictor(tmp_path / "model")
    table = pd.DataFrame({"sequence": ["ACGT" * 5] * 3, "UTR5LEN": [1.0, 2.0, 3.0]})
    found = [
        predictor.predict_table(table.assign(mark=values))
        for values in ([0.5, np.nan, 2.0], pd.array([0.5, pd.NA, 2.0], dtype="Float64"))
    ]
    pd.testing.assert_frame_equal(*found)
    with pytest.raises(DataError, match="row 1: feature mark is not a finite number"):
        predictor.predict_table(table.assign(mark=[0.5, np.inf, 2.0]))
    with pytest.raises(DataError, match="row 2: half-life feature UTR5LEN is not a finite number"):
        predictor.predict_table(table.assign(UTR5LEN=[1.0, 2.0, np.nan], mark=0.5))
