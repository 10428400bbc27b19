import json
import logging
import math
import re

import pytest
import yaml
from pydantic import ValidationError

from raygenex.benchmark.jobs import plan_jobs
from raygenex.config.base import Section, canonical_hash
from raygenex.config.embed import HyenaBackbone, OneHotBackbone
from raygenex.config.load import config_text, load_config, parse_config
from raygenex.config.model import CnnHalflifeEncoded
from raygenex.config.run import RunConfig
from raygenex.config.yaml_file import PlainYamlError, read_yaml
from raygenex.errors import ConfigError

KINDS = ("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only", "cnn_halflife_only")


@pytest.fixture
def load(tmp_path):
    """Return a function that writes a YAML text and loads it."""

    def read(text, *overrides):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides)

    return read


@pytest.fixture
def refusal(load, tmp_path):
    """Return a function that loads a YAML text which must be refused, and returns the one sentence that says why."""

    def read(text, *overrides):
        with pytest.raises(ConfigError) as info:
            load(text, *overrides)
        message = str(info.value).replace(str(tmp_path / "run.yaml"), "run.yaml")
        assert "\n" not in message
        return message

    return read


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def replaced(values, path, value):
    """Return a copy of nested values with one of them replaced."""
    if not path:
        return value
    return {**values, path[0]: replaced(values[path[0]], path[1:], value)}


def full():
    """Return a configuration in which no section is left out."""
    return parse_config({"simulate": {"targets": 2}, "backbone": {"kind": "hyenadna"}}, "test")


# Reading


def test_an_empty_file_is_all_defaults(load):
    assert load("") == RunConfig()


def test_a_missing_file_is_named_with_the_command_that_makes_one(tmp_path):
    path = tmp_path / "no.yaml"
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert str(info.value) == f"config {path} does not exist; `raygenex init {path}` writes one to start from"


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(f"config {tmp_path} cannot be read")):
        load_config(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "line"), [("name: a\ntrain: [1, 2\n", 3), ("name: a\n b: c\n", 2), ("seed: @\n", 1), ("x: 1\n\ty: 2\n", 2)]
)
def test_invalid_yaml_is_refused_with_its_line(refusal, text, line):
    assert refusal(text).startswith(f"config run.yaml is not valid YAML at line {line}: ")


