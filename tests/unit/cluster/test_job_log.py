import asyncio
from types import SimpleNamespace

import pytest

from raygenex.cluster import job_log
from raygenex.cluster.job_log import MARKER, LogSplitter, follow
from raygenex.errors import ClusterError

LOG = f"setting up\nresult=$(x); echo '{MARKER}'\nepoch 0\n{MARKER}\nAUROC 0.9\n\ndone\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_log_in_pieces_of_any_size(size):
    lines = []
    splitter = LogSplitter(lines.append)
    for start in range(0, len(LOG), size):
        splitter.take(LOG[start : start + size])
    assert splitter.finish() == "AUROC 0.9\n\ndone"
    # The command holds the marker too; only a line of its own counts.
    assert lines == ["setting up", f"result=$(x); echo '{MARKER}'", "epoch 0"]


def test_a_log_that_begins_again_is_taken_once():
    lines = []
    splitter = LogSplitter(lines.append)
    splitter.take(LOG[:20])
    splitter.restart()
    splitter.take(LOG[:5])
    splitter.take(LOG[5:30])
    splitter.restart()
    splitter.take(LOG)
    assert splitter.finish() == "AUROC 0.9\n\ndone"
    assert lines == ["setting up", f"result=$(x); echo '{MARKER}'", "epoch 0"]


def test_a_log_without_a_result():
    lines = []
    splitter = LogSplitter(lines.append)
    splitter.take("error: no")
    assert splitter.finish() == ""
    assert lines == ["error: no"]


class Cluster:
    """A cluster whose log breaks off at each of ``breaks``, and which is asked for the job's state in between."""

    def __init__(self, breaks, states):
        self.breaks, self.states = list(breaks), list(states)

    async def tail_job_logs(self, submission_id):
        stop = self.breaks.pop(0)
        yield LOG[:stop]
        if stop is not None:
            raise RuntimeError("WebSocket closed")

    def get_job_info(self, submission_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return SimpleNamespace(status=SimpleNamespace(is_terminal=lambda: state == "SUCCEEDED"))


def test_a_lost_connection_is_made_again(monkeypatch):
    monkeypatch.setattr(job_log, "RETRY_S", 0.0)
    lines = []
    splitter = LogSplitter(lines.append)
    follow(Cluster([12, 30, None], ["RUNNING", ConnectionError("gone"), "SUCCEEDED"]), "j", splitter, None)
    assert splitter.finish() == "AUROC 0.9\n\ndone"
    assert lines[-1] == "epoch 0"


def test_a_silent_cluster_is_given_up(monkeypatch):
    monkeypatch.setattr(job_log, "RETRY_S", 0.0)
    monkeypatch.setattr(job_log, "LOST_AFTER_S", -1.0)
    with pytest.raises(ClusterError, match=r"silent .* and job j may run on"):
        follow(Cluster([5], [ConnectionError("gone")]), "j", LogSplitter(print), None)


def test_the_time_is_up():
    class Slow(Cluster):
        async def tail_job_logs(self, submission_id):
            yield "waiting\n"
            await asyncio.sleep(60)

    with pytest.raises(ClusterError, match=r"job j has not ended within 0.2 s, and runs on"):
        follow(Slow([], []), "j", LogSplitter(lambda line: None), 0.2)
