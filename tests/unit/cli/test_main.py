import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import typer
import yaml
from toy_models import columns, write_promoters

from raygenex import __version__
from raygenex.cli import main, options
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.errors import TrackingError
from raygenex.train.state import RunState


@pytest.fixture
def config(tmp_path):
    """Return a function that writes two small data files and a configuration that uses them."""

    def make(extra="", train=None, valid=None):
        for seed, (name, prefix) in enumerate((("train", "T"), ("valid", "V"))):
            write_promoters(tmp_path / f"{name}.h5", columns(6, 20, seed, prefix))
        path = tmp_path / "run.yaml"
        path.write_text(
            f"name: small\noutput: {tmp_path}/runs\n"
            f"data: {{train: {train or tmp_path / 'train.h5'}, valid: {valid or tmp_path / 'valid.h5'}}}\n{extra}"
        )
        return path

    return make


def one_sentence(err, *words):
    """Check that standard error is one line: the error, without a traceback."""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err, err


# Bad input


def test_a_missing_config(raygenex, tmp_path):
    code, out, err = raygenex("train", tmp_path / "no.yaml")
    assert (code, out) == (2, "")
    one_sentence(err, tmp_path / "no.yaml", "does not exist", "raygenex init")


def test_an_unknown_key(raygenex, config):
    code, out, err = raygenex("config", "show", config("train: {epoch: 3}\n"))
    assert (code, out) == (2, "")
    one_sentence(err, "train.epoch is not a known key; did you mean epochs?")


def test_an_override_that_does_not_fit(raygenex, config):
    path = config()
    code, out, err = raygenex("train", path, "--dry-run", "-o", "train.workers=0")
    assert (code, out) == (2, "")
    one_sentence(err, "train.workers", "must be at least 1, not 0")
    code, _, err = raygenex("train", path, "-o", "workers")
    assert code == 2
    one_sentence(err, "'workers' is not of the form section.key=value")


@pytest.mark.parametrize("command", [("data", "check"), ("data", "describe"), ("train", "--dry-run")])
def test_a_missing_data_file(raygenex, config, tmp_path, command):
    path = config(train=tmp_path / "no.h5")
    code, out, err = raygenex(*command, path)
    assert (code, out) == (2, "")
    one_sentence(err, "data.train", tmp_path / "no.h5")


@pytest.mark.parametrize("command", [("data", "check"), ("train", "--dry-run")])
def test_a_file_that_is_no_hdf5(raygenex, config, tmp_path, command):
    (tmp_path / "text.h5").write_text("gene_id,label\n")
    code, out, err = raygenex(*command, config(valid=tmp_path / "text.h5"))
    assert (code, out) == (2, "")
    one_sentence(err, tmp_path / "text.h5")


@pytest.mark.parametrize("command", [("data", "check"), ("train", "--dry-run")])
def test_a_feature_that_is_no_number(raygenex, config, tmp_path, command):
    genes = columns(6, 20, prefix="N")
    genes["halflife"][3, 4] = np.nan
    write_promoters(tmp_path / "nan.h5", genes)
    code, out, err = raygenex(*command, config(train=tmp_path / "nan.h5"))
    assert (code, out) == (2, "")
    one_sentence(err, tmp_path / "nan.h5", "UTR5GC of gene N3 (row 3) is nan")


def test_no_data_at_all(raygenex, tmp_path):
    (tmp_path / "run.yaml").write_text("name: a\n")
    code, out, err = raygenex("data", "check", "run.yaml")
    assert (code, out) == (2, "")
    one_sentence(err, "data.train is not set")


def test_a_split_that_is_not_for_evaluation(raygenex, config):
    code, out, err = raygenex("evaluate", config(), "--split", "train")
    assert (code, out) == (2, "")
    one_sentence(err, "--split train", "valid or test")


def test_prediction_into_an_odd_file(raygenex, config):
    code, out, err = raygenex("predict", config(), "train.h5", "--output", "out.txt")
    assert (code, out) == (2, "")
    one_sentence(err, "out.txt", ".parquet or .csv")


@pytest.mark.parametrize(
    ("words", "more", "option"),
    [
        (("predict",), ("a.h5",), "--output"),
        (("data", "describe"), (), "--html"),
        (("data", "split"), (), "--output"),
        (("data", "split"), (), "--write"),
    ],
)
def test_nothing_is_written_to_a_url(raygenex, config, words, more, option):
    code, out, err = raygenex(*words, config(), *more, option, "s3://bucket/x.tsv")
    assert (code, out) == (2, "")
    one_sentence(err, f"{option} is s3://bucket/x.tsv, a URL, and files are written to local paths alone")