@pytest.mark.parametrize("text", ["- a\n- b\n", "hello\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(refusal, text):
    assert refusal(text).startswith("config run.yaml must hold sections")


def test_yaml_makes_no_python_objects(refusal):
    assert "not valid YAML at line 1" in refusal("name: !!python/object/apply:os.getcwd []\n")


# Unknown keys


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("traim: {}\n", "traim", "train"),
        ("train:\n  epoch: 3\n", "train.epoch", "epochs"),
        ("embed:\n  batchsize: 3\n", "embed.batchsize", "batch_size"),
        ("simulate:\n  windw: 200\n", "simulate.windw", "window"),
        ("model:\n  dropuot: 0.1\n", "model.dropuot", "dropout"),
        ("model:\n  kind: cnn_dna_only\n  chanels: [4]\n", "model.chanels", "channels"),
        ("backbone:\n  kind: hyenadna\n  dmodel: 8\n", "backbone.dmodel", "d_model"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(refusal, text, key, near):
    assert refusal(text) == f"config run.yaml: {key} is not a known key; did you mean {near}?"


def test_an_unknown_key_like_no_other_lists_the_known_ones(refusal):
    assert refusal("predict:\n  zzz: 1\n") == (
        "config run.yaml: predict.zzz is not a known key; "
        "known keys are batch_size, cpus_per_worker, gpus_per_worker, strict, workers"
    )
    assert refusal("backbone:\n  d_model: 8\n").endswith("known keys are kind")


@pytest.mark.parametrize("section", [name for name, value in full() if isinstance(value, Section)])
def test_every_section_refuses_extra_keys(section):
    values = full().dump()
    with pytest.raises(ConfigError, match=f"{section}.qqqq is not a known key"):
        parse_config(replaced(values, (section,), {**values[section], "qqqq": 1}), "here")


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_kind_refuses_extra_keys(kind):
    with pytest.raises(ConfigError, match=r"^here: model\.qqqq is not a known key"):
        parse_config({"model": {"kind": kind, "qqqq": 1}}, "here")


# Values out of range


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: -1\n", "seed: must be at least 0, not -1"),
        ("seed: 1.5\n", "seed: must be a whole number"),
        ("name: ../up\n", "name: must be letters, digits"),
        ("data:\n  window: 0\n", "data.window: must be at least 1, not 0"),
        ("data:\n  train: [a.h5, 3]\n", "data.train.1: must be text, not 3"),
        ("simulate:\n  window: 10\n", "simulate.window: must be at least 100, not 10"),
        ("model:\n  dropout: 1.0\n", "model.dropout: must be below 1, not 1.0"),
        ("model:\n  channels: [4, 0]\n", "model.channels.1: must be at least 1, not 0"),
        ("model:\n  channels: []\n", "model.channels: must have at least 1 value"),
        ("model:\n  pool: 1\n", "model.pool: must be at least 2, not 1"),
        ("model:\n  kind: nonsense\n", "it may be cnn_halflife_encoded, cnn_halflife_raw, cnn_dna_only"),
        ("backbone:\n  kind: hyenadna\n  d_model: 0\n", "backbone.d_model: must be at least 1"),
        ("embed:\n  dtype: float64\n", "embed.dtype: must be 'float16' or 'float32', not 'float64'"),
        ("embed:\n  min_actors: 5\n", "embed: max_actors (4) is below min_actors (5)"),
        ("halflife:\n  batch_size: 1\n", "halflife.batch_size: must be at least 2, not 1"),
        ("train:\n  learning_rate: 0\n", "train.learning_rate: must be above 0, not 0"),
        ("train:\n  learning_rate: .nan\n", "train.learning_rate: must be a finite number, not nan"),
        ("train:\n  learning_rate: .inf\n", "train.learning_rate: must be a finite number, not inf"),
        ("train:\n  keep_checkpoints: 1\n", "train.keep_checkpoints: must be at least 2"),
        ("evaluate:\n  confidence: 1\n", "evaluate.confidence: must be below 1, not 1"),
        ("split:\n  rule: block\n", "split.rule 'block' is not known; it may be random, chromosome, group"),
        ("model:\n  kind: LSTM\n", "model.kind 'LSTM' is not known; did you mean lstm?"),
        ("split:\n  rule: 3\n", "split.rule must be one of random, chromosome"),
        (
            "build:\n  genome: g.fa\n  label:\n    table: t.tsv\n    threshold: mean\n",
            "threshold: must be a number or 'median'",
        ),
        ("train:\n  epochs: 1_000\n", "epochs is '1_000': give a number"),
        ("train:\n  epochs: abc\n", "train.epochs: must be a whole number, not 'abc'"),
        ("output:\n", "output: must be text, and nothing is given"),
        ("name:\n", "name: must be text, and nothing is given"),
        ("train: 3\n", "train: must be a section"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(refusal, text, words):
    message = refusal(text)
    assert message.startswith("config run.yaml: ")
    assert words in message


@pytest.mark.parametrize(("batch", "workers", "fits"), [(32, 2, True), (33, 2, False), (2, 4, False), (30, 3, True)])
def test_the_global_batch_must_divide_by_the_workers(batch, workers, fits):
    values = {"train": {"global_batch_size": batch, "workers": workers}}
    if fits:
        assert parse_config(values, "here").train.workers == workers
        return
    with pytest.raises(ConfigError) as info:
        parse_config(values, "here")
    assert str(info.value) == f"here: train: global_batch_size ({batch}) must divide by workers ({workers})"


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ({"workers": 4, "min_workers": 2, "global_batch_size": 24}, None),
        ({"workers": 2, "min_workers": 2, "global_batch_size": 2}, None),
        (
            {"workers": 4, "min_workers": 1, "global_batch_size": 32},
            "global_batch_size (32) must divide by every number of workers from min_workers (1) to workers (4), and "
            "does not by 3",
        ),
        ({"workers": 2, "min_workers": 3, "global_batch_size": 12}, "min_workers (3) is above workers (2)"),
        (
            {"workers": 2, "min_workers": 1, "cpus_per_worker": 0.5},
            "cpus_per_worker (0.5) must be a whole number with min_workers",
        ),
    ],
)
def test_an_elastic_training_keeps_its_global_batch(train, problem):
    if problem is None:
        assert parse_config({"train": train}, "here").train.fewest_workers == 2
        return
    with pytest.raises(ConfigError) as info:
        parse_config({"train": train}, "here")
    assert str(info.value) == f"here: train: {problem}"


def test_without_min_workers_all_workers_are_needed():
    assert parse_config({"train": {"workers": 4}}, "here").train.fewest_workers == 4


@pytest.mark.parametrize(("name", "given"), [("kernel_size", 4), ("stem_kernel", 10)])
def test_an_even_kernel_is_refused(name, given):
    with pytest.raises(ConfigError, match=rf"{name} \({given}\) must be odd"):
        parse_config({"model": {name: given}}, "here")


@pytest.mark.parametrize(
    ("values", "key"),
    [({"model": {"kernel_size": 4}}, "model"), ({"backbone": {"kind": "hyenadna", "revision": "abc"}}, "backbone")],
)
def test_a_section_that_does_not_hold_together_is_named_as_in_the_file(values, key):
    with pytest.raises(ConfigError) as info:
        parse_config(values, "here")
    assert str(info.value).startswith(f"here: {key}: ")


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ({"finetune": True}, "finetune needs route online"),
        ({"route": "online", "learning_rate": 1e-3}, "learning_rate is given but finetune is false"),
        ({"route": "online", "finetune": True, "learning_rate": 0.0}, "backbone.learning_rate"),
    ],
)
def test_a_backbone_learns_within_the_training_alone(backbone, words):
    with pytest.raises(ConfigError, match=words) as info:
        parse_config({"backbone": {"kind": "hyenadna", **backbone}}, "here")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("kind", "route", "embeds", "stored"),
    [
        ("cnn_dna_only", "cached", True, True),
        ("cnn_dna_only", "online", True, False),
        ("cnn_halflife_only", "cached", True, True),
        ("cnn_halflife_only", "online", False, False),
        ("logistic", "cached", False, False),
        ("xgboost_kmer", "online", False, False),
    ],
)
def test_who_reads_embeddings_and_who_a_store(kind, route, embeds, stored):
    config = parse_config({"backbone": {"kind": "hyenadna", "route": route}, "model": {"kind": kind}}, "here")
    assert (config.reads_embeddings, config.reads_store) == (embeds, stored)
    assert (config.online is not None) == (embeds and not stored)
    bases = parse_config({"model": {"kind": kind}}, "here")
    assert (bases.reads_embeddings, bases.reads_store, bases.online) == (False, False, None)


def test_an_autoencoder_learns_from_a_store_in_every_row_of_a_benchmark():
    online = {"backbone": {"kind": "hyenadna", "route": "online"}}
    with pytest.raises(ConfigError, match="autoencoder_xgboost learns to restore") as info:
        parse_config(online | {"model": {"kind": "autoencoder_xgboost"}}, "here")
    assert "\n" not in str(info.value)
    rows = [{"name": "a", "set": {"model.kind": "lstm"}}, {"name": "b", "set": {"model.kind": "autoencoder_xgboost"}}]
    config = parse_config(online | {"benchmark": {"models": rows}}, "here")
    with pytest.raises(ConfigError, match=r"benchmark\.models, b: .*set backbone\.route to cached"):
        plan_jobs(config)
    assert len(plan_jobs(parse_config({"benchmark": {"models": rows}}, "here"))) == 6


