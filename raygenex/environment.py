"""What this machine offers a run."""

import os
import platform
from importlib import metadata

from raygenex import __version__

_PACKAGES = ("ray", "torch", "mlflow", "transformers", "h5py", "numpy", "pyarrow")


def describe_environment() -> dict[str, str]:
    """Return versions, processors, memory, GPUs and the Ray address, as text by name."""
    import psutil
    import torch

    found = {"raygenex": __version__, "python": platform.python_version(), "platform": platform.platform()}
    found |= {name: metadata.version(name) for name in _PACKAGES}
    memory = psutil.virtual_memory()
    found["cpus"] = (
        f"{os.cpu_count()} ({len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else '?'} usable)"
    )
    found["memory"] = f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB free"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found["gpus"] = ", ".join(names) or "none"
    found["ray_address"] = os.environ.get("RAY_ADDRESS", "none: an embedded Ray is started")
    return found
