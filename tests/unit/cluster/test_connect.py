import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from raygenex.cluster import connect, embedded, uv_run
from raygenex.cluster.connect import Request, find_cause, misfit, preflight, user_errors
from raygenex.config.services import ClusterConfig
from raygenex.errors import ClusterError, ConfigError, DataError


def request(count=2, cpus=1.0, gpus=0.0):
    return Request("training", count, cpus, gpus, "train.workers or train.cpus_per_worker")


def node(cpus, gpus=None):
    return {"CPU": float(cpus)} | ({} if gpus is None else {"GPU": float(gpus)})


@pytest.mark.parametrize(
    ("count", "cpus", "total"), [(1, 1.0, 2.0), (4, 1.0, 5.0), (3, 0.5, 2.5), (2, 2.0, 5.0), (1, 0.25, 1.25)]
)
def test_total_cpus_leave_one_for_reading(count, cpus, total):
    assert request(count, cpus).total_cpus == total


@pytest.mark.parametrize(
    ("asked", "nodes"),
    [
        (request(2, 1.0), [node(3)]),
        (request(1, 1.0), [node(2)]),
        (request(2, 1.0), [node(1), node(2)]),
        (request(4, 0.5), [node(3)]),
        (request(3, 0.1), [node(1.3)]),
        (request(2, 2.0), [node(2), node(3)]),
        (request(2, 1.0, 1.0), [node(4, 2)]),
        (request(2, 1.0, 1.0), [node(2, 1), node(2, 1)]),
        (request(4, 1.0, 0.5), [node(8, 2)]),
        (request(3, 1.0, 1 / 3), [node(4, 1)]),
        (request(10, 0.1, 0.1), [node(2, 1)]),
    ],
)
def test_a_request_that_fits(asked, nodes):
    assert misfit(asked, nodes) is None


@pytest.mark.parametrize(
    ("asked", "nodes"),
    [
        pytest.param(request(2, 1.0), [node(2)], id="no CPU left for reading"),
        pytest.param(request(8, 1.0), [node(4), node(4)], id="too few CPUs"),
        pytest.param(request(1, 4.0), [node(3), node(3)], id="in total, but on no single node"),
        pytest.param(request(2, 2.0), [node(3), node(1), node(1)], id="one of two on a node"),
        pytest.param(request(1, 1.0, 1.0), [node(8)], id="no GPU"),
        pytest.param(request(2, 1.0, 1.0), [node(8, 1)], id="too few GPUs"),
        pytest.param(request(1, 1.0, 2.0), [node(8, 1), node(8, 1)], id="two GPUs, each on a node of its own"),
        pytest.param(request(2, 1.0, 0.6), [node(8, 1)], id="fractions that do not share a GPU"),
        pytest.param(request(2, 2.0, 1.0), [node(8), node(1, 4)], id="CPUs and GPUs on different nodes"),
        pytest.param(request(1, 1.0), [], id="no node"),
        pytest.param(request(1, 1.0), [{}], id="a node without resources"),
    ],
)
def test_a_request_that_does_not_fit(asked, nodes):
    assert misfit(asked, nodes) is not None


def test_an_elastic_request_begins_with_the_least_and_is_sized_for_all():
    elastic = Request("training", 4, 2.0, 0.0, "train.workers", least=1)
    assert elastic.total_cpus == 9.0
    assert misfit(elastic, [node(3)]) is None
    assert misfit(elastic, [node(2)]).startswith("training needs 1 x 2 CPU and 1 CPU for reading, but")


def test_a_cluster_that_shrinks_below_the_request_and_grows_again_is_said_once_each(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "raygenex")
    # How often it looked before the first message, after it, and after the second.
    looks = Counter()
    enough = threading.Event()

    def nodes():
        count = 2
        if threading.current_thread().name == "cluster-watch":
            told = len(caplog.records)
            looks[told] += 1
            count = 2 if told > 1 or looks[1] > 3 or looks[0] == 1 else 1
            if told > 1 and looks[told] > 3:
                enough.set()
        return [{"Alive": True, "Resources": node(2)}] * count

    monkeypatch.setattr(connect, "WATCH_S", 0.001)
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.nodes", nodes)
    with connect.connect(ClusterConfig(), request(2, 1.5)):
        assert enough.wait(300)
    assert [record.getMessage() for record in caplog.records] == [
        "the cluster shrank and has room for 1 of the 2 processes of training; the others wait for more nodes",
        "the cluster has room for training again",
    ]