@pytest.mark.parametrize(
    ("route", "use_gpu", "gpus_per_actor", "precision"),
    [
        ("cached", True, 0.0, "fp32"),
        ("cached", False, 1.0, "bf16"),
        ("online", True, 0.0, "bf16"),
        ("online", False, 1.0, "fp32"),
    ],
)
def test_the_devices_that_embed_decide_the_arithmetic(route, use_gpu, gpus_per_actor, precision):
    values = {
        "backbone": {"kind": "hyenadna", "route": route},
        "embed": {"precision": "bf16", "gpus_per_actor": gpus_per_actor},
        "train": {"use_gpu": use_gpu},
    }
    assert parse_config(values, "here").embed_precision == precision
    assert parse_config(values | {"embed": {}}, "here").embed_precision == "fp32"


def test_a_revision_needs_weights():
    with pytest.raises(ConfigError, match="revision is given but weights is not"):
        parse_config({"backbone": {"kind": "hyenadna", "revision": "abc"}}, "here")


# Environment variables


def test_a_variable_is_replaced_wherever_it_stands(load, monkeypatch):
    monkeypatch.setenv("RGX_A", "first")
    monkeypatch.setenv("RGX_N", "7")
    config = load(
        "name: ${RGX_A}\nseed: ${RGX_N}\noutput: in/${RGX_A}-${RGX_N}/x\ndata:\n  train: ['${RGX_A}.h5', b.h5]\n"
    )
    assert (config.name, config.seed, config.output) == ("first", 7, "in/first-7/x")
    assert config.data.train == ("first.h5", "b.h5")


@pytest.mark.parametrize(("value", "expected"), [(None, "plain"), ("", "plain"), ("given", "given")])
def test_a_default_stands_in_for_an_unset_or_empty_variable(load, monkeypatch, value, expected):
    monkeypatch.delenv("RGX_A", raising=False)
    if value is not None:
        monkeypatch.setenv("RGX_A", value)
    assert load("output: ${RGX_A:-plain}\n").output == expected


def test_a_default_may_be_a_path_or_a_url(load, monkeypatch):
    monkeypatch.delenv("RGX_A", raising=False)
    assert load("data:\n  train: ${RGX_A:-s3://bucket/a-b:c}\n").data.train == ("s3://bucket/a-b:c",)


def test_an_unset_variable_is_named(refusal, monkeypatch):
    monkeypatch.delenv("RGX_A", raising=False)
    assert (
        refusal("output: runs/${RGX_A}\n")
        == "config run.yaml needs the environment variable RGX_A: set it, or give a value in its place"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$RGX_A/x", "first/x"),
        ("${RGX_A}x", "firstx"),
        ("${RGX_B:-${RGX_A}}/x", "first/x"),
        ("${RGX_B:-${RGX_C:-c}d}", "cd"),
        ("${RGX_A:-${RGX_C}}", "first"),
        ("${RGX_A:-}x", "firstx"),
        ("a${RGX_B:-}x", "ax"),
        ("a$$RGX_A", "a$RGX_A"),
        ("$$$RGX_A", "$first"),
    ],
)
def test_variables_are_read_as_by_a_shell(load, monkeypatch, text, expected):
    monkeypatch.setenv("RGX_A", "first")
    for name in ("RGX_B", "RGX_C"):
        monkeypatch.delenv(name, raising=False)
    assert load(f"output: '{text}'\n").output == expected
    assert load("", f"output='{text}'").output == expected


@pytest.mark.parametrize(
    "text", ["a${RGX_A", "${RGX_A:-b", "${RGX_A:=b}", "${RGX_A-b}", "$(date)", "a$", "5$/x", "${}"]
)
def test_a_sign_that_begins_no_variable_is_refused(refusal, monkeypatch, text):
    monkeypatch.setenv("RGX_A", "first")
    assert refusal(f"output: '{text}'\n") == (
        "config run.yaml has a $ that begins no variable: write $NAME, ${NAME} or ${NAME:-default}, and $$ for the sign"
    )


def test_an_unset_variable_without_braces_is_named_with_the_sign(refusal, monkeypatch):
    monkeypatch.delenv("RGX_A", raising=False)
    assert refusal("output: $RGX_A/x\n").endswith("RGX_A: set it, or give a value in its place; $$ is the sign $")


def test_defaults_inside_one_another_end_somewhere(refusal):
    assert "begins no variable" in refusal("output: '" + "${RGX_NO:-" * 5000 + "}" * 5000 + "'\n")


def test_an_overridden_variable_need_not_be_set(load, monkeypatch):
    monkeypatch.delenv("RGX_A", raising=False)
    assert load("output: ${RGX_A}\n", "output=x").output == "x"


@pytest.mark.parametrize("output", ["a$b/${RGX_NO}", "1e-4", "on", "010", "0x1f", "null", "2020-01-01", "é $$"])
def test_what_is_written_reads_back_as_the_same(load, output):
    config = parse_config({"output": output, "tracking": {"experiment": output}}, "here")
    assert load(config_text(config.dump())) == config


# YAML 1.2, and types that are not one another


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, word)
            for word in ("on", "off", "yes", "No", "y", "1:30", "10:00", "1_000", "0b11", "2024-01-31", "=")
        ),
        ("true", True),
        ("False", False),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("'010'", "010"),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text, value):
    found = read_yaml(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["!!bool on", "!!int 1:30", "!!int 0b1", "!!float 10:00"])
def test_a_tag_does_not_bring_yaml_1_1_back(text):
    with pytest.raises(PlainYamlError, match="not valid YAML"):
        read_yaml(f"a: {text}")


