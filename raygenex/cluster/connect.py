"""The one place that connects to Ray, and checks that a request fits before Ray would wait for it."""

import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from raygenex.cluster import uv_run
from raygenex.cluster.embedded import core_notices_hidden, embedded, is_connected, named_address, workers_ahead
from raygenex.cluster.repeated import repeated
from raygenex.config.services import ClusterConfig, check_address
from raygenex.errors import ClusterError, RaygenexError, first_line
from raygenex.files.errors import file_error, is_of_a_path
from raygenex.terminal import signals

logger = logging.getLogger(__name__)

# CPUs that stay free beside actors and workers, so that Ray Data's read tasks always run (see `READ_CPUS`).
SPARE_CPUS = 1.0
# Reads mostly wait for the disk: a small share lets several run beside busy workers.
READ_CPUS = 0.25

# How often to look whether the autoscaler has added a node.
GROW_POLL_S = 1.0
# How often to look whether nodes are gone.
WATCH_S = 5.0
# How long a start of workers waits for their room before it is tried again.
START_S = 30
# How long a cluster may take to accept a connection.
PROBE_S = 10.0
# Set before Ray starts, unless the user set them.
_RAY_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train's controller learns of a finished epoch when it polls: every 2 s would cost more than a short epoch.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Both only cost start-up time where nothing reads them.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # A lost node is known everywhere after 20 s; a start that counted on it is tried again soon after.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_S),
    # The C++ core prints a notice on every actor of Ray Data as an error.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class Request:
    """Processes that must run at the same time.

    ``count`` processes of ``cpus`` logical CPUs and ``gpus`` GPUs each, for ``what`` (named in messages), whose size
    the user sets by the config keys in ``keys``.
    """

    what: str
    count: int
    cpus: float
    gpus: float
    keys: str
    least: int | None = None
    """Processes that do for a start, where fewer than ``count`` do."""

    @property
    def total_cpus(self) -> float:
        """Logical CPUs of all processes and of the reads beside them."""
        return self.count * self.cpus + SPARE_CPUS

    @property
    def needed(self) -> int:
        """Processes without which nothing can begin."""
        return self.count if self.least is None else self.least


@contextlib.contextmanager
def open_cluster(config: ClusterConfig, cpus: float, meanwhile: Callable[[], None] | None = None) -> Iterator[None]:
    """Join the configured Ray cluster, or start an embedded one of at least ``cpus`` logical CPUs.

    A Ray that this call started ends with it; one that was already there is used and left running. ``meanwhile``
    imports what this process needs next, while an embedded Ray starts.

    Raises
    ------
    ClusterError
        If the address cannot be reached.
    """
    if is_connected():
        _set_data_context()
        yield
        return
    for name, value in _RAY_DEFAULTS.items():
        os.environ.setdefault(name, value)
    # The imports of its workers begin before those of this process.
    with workers_ahead(config):
        _quieten()
        options = {"log_to_driver": False, "logging_level": logging.WARNING, "configure_logging": False}
        address = named_address(config)
        with _joined(config, address, options) if address else embedded(config, cpus, meanwhile, options):
            _set_data_context()
            with user_errors():
                yield


@contextlib.contextmanager
def connect(config: ClusterConfig, request: Request, meanwhile: Callable[[], None] | None = None) -> Iterator[None]:
    """Open the cluster as `open_cluster` does, and check that ``request`` fits.

    Raises
    ------
    ClusterError
        If the address cannot be reached or the cluster cannot hold the request.
    """
    with open_cluster(config, request.total_cpus, meanwhile), user_errors():
        preflight(request, config.wait_s)
        with _watched(request):
            yield


@contextlib.contextmanager
def _watched(request: Request) -> Iterator[None]:
    """Say when the cluster has lost so many nodes that Ray waits for new ones, which it does without a word."""
    short = False

    def look() -> None:
        nonlocal short
        room = _slots(request, _nodes())
        if (room < request.needed) == short:
            return
        short = not short
        if short:
            logger.warning(
                "the cluster shrank and has room for %d of the %d processes of %s; the others wait for more nodes",
                room,
                request.needed,
                request.what,
            )
        else:
            logger.info("the cluster has room for %s again", request.what)

    # A cluster whose head is gone does not answer; the thread must not hold up the message that says so.
    with repeated(look, WATCH_S, "cluster-watch", patience_s=WATCH_S):
        yield


@contextlib.contextmanager
def _joined(config: ClusterConfig, address: str, options: dict[str, Any]) -> Iterator[None]:
    """Join the cluster at an address, with ``options`` for ``ray.init``; it is left, and goes on, after the block."""
    import ray

    check_address(address, "cluster.address" if config.address else "RAY_ADDRESS")
    logger.info("connecting to Ray at %s", address)
    if uv_run.is_sent():
        logger.info(
            "this is `uv run`, so Ray sends the working directory to every node and makes its environment there; "
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 uses what the nodes have"
        )
    try:
        try:
            _probe(address)
            with signals.kept(), core_notices_hidden():
                ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"no Ray cluster answers at {address}: start it, set RAY_AUTH_MODE=token and its token if it asks for "
                f"one, or leave cluster.address empty for an embedded Ray ({first_line(error)})"
            ) from error
        yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Knock once at ``host:port``, where Ray would knock for a quarter of an hour; other forms are Ray's to resolve."""
    host, separator, port = address.rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host, int(port)), timeout=PROBE_S).close()