def test_fractions_of_a_gpu_do_not_span_gpus():
    # Ray places a fraction on one GPU: of two GPUs, each has room for one actor of 0.6, and the third waits for ever.
    assert misfit(request(3, 1.0, 0.6), [node(8, 2)]) is not None


def test_the_sentence_names_the_request_the_cluster_and_the_keys():
    assert misfit(request(8, 1.0), [node(4)]) == (
        "training needs 8 x 1 CPU and 1 CPU for reading, but the cluster has 4 CPU and 0 GPU on 1 node: "
        "lower train.workers or train.cpus_per_worker or add nodes"
    )
    assert misfit(request(2, 1.5, 0.5), [node(1), node(2, 1)]) == (
        "training needs 2 x 1.5 CPU + 0.5 GPU and 1 CPU for reading, but the cluster has 3 CPU and 1 GPU on 2 nodes: "
        "lower train.workers or train.cpus_per_worker or add nodes"
    )


# What Ray wraps around a user's error, in the shapes that it has


class RayTaskError(Exception):
    def __init__(self, cause):
        super().__init__("RayTaskError")
        self.cause = cause


class WorkerGroupError(Exception):
    def __init__(self, failures):
        super().__init__("WorkerGroupError")
        self.worker_failures = failures


def dual(cause):
    """Return an error that is of Ray's class and of the user's at once, as `ray.get` raises it."""
    kind = type("RayTaskError(DataError)", (RayTaskError, type(cause)), {})
    return kind(cause)


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


def in_context(outer, inner):
    outer.__context__ = inner
    return outer


MINE = DataError("gene G1 is in two files")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(MINE, id="bare"),
        pytest.param(RayTaskError(MINE), id="cause attribute"),
        pytest.param(dual(MINE), id="class of both"),
        pytest.param(chained(RuntimeError("x"), MINE), id="raised from"),
        pytest.param(WorkerGroupError({0: RuntimeError("x"), 1: MINE}), id="one of the workers"),
        pytest.param(WorkerGroupError({3: dual(MINE)}), id="wrapped in a worker"),
        pytest.param(chained(KeyError("k"), WorkerGroupError({0: RayTaskError(dual(MINE))})), id="four deep"),
    ],
)
def test_the_users_error_is_found_at_the_bottom(error):
    found = find_cause(error)
    assert type(found) is DataError
    assert str(found) == "gene G1 is in two files"


def test_an_error_that_was_handled_before_the_failure_is_not_its_cause():
    assert find_cause(in_context(RuntimeError("x"), MINE)) is None


def test_what_ray_appends_to_a_message_is_dropped():
    found = find_cause(RayTaskError(ConfigError("lower train.workers\n\nTo see the full traceback, set RAY_X=1")))
    assert type(found) is ConfigError
    assert str(found) == "lower train.workers"


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("x"),
        RayTaskError(ValueError("x")),
        WorkerGroupError({}),
        chained(RuntimeError("x"), KeyError("y")),
    ],
)
def test_there_may_be_no_users_error(error):
    assert find_cause(error) is None


def test_a_ring_of_causes_ends():
    first, second = RuntimeError("a"), RuntimeError("b")
    chained(first, second), chained(second, first)
    assert find_cause(first) is None


def test_a_users_error_comes_out_as_itself():
    with pytest.raises(DataError) as info, user_errors():
        raise WorkerGroupError({0: dual(MINE)})
    assert type(info.value) is DataError
    assert str(info.value) == str(MINE)
    assert info.value.__suppress_context__