@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("check.max_leaked", "on", "check.max_leaked: must be a number"),
        ("check.max_leaked", "true", "check: max_leaked is true or false: give a number"),
        ("evaluate.bootstrap", "10:00", "evaluate.bootstrap: must be a whole number"),
        ("train.epochs", "True", "train: epochs is true or false: give a number"),
        ("train.patience", "false", "train: patience is true or false: give a number"),
        ("model.channels", "[8, true]", "model: channels is true or false: give a number"),
        ("seed", "true", "seed is true or false: give a number"),
        ("train.use_gpu", "yes", "train: use_gpu is 'yes': give true or false"),
        ("train.use_gpu", "1", "train: use_gpu is 1: give true or false"),
        ("split.fractions", "[true, false, false]", "split: fractions is true or false: give a number"),
        ("build.label.threshold", "true", "build.label: threshold is true or false: give a number"),
        ("tune.space", "{model.dropout: {uniform: [false, true]}}", "uniform is true or false: give a number"),
    ],
)
def test_a_truth_is_no_number(refusal, key, value, words, override):
    where = {"build.label.threshold": "build: {features: f.tsv}\n"}.get(key, "")
    if override:
        assert words in refusal(where, f"{key}={value}")
        return
    text = value
    for part in reversed(key.split(".")):
        text = f"{{{part}: {text}}}"
    if where:
        text = text.replace("{build: {", "{build: {features: f.tsv, ")
    assert words in refusal(text)


def test_no_key_takes_a_truth_for_a_number_or_a_number_for_a_truth():
    config = full_build().model_copy(update={"simulate": full().simulate, "backbone": full().backbone}).dump()
    for path, value in leaves(config):
        wrong = {bool: 1, int: True, float: True}.get(type(value))
        if wrong is None or path[:2] == ("tune", "space"):
            continue
        values = replaced(config, path, wrong) | {"build": config["build"], "simulate": None}
        if path[0] in ("build", "simulate"):
            values = replaced(config, path, wrong) | ({"simulate": None} if path[0] == "build" else {"build": None})
        with pytest.raises(ConfigError, match=rf"{path[-1]} is (true or false: give a number|1: give true or false)"):
            parse_config(values, "here")


def test_a_number_in_quotes_is_that_number(load, monkeypatch):
    monkeypatch.setenv("RGX_TRUE", "True")
    monkeypatch.setenv("RGX_RATE", "1e-3")
    config = load("train: {epochs: '5', learning_rate: $RGX_RATE, use_gpu: $RGX_TRUE}\nmodel: {channels: ['8', 4]}\n")
    assert (config.train.epochs, config.train.learning_rate, config.train.use_gpu) == (5, 0.001, True)
    assert config.model.channels == (8, 4)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("split: {seed: -1}", "split.seed"),
        ("split: {rule: random, seed: 9223372036854775808}", "split.seed"),
        ("seed: 9223372036854775808", "seed"),
        ("simulate: {seed: -9223372036854775809}", "simulate.seed"),
        ("backbone: {kind: hyenadna, seed: 9223372036854775808}", "backbone.seed"),
        ("tune: {seeds: [0, 9223372036854775808]}", "tune.seeds.1"),
        *(
            (f"{section}: {{{name}: {10**15}}}", f"{section}.{name}")
            for section, name in (
                ("simulate", "train"),
                ("simulate", "window"),
                ("model", "width"),
                ("train", "global_batch_size"),
                ("evaluate", "bootstrap"),
                ("explain", "window_first"),
                ("embed", "bin_size"),
                ("predict", "workers"),
            )
        ),
        (f"model: {{channels: [{10**15}]}}", "model.channels.0"),
        (f"backbone: {{kind: hyenadna, d_model: {10**15}}}", "backbone.d_model"),
    ],
)
def test_seeds_and_sizes_have_bounds(refusal, text, key):
    message = refusal(text)
    assert message.startswith(f"config run.yaml: {key}: must be ")
    assert "must be at least " in message or "must be at most " in message or "must be below " in message


# What Ray and MLflow would refuse after the work


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "a'b\"c", "a?b", "a%20b", "a#b", " a", ".", "a\tb"])
def test_a_model_name_that_mlflow_refuses(refusal, name):
    message = refusal(yaml.safe_dump({"tracking": {"model_name": name}}))
    assert message.startswith("config run.yaml: tracking.model_name ")
    assert message.endswith(", which MLflow refuses: use letters, digits, '.', '_' and '-'")
    # A checkpoint that was trained under it can still be read, and registered under another.
    assert parse_config({"tracking": {"model_name": name}}, "here").tracking.model_name == name


@pytest.mark.parametrize("name", ["raygenex", "a.b-c_d", "Mein Modell", "modèle 2", "l'un", 'a"b'])
def test_a_model_name_that_mlflow_takes(load, name):
    assert load(yaml.safe_dump({"tracking": {"model_name": name}})).tracking.model_name == name


@pytest.mark.parametrize("output", ["/srv/a%20b", "what?", "runs/%2Fx"])
def test_an_output_that_no_database_can_be_in(load, refusal, output):
    message = refusal(yaml.safe_dump({"output": output}))
    assert "MLflow's database cannot be below a path with ? or %20: name another folder, or set tracking.uri" in message
    assert load(yaml.safe_dump({"output": output, "tracking": {"uri": "http://m:5000"}})).output == output
    assert load("output: 100%/a b#c\n").output == "100%/a b#c"