def _quieten() -> None:
    """Keep Ray's notes on its own workings from the user's terminal; its warnings of trouble stay."""
    # Its import makes the handlers.
    import ray.data  # noqa: F401

    for handler in logging.getLogger("ray.data").handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(_only_warnings)
    for name in ("ray.data._internal.progress", "ray._private.authentication"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _only_warnings(record: logging.LogRecord) -> bool:
    """Pass warnings; what is an error is raised as well, and shown once, by whoever handles it."""
    return record.levelno == logging.WARNING


def _set_data_context() -> None:
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Ray Data's wrapping would leave what went wrong in the actor's process, where nobody reads it.
    context.raise_original_map_exception = True
    # Rows in order make a worker's data, and so its numbers, the same in every run.
    context.execution_options.preserve_order = True


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Raise a user's error that happened inside a Ray process as itself, without Ray's wrapping."""
    try:
        yield
    except Exception as error:
        if (cause := find_cause(error)) is not None:
            raise cause from None
        raise


def find_cause(error: BaseException | None) -> RaygenexError | None:
    """Return the `RaygenexError` at the bottom of a chain of Ray's exceptions, if there is one.

    An error of the disk, such as that it is full, or of a path that it names, is made one.
    """
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        # Ray raises a class made of its own and the user's; the plain one is behind `cause`.
        if isinstance(current, RaygenexError) and not hasattr(current, "cause"):
            # Ray Data appends lines of advice, which the message as it is shown has in one line.
            return type(current)(first_line(ValueError(*current.args)))
        if isinstance(current, Exception) and not hasattr(current, "cause") and is_of_a_path(current):
            return file_error(current)
        pending += [current.__cause__, getattr(current, "cause", None)]
        pending += getattr(current, "worker_failures", {}).values()
    return None


def preflight(request: Request, wait_s: float = 0.0) -> None:
    """Check that the cluster can hold a request, where Ray itself would wait for ever.

    With ``wait_s`` above 0 the autoscaler is asked for the resources and given that many seconds.

    Raises
    ------
    ClusterError
        If the request does not fit; the sentence names what was asked for, what there is, and the keys to change.
    """
    problem = misfit(request, _nodes())
    if problem and wait_s > 0:
        problem = _grow(request, problem, wait_s)
    if problem:
        raise ClusterError(problem)


def _grow(request: Request, problem: str, wait_s: float) -> str | None:
    """Let the autoscaler add nodes until the request fits; return what is still wrong when the time is up."""
    from ray.autoscaler.sdk import request_resources

    bundle = {"CPU": request.cpus} | ({"GPU": request.gpus} if request.gpus else {})
    request_resources(bundles=[bundle] * request.needed + [{"CPU": SPARE_CPUS}])
    logger.info("waiting up to %.0f s for the cluster to grow: %s", wait_s, problem)
    still: str | None = problem
    try:
        deadline = time.monotonic() + wait_s
        while still and time.monotonic() < deadline:
            time.sleep(GROW_POLL_S)
            still = misfit(request, _nodes())
    finally:
        # A standing request would keep the nodes, and their cost, after this run.
        request_resources(bundles=[])
    return still


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _gpu_slots(gpus: float, each: float) -> int:
    """Count the processes that fit; a fraction of a GPU never spans two."""
    if each < 1.0:
        return math.floor(1.0 / each + 1e-9) * math.floor(gpus)
    return math.floor(gpus / each + 1e-9)


def _slots(request: Request, nodes: list[dict[str, float]]) -> int:
    """Count the processes of a request that fit the nodes."""
    slots = 0
    for node in nodes:
        by_cpu = math.floor(node.get("CPU", 0.0) / request.cpus + 1e-9)
        by_gpu = _gpu_slots(node.get("GPU", 0.0), request.gpus) if request.gpus else by_cpu
        slots += min(by_cpu, by_gpu)
    return slots


def misfit(request: Request, nodes: list[dict[str, float]]) -> str | None:
    """Return why a request does not fit nodes (resources such as ``{"CPU": 4.0}`` of each), or None if it does."""
    slots = _slots(request, nodes)
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    if slots >= request.needed and cpus >= request.needed * request.cpus + SPARE_CPUS:
        return None
    asked = f"{request.needed} x {request.cpus:g} CPU" + (f" + {request.gpus:g} GPU" if request.gpus else "")
    return (
        f"{request.what} needs {asked} and {SPARE_CPUS:g} CPU for reading, but the cluster has {cpus:g} CPU and "
        f"{gpus:g} GPU on {len(nodes)} node{'s' if len(nodes) != 1 else ''}: lower {request.keys} or add nodes"
    )
