"""What Ray does for a driver of `uv run`: it sends the working directory, and makes uv's environment on workers.

Ray has no setting of it but a variable that is read when it is imported.
"""

import os


def is_sent() -> bool:
    """Whether Ray would send the working directory of this process."""
    from ray._private import ray_constants
    from ray._private.runtime_env.uv_runtime_env_hook import _get_uv_run_cmdline

    return bool(ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV and _get_uv_run_cmdline())


def stay_here() -> None:
    """Send nothing to an embedded Ray, whose workers have this environment anyway, unless the user asks for it."""
    from ray._private import ray_constants

    if "RAY_ENABLE_UV_RUN_RUNTIME_ENV" not in os.environ:
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