def test_a_working_directory_that_no_database_can_be_in_is_named_where_one_is_opened(load, tmp_path, monkeypatch):
    from raygenex.tracking.store import tracking_uri

    (tmp_path / "a%20b").mkdir()
    monkeypatch.chdir(tmp_path / "a%20b")
    config = load("{}")
    with pytest.raises(ConfigError, match="MLflow's database cannot be below a path with"):
        tracking_uri(config)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://10.0.0.1:8265", "the address of a dashboard, which takes jobs alone: give 10.0.0.1:6379 on a node"),
        ("10.0.0.1:8265", "the address of a dashboard, which takes jobs alone: give 10.0.0.1:6379 on a node"),
        ("ray://head:10001", "which Ray Train and Tune cannot work by: give head:6379 on a node"),
        ("tcp://head:1", "give head:6379 on a node"),
    ],
)
def test_an_address_of_another_kind(refusal, address, words):
    message = refusal("", f"cluster.address={address}")
    assert message.startswith(f"config run.yaml: cluster.address is {address}, ")
    assert words in message


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head:6379", "local"])
def test_addresses_of_clusters(load, address):
    assert load("", f"cluster.address={address}").cluster.address == address


# Home folders


def test_the_home_folder_is_the_same_in_output_and_store(load, refusal, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = load("output: ~/runs\nembed: {store: ~/store}\n")
    assert (config.folder, config.store) == ("/home/me/runs/run", "/home/me/store")
    assert config.output == "~/runs"
    message = refusal("output: ~nobody-here/runs\n")
    assert message.startswith("output is ~nobody-here/runs, and there is no such home folder: ")


# Another kind


@pytest.mark.parametrize(
    ("text", "override", "left"),
    [
        ("model: {kind: lstm, hidden: 4, dropout: 0.1}", "model.kind=xgboost_kmer", {}),
        ("model: {width: 4, pool: 3}", "model.kind=cnn_dna_only", {"width": 4, "pool": 3}),
        ("model: {width: 4, pool: 3}", "model.kind=lstm", {}),
        ("backbone: {kind: hyenadna, d_model: 8, seed: 3}", "backbone.kind=onehot", {}),
        ("split: {valid: [I], seed: 3, fractions: [0.5, 0.5, 0]}", "split.rule=random", {"seed": 3}),
        ("split: {rule: random, seed: 3}", "split={rule: file, file: s.tsv}", {"file": "s.tsv"}),
    ],
)
def test_another_kind_leaves_the_keys_of_its_own_behind(load, caplog, text, override, left):
    section = text.partition(":")[0]
    with caplog.at_level(logging.INFO, "raygenex"):
        values = load(text, override).dump()[section]
    fresh = load("", override).dump()[section]
    assert values == {**fresh, **left, **({"fractions": [0.5, 0.5, 0.0]} if "fractions" in text else {})}
    assert bool(caplog.messages) == ((section == "split" and "{" not in override) or not left)


def test_what_is_left_behind_is_said_and_new_keys_are_kept(load, caplog):
    with caplog.at_level(logging.INFO, "raygenex"):
        config = load("model: {width: 4, pool: 3}\n", "model.hidden=5", "model.kind=lstm")
    assert (config.model.kind, config.model.hidden, config.model.width) == ("lstm", 5, 64)
    assert caplog.messages == ["model.kind is lstm, so model.width, pool of cnn_halflife_encoded is left out"]


def test_a_key_of_no_kind_is_still_refused(refusal):
    assert "model.hiden is not a known key; did you mean hidden?" in refusal("model: {hiden: 4}\n", "model.kind=lstm")


# Overrides


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("name=other", ("name",), "other"),
        ("seed=7", ("seed",), 7),
        ("train.epochs=3", ("train", "epochs"), 3),
        ("train.learning_rate=1e-3", ("train", "learning_rate"), 0.001),
        ("train.use_gpu=true", ("train", "use_gpu"), True),
        ("train.patience=null", ("train", "patience"), None),
        ("model.channels=[8, 4]", ("model", "channels"), [8, 4]),
        ("model.kind=cnn_dna_only", ("model", "kind"), "cnn_dna_only"),
        ("data.train=a.h5", ("data", "train"), ["a.h5"]),
        ("data.train=[a.h5, b.h5]", ("data", "train"), ["a.h5", "b.h5"]),
        ("tracking.uri=http://host:5000/x=y", ("tracking", "uri"), "http://host:5000/x=y"),
        ("simulate.window=200", ("simulate", "window"), 200),
        ("train={epochs: 4}", ("train", "epochs"), 4),
    ],
)
def test_an_override_changes_one_value_of_its_type(load, override, path, expected):
    found = load("train:\n  epochs: 9\n  patience: 2\n", override).dump()
    for key in path:
        found = found[key]
    assert found == expected
    assert type(found) is type(expected)


def test_an_override_leaves_its_neighbours(load):
    config = load("train:\n  epochs: 9\n  patience: 2\n", "train.epochs=3")
    assert (config.train.epochs, config.train.patience) == (3, 2)


def test_the_last_override_wins(load):
    assert load("", "seed=1", "seed=2").seed == 2


def test_an_override_makes_the_section_it_needs(load):
    assert load("simulate:\n", "simulate.seed=4").simulate.seed == 4


@pytest.mark.parametrize("override", ["train.epochs", "", "=3", "--force"])
def test_an_override_of_another_form_is_refused(refusal, override):
    assert refusal("", override) == f"override {override!r} is not of the form section.key=value"


def test_an_override_below_a_value_is_refused(refusal):
    assert refusal("name: a\n", "name.x=1") == "override 'name.x=1' does not fit: name is not a section"


def test_an_override_that_is_no_yaml_is_refused(refusal):
    assert refusal("", "model.channels=[8") == "override 'model.channels=[8' has a value that is not valid YAML"


def test_an_override_of_an_unknown_key_is_refused(refusal):
    assert (
        refusal("", "train.epoch=3") == "override 'train.epoch=3': train.epoch is not a known key; did you mean epochs?"
    )
    assert "nosuch is not a known key" in refusal("", "nosuch.key=3")


