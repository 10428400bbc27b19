"""The two places where Ray Tune has no public call for what a study needs; both were read in Ray 2.60."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class OutOfMemory(RayActorError):
    """The loss of a trial's process that Ray ended because its node had no memory left."""


@contextmanager
def memory_losses_recovered() -> Iterator[None]:
    """Let a trial that Ray ended for want of memory be one that lost its process.

    Since an actor that is ended for want of memory says so (ray-project/ray#29736), its error is not a
    `RayActorError` any more. Ray Tune knows no other errors of a process: it would end the whole search, whatever
    ``max_failures`` is, and no option or callback comes before that.
    """
    fail = RayActorManager._actor_task_failed

    def recover(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        fail(manager, tracked_actor_task, OutOfMemory() if isinstance(exception, OutOfMemoryError) else exception)

    RayActorManager._actor_task_failed = recover
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = fail


def trial_error(trial: Any) -> Any:
    """Return the error that Ray Tune wrote down for a trial; None if it knows none.

    Ray Tune hands callbacks no error. It has just pickled it into a folder of this process, and `get_pickled_error` of
    a trial reads the copy in the study's storage, which is made later.
    """
    path = trial.pickled_error_file
    return None if path is None else pickle.loads(Path(path).read_bytes())
