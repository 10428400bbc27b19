"""The chain of all stages, as far as it needs no cluster."""

from contextlib import contextmanager

import pytest

from raygenex import pipeline
from raygenex.config.load import parse_config


@pytest.mark.parametrize(
    ("sections", "cpus"),
    [
        ({"train": {"workers": 1}}, 2.0),
        ({"train": {"workers": 3, "cpus_per_worker": 2.0, "global_batch_size": 48}}, 7.0),
        ({"train": {"workers": 1}, "check": {"workers": 4}}, 5.0),
        ({"train": {"workers": 1}, "predict": {"workers": 3}}, 4.0),
    ],
)
def test_one_cluster_has_room_for_each_stage(sections, cpus, monkeypatch):
    asked = []

    @contextmanager
    def opened(cluster, wanted, meanwhile):
        asked.append(wanted)
        yield

    monkeypatch.setattr(pipeline, "open_cluster", opened)
    monkeypatch.setattr(pipeline, "_run_stages", lambda *arguments: None)
    pipeline.run(parse_config(sections, "test"))
    assert asked == [cpus]