def test_an_override_out_of_range_is_refused(refusal):
    assert "train.epochs: must be at least 1, not 0" in refusal("", "train.epochs=0")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("split.fractions=[1]", ["override", "split.fractions", "is missing"]),
        ("tune.space={model.dropout: {uniform: [1, 2, 3]}}", ["at most 2 values"]),
        ("tune.space={}", ["at least 1 value"]),
        ("output=''", ["output: must not be empty"]),
        ("data.train=[a, '']", ["data.train.1: must not be empty: give a path, or leave the key out"]),
        ("build.tss_peaks=''", ["build.tss_peaks: must not be empty"]),
        ("tracking.uri=''", ["tracking.uri: must not be empty"]),
        ("data.train=5", ["data.train: must be a path or a list of paths, not 5"]),
        ("variants.genes={a: 1}", ["variants.genes: must be a path or a list of paths"]),
        ("data.test=null", ["data.test: must be a path or a list of paths, and nothing is given"]),
        ("build.label.columns=3", ["build.label.columns: must be a name or a list of names, not 3"]),
        ("build.chromosomes=true", ["build.chromosomes: must be a name or a list of names, not true"]),
        ("tune.space={5: {uniform: [0, 1]}}", ["tune.space.5", "must be text"]),
        ("model.kind=[lstm]", ["model.kind must be one of"]),
        ("benchmark.models=[{name: a-b}]", ["dots and _", "'a-b'"]),
        ("train.epochs=9999999999", ["at most 2147483647"]),
        (f"train.epochs={'x' * 500}", ["xxx..."]),
        (".train=5", ["not of the form section.key=value"]),
        ("train..epochs=5", ["not of the form section.key=value"]),
        ("model.kind=LSTM", ["override 'model.kind=LSTM'", "did you mean lstm?"]),
    ],
)
def test_an_override_is_refused_in_words_of_its_own(refusal, override, words):
    message = refusal("", override)
    for word in words:
        assert word in message, message
    assert not [word for word in ("validation", "tuple", "dictionary", "[key]", "must be is") if word in message]


# Defaults and properties


@pytest.mark.parametrize("text", ["model:\n  dropout: 0.1\n", "model: {dropout: 0.1}\n"])
def test_a_model_without_kind_is_the_encoded_one(load, text):
    assert load(text).model == CnnHalflifeEncoded(dropout=0.1)


def test_a_backbone_without_kind_is_onehot(load):
    assert load("backbone: {}\n").backbone == OneHotBackbone()
    assert load("backbone: {kind: hyenadna}\n").backbone == HyenaBackbone()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_sizes_of_the_paper(kind):
    model = parse_config({"model": {"kind": kind}}, "here").model
    assert model.kind == kind
    assert (model.width, model.channels, model.dense) == (256, (128, 64, 16, 4), (256, 64))
    assert (model.kernel_size, model.pool, model.dropout, model.join) == (3, 2, 0.5, "positions")


def test_the_paper_is_the_default():
    config = RunConfig()
    assert (config.train.learning_rate, config.train.global_batch_size, config.train.epochs) == (1e-4, 32, 50)
    assert (config.halflife.channels, config.halflife.noise, config.halflife.margin) == ((128, 256, 256), 0.1, 1.0)
    assert (config.embed.bin_size, config.embed.pooling, config.embed.dtype) == (128, "mean", "float16")


def test_folders_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config({"name": "a", "output": "out"}, "here")
    assert config.folder == str(tmp_path / "out" / "a")
    assert config.store == str(tmp_path / "out" / "a" / "embeddings")
    assert parse_config({"embed": {"store": "kept"}}, "here").store == str(tmp_path / "kept")


@pytest.mark.parametrize("values", [{"output": "s3://bucket/x"}, {"embed": {"store": "s3://bucket/x"}}])
def test_a_folder_that_is_a_url_is_refused(values):
    with pytest.raises(ConfigError, match=r"s3://bucket/x must be a folder that every node can reach, not a URL"):
        parse_config(values, "here")


def test_a_section_left_empty_has_its_defaults(load):
    assert load("train:\nsimulate:\n") == RunConfig()


def test_a_key_given_twice_is_refused(refusal):
    assert "line 3: key epochs is given twice" in refusal("train:\n  epochs: 3\n  epochs: 4\n")


@pytest.mark.parametrize(
    ("text", "epochs", "batch"),
    [
        ("train: &t {epochs: 3, batch_size: 5}\nautoencoder: {<<: *t, batch_size: 7}", 3, 7),
        ("train: &t {epochs: 3}\nautoencoder: {<<: [*t, {epochs: 4, batch_size: 6}]}", 3, 6),
        # What is merged elsewhere, before its own turn comes, has no key twice by that.
        ("a: {b: {c: &t {<<: {epochs: 1}, epochs: 3}}}\nautoencoder: {<<: *t, batch_size: 5}", 3, 5),
    ],
)
def test_merge_keys(text, epochs, batch):
    assert read_yaml(text)["autoencoder"] == {"epochs": epochs, "batch_size": batch}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2: key << is given twice"),
        ("b: {<<: {x: 1, x: 2}}", "line 1: key x is given twice"),
        ("b: {<<: 5}", "line 1: expected a mapping"),
        ("a: &a {<<: *a}", "endless"),
        (
            "a0: &a0 {x: 1}\n"
            + "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 30)}]}}" for i in range(1, 8)),
            "too large",
        ),
    ],
)
def test_merge_keys_that_cannot_be(text, words):
    with pytest.raises(PlainYamlError, match=re.escape(words)):
        read_yaml(text)


def test_a_hub_id_comes_with_its_revision():
    assert HyenaBackbone(weights="owner/name", revision="abc").is_hub_id
    assert not HyenaBackbone(weights="folder").is_hub_id
    assert not HyenaBackbone().is_hub_id