def test_other_errors_come_out_as_they_are():
    error = WorkerGroupError({0: RuntimeError("x")})
    with pytest.raises(WorkerGroupError) as info, user_errors():
        raise error
    assert info.value is error


def test_exit_codes_tell_input_from_failure():
    assert ConfigError("x").exit_code == DataError("x").exit_code == 2
    assert ClusterError("x").exit_code == 1


@pytest.fixture
def growing(monkeypatch):
    """A cluster without nodes that gets one of 8 CPUs at the third look; returns what the autoscaler was asked for."""
    import ray.autoscaler.sdk

    looks, asked = [], []

    def nodes():
        looks.append(1)
        return [{"CPU": 8.0}] if len(looks) >= 3 else []

    monkeypatch.setattr(connect, "_nodes", nodes)
    monkeypatch.setattr(connect, "GROW_POLL_S", 0.0)
    monkeypatch.setattr(ray.autoscaler.sdk, "request_resources", lambda bundles: asked.append(bundles))
    return asked


def test_an_autoscaler_is_asked_waited_for_and_let_go(growing):
    preflight(Request("training", 2, 3.0, 0.0, "train.workers"), wait_s=60.0)
    assert growing == [[{"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 1.0}], []]


def test_an_autoscaler_that_cannot_is_let_go_too(growing):
    with pytest.raises(ClusterError, match="training needs 3 x 3 CPU"):
        preflight(Request("training", 3, 3.0, 0.0, "train.workers"), wait_s=0.05)
    assert growing[-1] == []


def test_without_waiting_nobody_is_asked(growing):
    with pytest.raises(ClusterError, match=r"the cluster has 0 CPU"):
        preflight(Request("training", 2, 3.0, 0.0, "train.workers"))
    assert growing == []


def test_an_address_where_nobody_answers_is_refused_at_once(monkeypatch):
    import ray.data

    # Other tests may have left a Ray running in this process, which would be used.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    # Pytest's handlers, which other tests read, would be quietened with Ray Data's own.
    monkeypatch.setattr(logging.getLogger(ray.data.__name__), "handlers", [])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}: start it"),
            connect.open_cluster(ClusterConfig(address=address), 1.0),
        ):
            raise AssertionError("nobody answered")


@pytest.fixture
def starting(monkeypatch):
    """Return a function that lets `ray.init` raise some errors in turn, and gives the number of its calls so far."""
    import ray.data

    calls = []

    def raising(*errors):
        def init(*arguments, **options):
            calls.append(options)
            if len(calls) <= len(errors):
                raise errors[len(calls) - 1]

        monkeypatch.setattr(ray, "init", init)
        # Pytest's handlers, which it adds before each test, would be quietened with Ray Data's own.
        monkeypatch.setattr(logging.getLogger(ray.data.__name__), "handlers", [])
        return calls

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return raising


TIMED_OUT = Exception("The current node timed out during startup.\nMore of it.")


def test_an_embedded_ray_that_does_not_start_twice_is_one_sentence(starting, caplog):
    calls = starting(TIMED_OUT, TIMED_OUT)
    with (
        pytest.raises(ClusterError, match=r"timed out during startup\.\).*again") as info,
        connect.open_cluster(ClusterConfig(), 1.0),
    ):
        raise AssertionError("it did not start")
    assert "\n" not in str(info.value)
    assert (info.value.exit_code, len(calls)) == (1, 2)
    assert "trying once more" in caplog.text


def test_an_embedded_ray_is_started_once_more(starting):
    calls = starting(TIMED_OUT)
    with connect.open_cluster(ClusterConfig(), 1.0):
        assert len(calls) == 2


def test_workers_ahead_are_those_of_the_next_ray_alone(starting, monkeypatch):
    started, programs = [], []

    @contextlib.contextmanager
    def server():
        started.append(f"/server{len(started)}")
        yield started[-1]

    monkeypatch.setattr(embedded, "fork_server", server)
    monkeypatch.setattr(embedded, "started_by", lambda program: contextlib.nullcontext(programs.append(program)))
    starting()
    with embedded.workers_ahead(ClusterConfig()):
        assert started == ["/server0"]
        for _ in range(2):
            with connect.open_cluster(ClusterConfig(), 1.0):
                pass
    assert started == programs == ["/server0", "/server1"]
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with embedded.workers_ahead(ClusterConfig()):
        assert len(started) == 2


def test_what_is_imported_meanwhile_is_there_when_ray_is(starting):
    starting()
    done = []

    def work():
        time.sleep(0.2)
        done.append(True)
        # It is raised again, and told, where it is needed.
        raise ImportError

    with connect.open_cluster(ClusterConfig(), 1.0, work):
        assert done == [True]


def test_a_temporary_folder_too_long_for_sockets_is_named_at_once(starting, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/" + "t" * 90)
    calls = starting(OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: /t/s"))
    with (
        pytest.raises(ConfigError, match=r"^/t+ is too long a path for the sockets of an embedded Ray: set RAY_TMPDIR"),
        connect.open_cluster(ClusterConfig(), 1.0),
    ):
        raise AssertionError("it did not start")
    assert len(calls) == 1


@pytest.mark.parametrize("address", ["http://head:8265", "ray://head:10001", "head:8265"])
def test_an_address_of_another_kind_is_refused_before_anybody_is_asked(starting, monkeypatch, address):
    calls = starting()
    monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        pytest.raises(ConfigError, match=rf"^RAY_ADDRESS is {address}, .*: give head:6379 on a node of it, or run"),
        connect.open_cluster(ClusterConfig(), 1.0),
    ):
        raise AssertionError("it was joined")
    assert calls == []


@pytest.mark.parametrize(("wish", "sends"), [(None, False), ("1", True)])
def test_an_embedded_ray_of_uv_run_is_sent_nothing_unless_asked(starting, monkeypatch, wish, sends):
    from ray._private import ray_constants
    from ray._private.runtime_env import uv_runtime_env_hook

    starting()
    monkeypatch.setattr(uv_runtime_env_hook, "_get_uv_run_cmdline", lambda: ["uv", "run", "raygenex"])
    monkeypatch.setattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    if wish is None:
        monkeypatch.delenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", raising=False)
    else:
        monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", wish)
    with connect.open_cluster(ClusterConfig(), 1.0):
        assert uv_run.is_sent() == sends


def test_a_cluster_that_is_joined_from_uv_run_is_sent_the_folder_and_it_is_said(starting, monkeypatch, caplog):
    from ray._private import ray_constants
    from ray._private.runtime_env import uv_runtime_env_hook

    starting()
    monkeypatch.setattr(uv_runtime_env_hook, "_get_uv_run_cmdline", lambda: ["uv", "run", "raygenex"])
    monkeypatch.setattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    said = "this is `uv run`, so Ray sends the working directory to every node"
    caplog.set_level(logging.INFO, "raygenex")
    with connect.open_cluster(ClusterConfig(address="auto"), 1.0):
        assert said in caplog.text
    caplog.clear()
    monkeypatch.setattr(uv_runtime_env_hook, "_get_uv_run_cmdline", lambda: None)
    with connect.open_cluster(ClusterConfig(address="auto"), 1.0):
        assert "connecting to Ray" in caplog.text
        assert said not in caplog.text


def test_ray_datas_notes_stay_away_whoever_imports_it_first():
    code = (
        "import contextlib, logging\n"
        "from raygenex.cluster.connect import open_cluster\n"
        "from raygenex.config.services import ClusterConfig\n"
        "from raygenex.errors import ClusterError\n"
        # Nobody answers at this address.
        "with contextlib.suppress(ClusterError), open_cluster(ClusterConfig(address='127.0.0.1:1'), 1.0):\n"
        "    pass\n"
        "import ray.data\n"
        "logging.getLogger('ray.data.x').info('a note')\n"
        "logging.getLogger('ray.data.x').warning('a warning')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a warning" in done.stdout + done.stderr
    assert "a note" not in done.stdout + done.stderr
