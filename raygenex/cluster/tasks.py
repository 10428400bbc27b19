"""Many calls of one function on the cluster, a few at a time."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")


def in_tasks(
    function: Callable[[Given], Found], given: Iterable[Given], cpus: float, at_once: int | None = None
) -> Iterator[Found]:
    """Call a function in tasks of the cluster that `connect` opened, and yield what they give as it comes.

    Parameters
    ----------
    function
        Called with each of the values; it travels to the nodes, as do the values.
    given
        Taken as tasks start, so that it may be long.
    cpus
        Logical CPUs of a task.
    at_once
        Tasks under way at most; None: as many as the cluster has CPUs for.
    """
    import ray

    task = ray.remote(num_cpus=cpus)(_call)
    room = max(1, int(ray.cluster_resources().get("CPU", 1.0) / cpus))
    most = room if at_once is None else min(at_once, room)
    waiting = iter(given)
    running: list[Any] = []
    try:
        while True:
            running += [task.remote(function, value) for value in islice(waiting, most - len(running))]
            if not running:
                return
            ready, running = ray.wait(running, num_returns=1)
            yield ray.get(ready[0])
    finally:
        # After a failure what they write into may go away: nothing may still be at work.
        if running:
            ray.wait(running, num_returns=len(running))


def _call(function: Callable[[Given], Found], value: Given) -> Found:
    return function(value)