def test_a_configuration_cannot_be_changed():
    config = RunConfig()
    for section, name in [(config, "seed"), (config.train, "epochs"), (config.model, "dropout")]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, 1)


# Dump and hash


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backbone", ["onehot", "hyenadna"])
def test_what_is_dumped_reads_back_as_the_same(kind, backbone):
    config = parse_config(
        {
            "backbone": {"kind": backbone},
            "model": {"kind": kind, "dense": []},
            "data": {"train": ["a", "b"], "window": 60},
            "simulate": {"train": 10},
            "train": {"patience": 3, "learning_rate": 1 / 3},
        },
        "here",
    )
    again = parse_config(json.loads(json.dumps(config.dump())), "there")
    assert again == config
    assert again.hash() == config.hash()


def test_the_hash_does_not_see_the_order_of_keys(load):
    first = load("seed: 3\ntrain:\n  epochs: 3\n  workers: 2\nmodel:\n  kind: cnn_dna_only\n  dropout: 0.1\n")
    second = load("model:\n  dropout: 0.1\n  kind: cnn_dna_only\ntrain:\n  workers: 2\n  epochs: 3\nseed: 3\n")
    assert first.hash() == second.hash()
    assert re.fullmatch("[0-9a-f]{12}", first.hash())


def test_the_hash_does_not_see_how_a_value_was_written(load):
    assert load("train:\n  learning_rate: 1e-4\n").hash() == load("train:\n  learning_rate: 0.0001\n").hash()
    assert load("data:\n  train: a.h5\n").hash() == load("data:\n  train: [a.h5]\n").hash()


def test_the_hash_does_not_see_which_values_are_spelled_out(load):
    assert load("seed: 0\nmodel: {kind: cnn_halflife_encoded}\n").hash() == load("").hash()


def test_the_hash_is_golden():
    assert canonical_hash({"b": [1, 2.5, None], "a": {"y": "é", "x": True}}) == canonical_hash(
        {"a": {"x": True, "y": "é"}, "b": [1, 2.5, None]}
    )
    assert canonical_hash({}) == "44136fa355b3"


