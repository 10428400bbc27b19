"""A Ray of one command's own: started with it, and ended with it."""

import contextlib
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from raygenex.cluster import uv_run
from raygenex.cluster.warm_workers import fork_server, started_by
from raygenex.config.services import ClusterConfig
from raygenex.errors import ClusterError, ConfigError, first_line
from raygenex.terminal import signals

logger = logging.getLogger(__name__)

# What a fork server that was started ahead of Ray gives Ray in place of Python.
_AHEAD: ContextVar[str | None] = ContextVar("_AHEAD", default=None)


def named_address(config: ClusterConfig) -> str | None:
    """Return the address of the cluster to join; None where an embedded Ray is to be started."""
    return config.address or os.environ.get("RAY_ADDRESS")


def is_connected() -> bool:
    """Whether this process has a Ray already."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


@contextlib.contextmanager
def workers_ahead(config: ClusterConfig) -> Iterator[None]:
    """Let what workers of an embedded Ray are forked from import, while this process gets ready to start that Ray."""
    if _AHEAD.get() or named_address(config) or is_connected():
        yield
        return
    with fork_server() as program:
        token = _AHEAD.set(program)
        try:
            yield
        finally:
            _AHEAD.reset(token)


@contextlib.contextmanager
def _beside(work: Callable[[], None] | None) -> Iterator[None]:
    """Do some work beside the block, which mostly waits; it is done when the block ends."""
    if work is None:
        yield
        return

    def quietly() -> None:
        # What fails is said where it is needed.
        with contextlib.suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, name="imports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextlib.contextmanager
def embedded(
    config: ClusterConfig, cpus: float, meanwhile: Callable[[], None] | None, options: dict[str, Any]
) -> Iterator[None]:
    """Run an embedded Ray of at least ``cpus`` logical CPUs; a start that fails is tried once more.

    ``meanwhile`` is what this process imports while Ray starts. ``options`` are passed to ``ray.init``.

    Raises
    ------
    ConfigError
        If its temporary folder has no room for the names of sockets.
    ClusterError
        If its processes do not come up.
    """
    import ray

    # Logical CPUs only schedule; on a small machine the waiting processes of one run may outnumber the cores.
    logical = config.local_cpus or max(os.cpu_count() or 1, math.ceil(cpus))
    store = {"object_store_memory": int(config.object_store_gib * 2**30)} if config.object_store_gib else {}
    logger.info("starting an embedded Ray with %d logical CPUs", logical)
    uv_run.stay_here()
    with contextlib.ExitStack() as stack:
        # A server forks for one Ray alone.
        python = _AHEAD.get() or stack.enter_context(fork_server())
        _AHEAD.set(None)
        stack.callback(ray.shutdown)
        with _beside(meanwhile):
            try:
                _start(python, num_cpus=logical, **store, **options)
            except ClusterError as error:
                logger.warning("%s; trying once more", error)
                ray.shutdown()
                python = stack.enter_context(fork_server())
                _start(python, num_cpus=logical, **store, **options)
        yield


def _start(python: str, **options: Any) -> None:
    """Start an embedded Ray, whose processes are started by the program ``python``; it raises what `embedded` does."""
    import ray

    try:
        with signals.kept(), core_notices_hidden(), started_by(python), _in_groups_of_their_own():
            ray.init(address="local", include_dashboard=False, **options)
    # Ray raises a bare Exception when its processes do not come up in time.
    except Exception as error:
        if isinstance(error, OSError) and "AF_UNIX" in str(error):
            raise ConfigError(
                f"{os.environ.get('RAY_TMPDIR') or tempfile.gettempdir()} is too long a path for the sockets of an "
                "embedded Ray: set RAY_TMPDIR to a folder of fewer than 40 letters, such as /tmp"
            ) from error
        raise ClusterError(
            f"an embedded Ray did not start ({first_line(error)}): run the same command again when the machine is less "
            "busy, or name a running cluster by cluster.address"
        ) from error


@contextlib.contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Start processes that a signal to this one's group, as `timeout` and batch systems send it, does not reach.

    Ray's own would end at once, and this process would wait for them in vain while it ends what it did. They end with
    it, however it ends.
    """
    # Ray, which starts them, takes no such option.
    defaults = subprocess.Popen.__init__.__kwdefaults__
    assert defaults is not None, "process_group is one of them"
    before = defaults["process_group"]
    defaults["process_group"] = 0
    try:
        yield
    finally:
        defaults["process_group"] = before


@contextlib.contextmanager
def core_notices_hidden() -> Iterator[None]:
    """Keep what Ray's C++ core writes to standard error while it starts; what goes wrong is raised."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