def test_prediction_without_a_model(raygenex, config, tmp_path):
    code, out, err = raygenex("predict", config(), "train.h5", "--output", "out.csv")
    assert (code, out) == (2, "")
    one_sentence(err, tmp_path / "runs" / "small" / "checkpoint", "is not a checkpoint")


def test_simulation_without_its_section(raygenex, config):
    code, out, err = raygenex("data", "simulate", config())
    assert (code, out) == (2, "")
    one_sentence(err, "simulate section")


@pytest.mark.parametrize(
    "arguments", [(), ("trian",), ("train",), ("train", "a.yaml", "--epochs", "3"), ("data",), ("config", "shw")]
)
def test_wrong_usage(raygenex, arguments):
    code, out, err = raygenex(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert "Usage: raygenex" in out + err


# Failures


def test_debug_shows_where_it_happened(raygenex, tmp_path):
    code, out, err = raygenex("config", "show", tmp_path / "no.yaml", "--debug")
    assert (code, out) == (2, "")
    assert err.startswith("Traceback (most recent call last):\n")
    assert "in load_config\n" in err
    assert "does not exist" in err.splitlines()[-1]


@pytest.fixture
def broken(monkeypatch):
    """Return a function that makes loading a configuration raise an error."""

    def make(error):
        def fail(path, overrides):
            raise error

        monkeypatch.setattr(options, "load_config", fail)

    return make


def test_a_failure_is_one_line_and_exit_code_1(raygenex, broken):
    broken(RuntimeError("first\nsecond"))
    code, out, err = raygenex("config", "show", "a.yaml")
    assert (code, out) == (1, "")
    assert err == "failed: RuntimeError: first (--debug shows the traceback)\n"


@pytest.mark.parametrize(
    ("error", "code"), [(TrackingError("away"), 2), (RuntimeError("lost"), 1), (OSError(28, "full"), 2)]
)
def test_a_traceback_tells_the_cause_without_its_secrets(raygenex, broken, error, code):
    error.__cause__ = OSError("could not connect to postgresql://me:hunter2@host/db")
    broken(error)
    found, out, err = raygenex("config", "show", "a.yaml", "--debug")
    assert (found, out) == (code, "")
    assert "OSError: could not connect to postgresql://host/db\n" in err
    assert err.splitlines()[-1].partition(": ")[0].rpartition(".")[2] == type(error).__name__
    assert "hunter2" not in err


def test_a_failure_without_words_is_named(raygenex, broken):
    broken(AssertionError())
    code, _, err = raygenex("config", "show", "a.yaml")
    assert code == 1
    assert err == "failed: AssertionError: no message (--debug shows the traceback)\n"


def test_an_interrupt_is_exit_code_130_and_says_how_to_go_on(raygenex, broken):
    broken(KeyboardInterrupt())
    code, out, err = raygenex("config", "show", "a.yaml")
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert err.endswith("interrupted: run the same command again to go on from here\n")


def test_too_little_memory_is_one_sentence(raygenex, broken):
    of_torch = RuntimeError("[x] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    for error in (MemoryError("Unable to allocate 9 PiB"), of_torch):
        broken(error)
        code, out, err = raygenex("config", "show", "a.yaml")
        assert (code, out) == (2, "")
        one_sentence(err, "there is not enough memory (", "lower the sizes in the configuration")


# What works


def test_bars_are_plain_where_the_terminal_has_no_others(config):
    path = config()
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "raygenex", "data", "describe", path]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert done.stdout.isascii()
    assert b"#" in done.stdout


def test_version(raygenex):
    assert raygenex("--version") == (0, f"raygenex {__version__}\n", "")


def test_the_module_runs_as_a_program(tmp_path):
    command = [sys.executable, "-m", "raygenex", "config", "show", str(tmp_path / "no.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    one_sentence(done.stderr, tmp_path / "no.yaml")


def verbs(group, *names):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, *names, name)
        else:
            yield *names, name


VERBS = list(verbs(typer.main.get_command(main.app)))


def test_the_verbs_are_those_of_the_design():
    assert {" ".join(verb) for verb in VERBS} >= {
        "env",
        "init",
        "data simulate",
        "data check",
        "data describe",
        "embed",
        "train",
        "evaluate",
        "register",
        "predict",
        "run",
        "config show",
        "config schema",
    }


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help(raygenex, verb):
    code, out, err = raygenex(*verb, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: raygenex {' '.join(verb)}" in out
    assert "--debug" in out


def test_init_writes_a_config_that_loads_and_never_replaces_one(raygenex, tmp_path):
    code, out, err = raygenex("init", "mine.yaml")
    assert (code, err) == (0, "")
    assert "mine.yaml" in out
    assert load_config(tmp_path / "mine.yaml").data.train == ("data/train.h5",)
    (tmp_path / "mine.yaml").write_text("name: kept\n")
    code, out, err = raygenex("init", "mine.yaml")
    assert (code, out) == (2, "")
    one_sentence(err, "mine.yaml exists", "--force")
    assert (tmp_path / "mine.yaml").read_text() == "name: kept\n"
    assert raygenex("init", "mine.yaml", "--force")[0] == 0
    assert load_config(tmp_path / "mine.yaml").name == "first"


def test_init_into_no_folder(raygenex):
    code, _, err = raygenex("init", "no/such.yaml")
    assert code == 2
    one_sentence(err, "no/such.yaml", "does not exist")


def test_config_show_prints_a_config_that_is_the_same(raygenex, config, tmp_path):
    path = config("model: {kind: cnn_dna_only}\n")
    code, out, err = raygenex("config", "show", path, "-o", "train.epochs=3", "--override", "seed=4")
    assert (code, err) == (0, "")
    (tmp_path / "shown.yaml").write_text(out)
    shown = load_config(tmp_path / "shown.yaml")
    assert shown == load_config(path, ["train.epochs=3", "seed=4"])
    assert out.startswith(f"# hash {shown.hash()}\n")
    assert list(yaml.safe_load(out)) == list(RunConfig.model_fields)


def test_config_schema_is_json_and_explains_every_key(raygenex):
    code, out, err = raygenex("config", "schema")
    assert (code, err) == (0, "")
    schema = json.loads(out)
    keys = schema["$defs"]["TrainConfig"]["properties"]
    assert keys["epochs"]["description"] == "passes over the training genes at most"
    assert all("description" in key for key in keys.values())


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("config", "show"), "train"),
        (("data", "check"), None),
        (("data", "describe"), None),
        (("train", "--dry-run"), "steps"),
        (("embed", "--dry-run", "-o", "backbone.kind=hyenadna"), "config_hash"),
        (("run", "--dry-run"), "steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_json_is_one_line_on_standard_output(raygenex, config, command, key):
    code, out, _ = raygenex(*command[:2], config(), *command[2:], "--json")
    assert code == 0
    assert out.count("\n") == 1
    values = json.loads(out)
    assert key is None or key in values


def test_env_as_json(raygenex):
    code, out, _ = raygenex("env", "--json")
    assert code == 0
    assert json.loads(out)["raygenex"] == __version__
    assert out.count("\n") == 1


def test_data_check_says_how_many_genes_pass(raygenex, config):
    code, out, err = raygenex("data", "check", config())
    assert (code, err) == (0, "")
    assert out.endswith("\nok: the schema of 12 genes in 2 splits\n")
    assert " leak " not in out


def test_data_check_warns_of_leaks(raygenex, leaking):
    code, out, err = raygenex("data", "check", leaking())
    assert (code, err) == (0, "")
    assert "identical sequence" in out
    assert "warning: 1 of the 6 genes of valid (16.7%) leak from train" in out
    assert out.endswith("ok: the schema of 12 genes in 2 splits\n")
    values = json.loads(raygenex("data", "check", "run.yaml", "--json")[1])
    assert values["leakage"]["pairs"][0]["any"] == {"genes": 1, "share": 1 / 6, "examples": []}


# Training on data that leak


@pytest.fixture
def leaking(config, tmp_path):
    """Return a function that writes a configuration; the first gene of valid has the sequence of one of train."""

    def make(extra=""):
        path = config(extra)
        genes = columns(6, 20, 1, "V")
        genes["sequence"][0] = columns(6, 20)["sequence"][3]
        (tmp_path / "valid.h5").unlink()
        write_promoters(tmp_path / "valid.h5", genes)
        return path

    return make


@pytest.fixture
def no_training(monkeypatch):
    """Let a training end where it would begin."""

    def stop(*arguments):
        raise RuntimeError("the training begins")

    monkeypatch.setattr("raygenex.train.run.Tracker", stop)


def test_a_strict_training_stops_at_a_leak(raygenex, leaking, tmp_path, no_training):
    code, out, err = raygenex("train", leaking(), "--strict")
    assert (code, out) == (2, "")
    one_sentence(err, "1 of the 6 genes of valid (16.7%) leak from train", "V0 from T3", "raygenex data split")
    assert not (tmp_path / "runs" / "small").exists()
    # The verdict is kept, and is the same.
    assert raygenex("train", "run.yaml", "--strict") == (code, out, err)


def test_a_training_warns_of_a_leak_and_goes_on(raygenex, leaking, no_training):
    code, _, err = raygenex("train", leaking())
    assert code == 1
    warning, failure = err.splitlines()
    assert " LEAK between splits: 1 of the 6 genes of valid (16.7%) leak from train (1 by the same sequence" in warning
    assert failure == "failed: RuntimeError: the training begins (--debug shows the traceback)"


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_as_much_as_the_limit_may_leak(raygenex, leaking, no_training, strict):
    code, _, err = raygenex("train", leaking("check: {max_leaked: 0.2}\n"), *strict)
    assert (code, err.count("\n"), "LEAK" in err) == (1, 1, False)


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_a_training_on_sound_data_says_nothing_of_leaks(raygenex, config, no_training, strict):
    path = config()
    code, _, err = raygenex("train", path, *strict)
    assert (code, err) == (1, "failed: RuntimeError: the training begins (--debug shows the traceback)\n")


def test_a_finished_training_is_no_way_around_strict(raygenex, leaking, monkeypatch):
    finished = RunState(identity="", run_id="run", finished=True)
    monkeypatch.setattr("raygenex.train.run.known_state", lambda folder, identity: finished)
    code, _, err = raygenex("train", leaking(), "--strict")
    assert code == 2
    one_sentence(err, "1 of the 6 genes of valid")
    code, _, err = raygenex("train", "run.yaml")
    # It would be reused, but there is nothing to reuse.
    assert (code, "LEAK" in err) == (2, False)
    one_sentence(err, "finished, but its checkpoint is gone", "--force")


def test_a_dry_run_of_train_says_what_it_would_do_and_writes_nothing(raygenex, config, tmp_path):
    path = config("train: {workers: 2, epochs: 7}\n")
    before = sorted(tmp_path.iterdir())
    code, out, err = raygenex("train", path, "--dry-run")
    assert (code, err) == (0, "")
    assert out == "train: cnn_halflife_encoded, 7 epochs at most, 2 x 1 CPU, into runs/small (new run)\n"
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_looks_at_the_address_of_ray(raygenex, config, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    code, _, err = raygenex("train", config(), "--dry-run")
    assert code == 2
    one_sentence(err, "RAY_ADDRESS is http://head:8265")


def test_a_working_directory_that_is_gone_is_said_before_anything_is_loaded(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    code = f"import os, sys; os.rmdir({str(folder)!r}); sys.argv[1:] = ['env']\n"
    code += "from raygenex.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "working directory does not exist" in done.stderr


@pytest.mark.parametrize(
    ("last", "status"), [("pass", 0), ("sys.exit(2)", 2), ("sys.exit('no')", 1), ("1 / 0", 1), ("sys.exit()", 0)]
)
def test_a_program_ends_with_its_status_and_all_that_it_said(last, status):
    code = (
        "import atexit, sys, threading, time\n"
        "from raygenex.cli import main\n"
        "def work():\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
        "    atexit.register(lambda: print('registered'))\n"
        f"    print('said')\n    {last}\n"
        "main.main = work\nmain.program()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (status, ["said", "thread", "registered"])
    assert ("ZeroDivisionError" in done.stderr) == (last == "1 / 0")


def test_what_a_program_opens_is_no_closed_stream():
    code = (
        "import os, sys\nfrom raygenex.cli import main\n"
        "def work():\n    sys.stderr.write('said')\n    os._exit(os.open(os.devnull, os.O_RDONLY))\n"
        "main.main = work\nmain.program()"
    )
    script = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} 0<&- 1>&- 2>&-"
    assert subprocess.run(["sh", "-c", script], check=False).returncode > 2


def test_a_program_whose_output_is_closed_says_nothing_of_it():
    code = "from raygenex.cli.main import program; import sys; sys.argv = ['raygenex', '--version']; program()"
    script = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} >&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dry_run_of_embed_counts_the_genes_to_do(raygenex, config, tmp_path):
    code, out, _ = raygenex("embed", config("backbone: {kind: hyenadna}\n"), "--dry-run")
    assert code == 0
    assert out == "embed: 12 of 12 genes to do into runs/small/embeddings (no store yet)\n"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_there_is_nothing_to_embed_where_training_embeds(raygenex, config, tmp_path, options):
    path = config("backbone: {kind: hyenadna, route: online}\n")
    code, out, err = raygenex("embed", path, *options)
    assert (code, out) == (2, "")
    one_sentence(err, "backbone.route is online", "go on with train")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("finetune", "word"), [("false", "frozen"), ("true", "fine-tuned")])
def test_a_dry_run_says_that_training_embeds(raygenex, config, finetune, word):
    backbone = f"backbone: {{kind: hyenadna, d_model: 8, route: online, finetune: {finetune}}}\n"
    code, out, _ = raygenex("run", config(backbone), "--dry-run")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["check", "train", "evaluate", "register"]
    assert f"train: cnn_halflife_encoded on a hyenadna that is {word} in its workers, 50 epochs" in out


def test_the_autoencoder_needs_a_store(raygenex, config):
    path = config("backbone: {kind: hyenadna, d_model: 8, route: online}\nmodel: {kind: autoencoder_xgboost}\n")
    code, out, err = raygenex("train", path, "--dry-run")
    assert (code, out) == (2, "")
    one_sentence(err, "autoencoder_xgboost", "set backbone.route to cached")


def test_a_dry_run_of_everything_says_every_step(raygenex, config):
    code, out, _ = raygenex("run", config("backbone: {kind: hyenadna}\n"), "--dry-run")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["check", "embed", "train", "evaluate", "register"]
    assert "check: train 6, valid 6 genes, 20 bases a promoter" in out


def test_a_dry_run_of_what_needs_a_model_refuses_without_one(raygenex, config):
    path = config()
    for verb in ("evaluate", "register"):
        code, out, err = raygenex(verb, path, "--dry-run")
        assert (code, out) == (2, "")
        one_sentence(err, "runs/small/checkpoint", "raygenex train")


def test_a_dry_run_of_simulate_makes_nothing_and_refuses_what_simulate_would(raygenex, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("simulate: {train: 8}\ndata: {train: made/train.h5, valid: made/valid.h5, test: made/test.h5}\n")
    code, out, _ = raygenex("data", "simulate", path, "--dry-run")
    assert (code, out) == (0, "simulate: make the data set in made\n")
    code, _, err = raygenex("run", path, "--dry-run", "-o", "data.window=600")
    assert (code, err.startswith("error: data.window is 600, but simulate.window makes promoters of 512 bases")) == (
        2,
        1,
    )
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "train.h5").write_text("mine")
    code, _, err = raygenex("data", "simulate", path, "--dry-run")
    assert code == 2
    one_sentence(err, "made", "--force")


def test_a_dry_run_of_embed_refuses_what_embed_would_refuse(raygenex, config):
    code, _, err = raygenex("embed", config(), "--dry-run")
    assert code == 2
    one_sentence(err, "backbone.kind is onehot")


def test_a_dry_run_of_train_refuses_a_store_that_is_not_there(raygenex, config):
    code, _, err = raygenex("train", config("backbone: {kind: hyenadna}\n"), "--dry-run")
    assert code == 2
    one_sentence(err, "there is no embedding store")


def test_splitting_anew_says_where_the_genes_went(raygenex, config, tmp_path):
    path = config("split: {rule: random, fractions: [0.5, 0.25, 0.25]}\n")
    code, out, err = raygenex("data", "split", path, "--output", "new.tsv", "--write", "new")
    assert code == 0
    assert "split by random: train 6 (50.0%), valid 3 (25.0%), test 3 (25.0%) of 12 genes" in err
    assert out == (
        "split: train 6 (50.0 %), valid 3 (25.0 %), test 3 (25.0 %) by random, in new.tsv\n"
        "train: new/train.h5\nvalid: new/valid.h5\ntest: new/test.h5\n"
    )
    code, out, err = raygenex("data", "split", path, "--output", "new.tsv")
    assert (code, out) == (2, "")
    one_sentence(err, "new.tsv exists already", "--force")
    values = json.loads(raygenex("data", "split", path, "--output", "new.tsv", "--force", "--json")[1])
    assert values["counts"] == {"train": 6, "valid": 3, "test": 3}
    assert (values["output"], values["files"]) == (str(tmp_path / "new.tsv"), {})


def test_genes_without_places_cannot_be_split_by_chromosome(raygenex, config, tmp_path):
    code, out, err = raygenex("data", "split", config())
    assert (code, out) == (2, "")
    one_sentence(err, "12 of 12 genes, such as T0, have no chromosome", "split.rule")
    assert not (tmp_path / "split.tsv").exists()