def another(value):
    """Return another value of the same kind that the schema takes as well."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 32
    if isinstance(value, float):
        return value * 0.5 + 0.1
    if isinstance(value, list):
        return [*value, 4] if value and isinstance(value[0], int) else [*value, "more"]
    return None


OTHERS = {
    ("name",): "other",
    ("output",): "other",
    ("tracking", "uri"): "sqlite:///other.db",
    ("tracking", "experiment"): "other",
    ("tracking", "model_name"): "other",
    ("tracking", "patience_s"): 5.0,
    ("cluster", "address"): "auto",
    ("cluster", "local_cpus"): 3,
    ("cluster", "object_store_gib"): 1.5,
    ("data", "window"): 60,
    ("simulate", "background_order"): 3,
    ("embed", "store"): "elsewhere",
    ("explain", "split"): "test",
    ("explain", "target"): "level",
    ("explain", "methods"): ["mutagenesis"],
    ("explain", "genes"): 8,
    ("explain", "reference"): "uniform",
    ("explain", "steps"): 32,
    ("explain", "region"): [-10, 10],
    ("explain", "window_first"): -5,
    ("explain", "motifs"): "m.meme",
    ("variants", "genome"): "g.fa",
    ("variants", "annotation"): "a.gtf",
    ("variants", "window_first"): -5,
    ("embed", "pooling"): "max",
    ("embed", "dtype"): "float32",
    ("embed", "precision"): "bf16",
    ("train", "precision"): "bf16",
    ("train", "patience"): 4,
    ("train", "monitor"): "label_auroc",
    ("train", "target_weights"): "uncertainty",
    ("train", "schedule"): "cosine",
    ("halflife", "bins"): 16,
    ("train", "workers"): 2,
    ("train", "min_workers"): 1,
    ("model", "kind"): "cnn_dna_only",
    ("model", "join"): "dense",
    ("split", "fractions"): [0.7, 0.2, 0.1],
    ("benchmark", "models"): [{"name": "one"}],
    ("benchmark", "split"): "valid",
    ("tune", "space", "halflife.margin", "log_uniform"): [0.5, 2.0],
    ("tune", "space", "model.dropout", "uniform"): [0.5, 0.6],
    ("tune", "space", "train.learning_rate", "log_uniform"): [0.5, 0.6],
    ("tune", "first"): [],
    ("tune", "epochs"): 7,
    ("tune", "sampler"): "random",
    ("tune", "objectives"): ["valid_auroc", "size_mb"],
    ("evaluate", "threshold_metric"): "f1",
    ("backbone", "weights"): "folder",
    ("backbone", "route"): "online",
    ("embed", "min_actors"): 2,
}
# A revision alone, fine-tuning by a store, or another backbone with the sizes of this one, does not fit the schema.
ALONE = {
    *(("backbone", name) for name in ("revision", "kind", "finetune", "learning_rate")),
    ("build",),
    ("split", "rule"),
}


def full_build():
    """Return a configuration whose data come from a genome."""
    label = {"table": "e.tsv", "columns": ["a"], "threshold": 1.5}
    extra = [{"table": "h.tsv", "columns": ["h"]}]
    build = {"genome": "g.fa", "annotation": "a.gtf", "label": label, "extra": extra, "chromosomes": ["I"]}
    return parse_config({"build": build}, "test")


BUILD_OTHERS = {
    ("build", "annotation"): "b.gff3",
    ("build", "window"): [-50, 50],
    ("build", "out_of_bounds"): "pad",
    ("build", "chromosome_names"): "add_chr",
    ("build", "transcript"): ["longest_cds"],
    ("build", "missing_utr"): "drop",
    ("build", "label", "aggregate"): "mean",
    ("build", "label", "threshold"): "median",
    ("build", "extra"): [],
}
# Features replace the annotation, and windows come with features.
BUILD_ALONE = {
    ("build", "features"),
    ("build", "features_scale"),
    ("build", "windows"),
    ("build", "extra"),
    ("build", "promoters"),
    # A list of sections, as extra is.
    ("build", "targets"),
}


@pytest.mark.parametrize(
    "path", [path for path, _ in leaves(full_build().dump()) if path[0] == "build" and path not in BUILD_ALONE]
)
def test_the_hash_changes_with_every_value_of_build(path):
    config = full_build()
    value = dict(leaves(config.dump()))[path]
    other = BUILD_OTHERS.get(path, "other" if value is None else another(value))
    changed = parse_config(
        replaced(config.dump(), path, f"{value}x" if isinstance(value, str) and other is None else other), "here"
    )
    assert changed.hash() != config.hash()


def test_the_scale_of_features_is_in_the_hash_where_it_is_said():
    build = {"features": "f.tsv", "genome": "g.fa"}
    configs = [parse_config({"build": build | more}, "here") for more in ({}, {"features_scale": "log10"})]
    assert configs[0].hash() != configs[1].hash()
    # As before the key was there.
    values = configs[0].dump()
    del values["build"]["features_scale"], values["build"]["targets"], values["targets"], values["predict"]["strict"]
    del values["check"]["workers"], values["train"]["monitor"], values["train"]["target_weights"]
    del values["data"]["features"], values["explain"]["target"]
    assert configs[0].hash() == canonical_hash(values)


def test_a_build_section_says_what_it_needs(refusal):
    assert "features_scale belongs to features" in refusal(
        "build: {genome: g.fa, annotation: a.gtf, label: {table: t.tsv}, features_scale: log10}"
    )
    both = "build: {genome: g.fa, annotation: a.gtf, features: f.tsv}"
    assert refusal(both) == (
        "config run.yaml: build: set one of annotation (a GTF or GFF3) and features (a table of the eight features)"
    )
    assert "annotation needs genome, the FASTA" in refusal("build: {annotation: a.gtf}")
    assert "annotation needs label.table" in refusal("build: {genome: g.fa, annotation: a.gtf}")
    assert refusal("build: {features: f.tsv, window: [5, 5]}") == (
        "config run.yaml: build: window [5, 5] holds no base: the second number must be above the first"
    )
    assert refusal("build: {genome: g.fa, annotation: a.gtf, promoters: false}") == (
        "config run.yaml: build: promoters: false needs features, a table of the eight features, in place of annotation"
    )
    for name, value in {"genome": "g.fa", "windows": "w.bed", "window": [-5, 5], "out_of_bounds": "pad"}.items():
        assert refusal(f"build: {{features: f.tsv, promoters: false, {name}: {value}}}") == (
            f"config run.yaml: build: {name} belongs to promoters, and means nothing with promoters: false"
        )
    assert refusal("build: {features: f.tsv, extra: [{table: t, columns: c, colums: d}]}") == (
        "config run.yaml: build.extra.0.colums is not a known key; did you mean columns?"
    )


def test_a_build_section_may_be_the_rules_of_variants_alone(refusal):
    variants = {"annotation": "a.gtf"}
    config = parse_config({"build": {"biotypes": []}, "simulate": {}, "variants": variants}, "here")
    assert not config.builds_data
    table = parse_config({"build": {"features": "f.tsv", "biotypes": []}, "variants": variants}, "here")
    assert table.builds_data
    for section in ("biotypes: []", "genome: g.fa"):
        assert refusal(f"build: {{{section}}}") == (
            "config run.yaml: build: set one of annotation (a GTF or GFF3) and features (a table of the eight features)"
        )
    assert refusal("build: {features: f.tsv, biotypes: []}") == (
        "config run.yaml: build.biotypes belongs to an annotation, and means nothing for a table of features"
    )
    assert "set variants.window_first in its place" in refusal("build: {window: [0, 5]}\nvariants: {annotation: a.gtf}")


def test_equal_values_of_two_keys_are_no_two_types_of_one(refusal):
    assert refusal("", "data.valid=null", "data.test=null").startswith(
        "override 'data.valid=null': data.valid: must be a path"
    )
    assert "train.epochs: must be at least 1, not 0" in refusal("", "train.epochs=0", "train.patience=0")
    assert "model.channels.0: must be at least 1, not 0" in refusal("", "model.channels=[0, 0]")


def test_an_empty_path_that_was_kept_can_be_read():
    assert parse_config({"variants": {"genome": ""}}, "a checkpoint").variants.genome == ""


def test_what_gave_the_values_makes_no_other_configuration(load):
    one, other = load("seed: 3"), load("seed: 1", "seed=3")
    assert one == other
    assert (other.said("seed"), parse_config({}, "there").said("seed")) == ("override 'seed=3': seed", "there: seed")
    assert one.dump() == other.dump()


def test_data_have_one_maker(refusal):
    assert "build and simulate both make the data" in refusal("simulate: {}\nbuild: {features: f.tsv}")


def test_fractions_of_a_split_add_up(refusal):
    assert refusal("split: {fractions: [0.5, 0.1, 0.1]}") == (
        "config run.yaml: split: fractions [0.5, 0.1, 0.1] add up to 0.7, not 1"
    )
    assert "split.qqq is not a known key; known keys are" in refusal("split: {rule: random, qqq: 1}")


@pytest.mark.parametrize("path", [path for path, _ in leaves(full().dump()) if path not in ALONE], ids=".".join)
def test_the_hash_changes_with_every_value(path):
    config = full()
    value = dict(leaves(config.dump()))[path]
    changed = parse_config(replaced(config.dump(), path, OTHERS.get(path, another(value))), "here")
    assert changed != config
    assert changed.hash() != config.hash()
