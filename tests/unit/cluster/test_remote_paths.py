import logging
from typing import get_args

import pytest
from pydantic import BaseModel

from raygenex.cluster.remote_paths import refuse_local_paths
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError

REACHED = {
    "output": "/mnt/nfs/runs",
    "data": {"train": "s3://bucket/train-*.h5", "valid": "/mnt/nfs/valid.h5", "test": "https://host.example/test.h5"},
    "tracking": {"uri": "http://mlflow.example:5000"},
}
BUILD = {
    "genome": "s3://b/g.fa",
    "annotation": "s3://b/a.gtf",
    "label": {"table": "s3://b/e.tsv"},
    "extra": [{"table": "s3://b/x.tsv", "columns": "half_life"}],
}


def refuse(values, shared=("/mnt/nfs",), verb="run"):
    refuse_local_paths(parse_config({**REACHED, **values}, "the test"), shared, verb)


def test_urls_and_shared_paths_are_reached():
    refuse({})
    refuse({"build": BUILD, "split": {"rule": "file", "file": "gs://b/split.tsv"}})
    refuse({"output": "/work/runs", "data": {"train": "file:///mnt/nfs/a.h5"}}, shared=("/mnt/nfs", "/work"))
    hub = {"kind": "hyenadna", "weights": "owner/name", "revision": "8" * 40}
    refuse({"backbone": hub, "embed": {"store": "/mnt/nfs/store"}})
    # A cluster of this machine alone.
    refuse({"output": "/home/me/runs", "data": {"train": "/data/a.h5"}}, shared=("/",))


@pytest.mark.parametrize(
    ("key", "shown", "values"),
    [
        ("output", "runs", {"output": "runs"}),
        ("output", "/mnt/nfs2/runs", {"output": "/mnt/nfs2/runs"}),
        ("output", "/mnt/nfs/../runs", {"output": "/mnt/nfs/../runs"}),
        ("output", "~/runs", {"output": "~/runs"}),
        ("data.train", "data/train.h5", {"data": {"train": ["s3://b/a.h5", "data/train.h5"]}}),
        ("data.valid", "file:///tmp/valid.h5", {"data": {"train": "s3://b/a.h5", "valid": "file:///tmp/valid.h5"}}),
        ("data.test", "simplecache::file:///tmp/t.h5", {"data": {"test": "simplecache::file:///tmp/t.h5"}}),
        ("embed.store", "/tmp/store", {"embed": {"store": "/tmp/store"}}),
        ("backbone.weights", "weights", {"backbone": {"kind": "hyenadna", "weights": "weights"}}),
        ("backbone.weights", "s3://b/w", {"backbone": {"kind": "hyenadna", "weights": "s3://b/w"}}),
        ("build.genome", "g.fa", {"build": {**BUILD, "genome": "g.fa"}}),
        ("build.annotation", "a.gtf", {"build": {**BUILD, "annotation": "a.gtf"}}),
        ("build.tss_peaks", "p.bed", {"build": {**BUILD, "tss_peaks": "p.bed"}}),
        ("build.label.table", "e.tsv", {"build": {**BUILD, "label": {"table": "e.tsv"}}}),
        ("build.extra.0.table", "x.tsv", {"build": {**BUILD, "extra": [{"table": "x.tsv", "columns": "a"}]}}),
        ("variants.genome", "g.fa", {"variants": {"genome": "g.fa"}}),
        ("variants.annotation", "a.gtf", {"variants": {"annotation": "a.gtf"}}),
        ("variants.genes", "a.h5", {"variants": {"genes": ["s3://b/a.h5", "a.h5"]}}),
        ("split.file", "split.tsv", {"split": {"rule": "file", "file": "split.tsv"}}),
        ("split.table", "groups.tsv", {"split": {"rule": "group", "table": "groups.tsv", "column": "family"}}),
    ],
)
def test_a_path_of_this_machine_is_refused_by_its_key(key, shown, values):
    with pytest.raises(ConfigError) as error:
        refuse(values)
    assert str(error.value).startswith(f"{key} is {shown}, which the cluster does not see (it is not below /mnt/nfs): ")
    assert "\n" not in str(error.value)


def test_folders_that_are_written_are_never_said_to_take_urls():
    with pytest.raises(ConfigError, match=r"output is .*: give a path \(not a URL\) below a folder"):
        refuse({"output": "runs"})
    with pytest.raises(ConfigError, match=r"data.train is .*: give a URL \(s3://"):
        refuse({"data": {"train": "a.h5"}})


@pytest.mark.parametrize("uri", [None, "sqlite:////mnt/nfs/mlflow.db", "/mnt/nfs/mlruns", "file:///mnt/nfs/mlruns"])
def test_tracking_needs_a_server_unless_the_verb_does_not_track(uri):
    with pytest.raises(ConfigError, match=r"tracking.uri is .*give the URL of an MLflow server"):
        refuse({"tracking": {"uri": uri}})
    refuse({"tracking": {"uri": uri}}, verb="embed")


def test_a_shared_folder_must_be_absolute():
    with pytest.raises(ConfigError, match="--shared nfs is not an absolute path"):
        refuse({}, shared=("nfs",))


def test_a_loopback_url_is_pointed_out(caplog):
    with caplog.at_level(logging.WARNING):
        refuse({})
        assert caplog.text == ""
        refuse({"tracking": {"uri": "http://127.0.0.1:5000"}})
    assert "tracking.uri is http://127.0.0.1:5000: each node of the cluster will take that for itself" in caplog.text


def sections(model, prefix=""):
    """Yield every text key below a section, with its meaning."""
    for name, field in model.model_fields.items():
        options = [field.annotation, *get_args(field.annotation)]
        options += [nested for option in options for nested in get_args(option)]
        for nested in options:
            if isinstance(nested, type) and issubclass(nested, BaseModel):
                yield from sections(nested, f"{prefix}{name}.")
        if str in options:
            yield f"{prefix}{name}", field.description or ""


def test_every_key_that_names_a_file_is_looked_at():
    """A new key that is described as a file must be added to `_places`, or here if it is none."""
    words = ("path", "folder", "file", "fasta", "bed ", "gtf", "tsv", "table")
    named = {key for key, meaning in sections(RunConfig) if any(word in meaning.lower() for word in words)}
    looked_at = {
        *("output", "embed.store", "data.train", "data.valid", "data.test", "backbone.weights", "tracking.uri"),
        *("build.genome", "build.annotation", "build.features", "build.windows", "build.tss_peaks"),
        "explain.motifs",
        *("variants.genome", "variants.genes", "variants.annotation"),
        *("build.label.table", "build.targets.table", "build.extra.table", "split.file", "split.table"),
        *("targets.table", "data.features.table"),
    }
    no_files = {"name", "evaluate.confidence", "tune.first"}
    # What is in a table, or in the promoter files.
    no_files |= {f"targets.{key}" for key in ("name", "kind", "column", "gene_column", "unit")}
    no_files |= {f"data.features.{key}" for key in ("name", "column", "gene_column")}
    no_files |= {"targets", "build.targets", "data.features"}
    assert named - no_files == looked_at & named
    assert {"output", "build.genome", "split.file", "tracking.uri"} <= named
