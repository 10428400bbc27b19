"""README and documentation: every command parses, every configuration is valid, the quickstart and the snippets run."""

import logging
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from toy_embed import store_manifest

from raygenex.benchmark.jobs import plan_jobs
from raygenex.cli.main import app
from raygenex.cli.setup import STARTER
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.embed.shards import write_shard
from raygenex.errors import ConfigError
from raygenex.files.parts import write_manifest
from raygenex.tune.space import Space

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "jobs" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CLUSTER_FILES = ("cluster-",)
JOBS = sorted(path for path in (ROOT / "jobs").glob("*.yaml") if not path.name.startswith(CLUSTER_FILES))
FENCE = re.compile(r"^```(?:\{code-block\} )?(console|yaml|python)\n(?::caption: (\S+)\n\n)?(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^\$ (?:.* -- python -m )?raygenex (.*)$", re.M)


@dataclass(frozen=True)
class Block:
    language: str
    caption: str
    text: str


def read_blocks(page: Path) -> list[Block]:
    return [Block(found[1], found[2] or "", found[3]) for found in FENCE.finditer(page.read_text(encoding="utf-8"))]


def find_commands(page: Path) -> list[list[str]]:
    console = [block.text for block in read_blocks(page) if block.language == "console"]
    return [shlex.split(line) for text in console for line in COMMAND.findall(text)]


def parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Parse a command as the command line does, without running it; an unknown verb or option raises."""
    command: Any = typer.main.get_command(app)
    context = None
    name = "raygenex"
    while hasattr(command, "commands"):
        verb, *words = words
        assert verb in command.commands, f"{name} has no verb {verb}"
        context = command.make_context(name, [verb], parent=context) if context is None else context
        command, name = command.commands[verb], f"{name} {verb}"
    return name, command.make_context(name, words, parent=context).params


def made_by(page: Path) -> dict[str, str]:
    """The configurations that a page itself shows or makes, by file name."""
    made = {block.caption: block.text for block in read_blocks(page) if block.caption}
    made |= {words[1]: STARTER for words in find_commands(page) if words[0] == "init"}
    return made


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_parse_and_their_configurations_are_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = made_by(page)
    for words in find_commands(page):
        # The shell that a page speaks to has set them.
        for name in re.findall(r"\$(\w+)", " ".join(words)):
            monkeypatch.setenv(name, f"/{name}")
        verb, params = parse(words)
        if "config" not in params:
            continue
        name = str(params["config"])
        path = ROOT / name
        if name in made:
            path = tmp_path / name
            path.write_text(made[name], encoding="utf-8")
        assert path.is_file(), f"{verb} {name}: no such file, and the page does not make it"
        mistake = ""
        try:
            load_config(path, params["override"] or ())
        except ConfigError as error:
            mistake = str(error).replace(f"{ROOT}/", "")
        # A page may show a mistake, and then shows what it gives.
        assert mistake in page.read_text(encoding="utf-8"), words


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_yaml_on_a_page_fits_the_schema(page: Path, tmp_path: Path):
    for block in read_blocks(page):
        if block.language == "yaml":
            path = tmp_path / "block.yaml"
            path.write_text(block.text, encoding="utf-8")
            load_config(path)


def test_there_are_commands_to_check():
    verbs = {parse(words)[0].removeprefix("raygenex ") for page in PAGES for words in find_commands(page)}
    wanted = {"env", "init", "run", "embed", "train", "evaluate", "register", "predict", "config show", "config schema"}
    assert wanted | {"data check", "data describe", "data simulate"} <= verbs


def test_parsing_refuses_what_the_command_line_would():
    with pytest.raises(AssertionError, match="no verb fly"):
        parse(["data", "fly"])
    with pytest.raises(Exception, match="No such option"):
        parse(["run", "a.yaml", "--fast"])


def test_configuration_page_has_every_section():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    tables = set(re.findall(r"^```\{config-section\} (\w+)$", text, re.M))
    plain = {"name", "output", "seed"}
    assert tables == (set(RunConfig.model_fields) - plain) | {"run"}


def test_error_table_quotes_messages_that_exist():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "raygenex").rglob("*.py")))
    # Long sentences are split over lines of source.
    joined = re.sub(r"\"\s*\n\s*f?\"", "", sources)
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    table = page.split("| message contains | cause |\n|---|---|\n")[1].split("\n\n")[0]
    quotes = [quote for line in table.splitlines() for quote in re.findall(r"`([^`]+)`", line.split("|")[1])]
    assert len(quotes) > 20
    for quote in quotes:
        if quote in ("is nan", "is inf"):
            continue
        for part in quote.split("..."):
            assert part.strip() in joined, quote


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_shipped_jobs_are_valid_and_listed(path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("RAYGENEX_DATA", "RAYGENEX_SHARED_DATA"):
        monkeypatch.delenv(name, raising=False)
    assert load_config(path).name == path.stem
    listing = (ROOT / "jobs" / "README.md").read_text(encoding="utf-8")
    assert f"| `{path.name}` |" in listing
    if path.stem.startswith("tune"):
        assert Space(load_config(path)).first()
    verbs = ("run", "benchmark", "tune")
    assert any(f"raygenex {verb} jobs/{path.name} -o output=$OUT" in listing for verb in verbs)


def test_paper_job_has_the_papers_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYGENEX_DATA", "/data")
    config = load_config(ROOT / "jobs" / "paper.yaml")
    assert config.data.train == ("/data/GM12878/train.h5",)
    backbone = config.backbone
    assert backbone.kind == "hyenadna"
    assert backbone.weights == "LongSafari/hyenadna-small-32k-seqlen-hf"
    assert backbone.revision == "8fe770c78eb13fe33bf81501612faeddf4d6f331"
    assert config.halflife.channels == (128, 256, 256)
    assert (config.halflife.margin, config.halflife.noise) == (1.0, 0.1)
    model = config.model
    assert model.kind == "cnn_halflife_encoded"
    assert (model.channels, model.kernel_size, model.pool) == ((128, 64, 16, 4), 3, 2)
    assert (model.dense, model.dropout, model.join) == ((256, 64), 0.5, "positions")
    train = config.train
    assert (train.epochs, train.global_batch_size, train.learning_rate, train.weight_decay) == (50, 32, 1e-4, 0.0)
    assert (train.workers, train.use_gpu, config.embed.gpus_per_actor) == (4, True, 1.0)
    # What goes beyond the paper is off.
    assert (config.halflife.bins, config.halflife.beside, config.halflife.finetune) == (None, False, False)
    assert (model.trunk_dropout, model.mask) == (0.0, 0.0)
    assert (train.schedule, train.warmup, train.patience) == ("constant", 0.0, None)
    jobs = {job.model: job.config.model for job in plan_jobs(config)}
    assert len(jobs) == 8
    trees = jobs["autoencoder_xgboost"].trees
    assert (trees.trees, trees.depth, trees.learning_rate) == (100, 7, 0.1)
    assert (trees.subsample, trees.colsample, trees.early_stopping) == (0.8, 0.8, None)
    assert jobs["autoencoder_xgboost"].channels == (128, 64, 32, 1)
    assert jobs["cnn_dna_only"].dropout == 0.5


@pytest.fixture
def raygenex(
    ray_cluster: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[str]], str]]:
    """Run a command in this process, on the Ray of all tests, and return its standard output."""
    from raygenex.cli.main import main

    root, package = logging.getLogger(), logging.getLogger("raygenex")
    before = root.handlers[:], root.level, package.level

    def call(words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["raygenex", *words])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        assert not code, said.err
        return said.out

    yield call
    root.handlers[:], root.level = before[:2]
    package.setLevel(before[2])
    logging.setLogRecordFactory(logging.LogRecord)


def test_quickstart_and_snippets_run(
    tmp_path: Path,
    mlflow_template: Path,
    raygenex: Callable[[list[str]], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    page = ROOT / "docs" / "quickstart.md"
    for block in read_blocks(page):
        if block.caption:
            (tmp_path / block.caption).write_text(block.text, encoding="utf-8")
    # What README calls the demo is the finished run of the quickstart here.
    (tmp_path / "jobs").mkdir()
    shutil.copy(tmp_path / "quick.yaml", tmp_path / "jobs" / "demo.yaml")
    (tmp_path / "runs").mkdir()
    shutil.copy(mlflow_template, tmp_path / "runs" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    outputs = {}
    for words in find_commands(page):
        if (tmp_path / words[1]).is_file() and words[1].endswith("quick.yaml"):
            # What needs no Ray is typed as a user would; `make demo` runs the chain that way.
            run = execute if "--dry-run" in words else raygenex
            outputs[" ".join(words)] = run(words)
    assert len(outputs) == 3
    assert "embed" not in outputs["run quick.yaml --dry-run"]
    assert "loads as models:/raygenex@candidate" in outputs["run quick.yaml"]
    assert "predictions: 100 genes in scores.csv" in next(reversed(outputs.values()))

    # The page shows the form of this run's result; its numbers are those of one machine.
    form = r"trained runs/quick/checkpoint, epoch \d of 0 to 1 kept, valid AUROC 0\.\d{4}, threshold 0\.\d{4}"
    assert re.search(form, page.read_text(encoding="utf-8"))
    assert re.search(form, outputs["run quick.yaml"])

    write_small_store(tmp_path / "runs" / "demo" / "embeddings")
    snippets = [block.text for page in PAGES for block in read_blocks(page) if block.language == "python"]
    assert len(snippets) >= 4
    for snippet in snippets:
        exec(snippet, {})
    said = capsys.readouterr().out
    assert "['gene_id', 'probability', 'prediction'] 100" in said
    assert "(4, 3, 2) float16" in said
    assert "'low'" in said
    assert "probability  prediction" in said
    assert re.search(r"^0\.\d+$", said, re.MULTILINE)


def execute(words: list[str]) -> str:
    """Run a command as a process in this folder and return its standard output; fail with everything it said."""
    done = subprocess.run([sys.executable, "-m", "raygenex", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_small_store(store: Path) -> None:
    columns = {
        "gene_id": np.array(["A", "B", "C", "D"], dtype=object),
        "row": np.arange(4),
        "halflife": np.zeros((4, 8), dtype=np.float32),
        "label": np.array([0, 1, 0, 1], dtype=np.uint8),
    }
    write_shard(str(store), "train", columns, np.zeros((4, 3, 2), dtype=np.float16))
    made = store_manifest(window=6, bin_size=2, shape=(3, 2), fingerprints={}, rows={"train": 4})
    write_manifest(str(store), made)
