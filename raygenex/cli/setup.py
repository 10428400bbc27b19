"""The verbs that begin: `env`, `init`, `config show` and `config schema`."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from raygenex import __version__
from raygenex.cli.options import Action, Debug, Force, Json, Printed, begin, verb
from raygenex.config.load import config_text
from raygenex.config.run import RunConfig
from raygenex.files.locate import check_new_file

app = typer.Typer()
group = typer.Typer(help="Show the resolved configuration, or its schema.", no_args_is_help=True)

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


STARTER = """\
# A raygenex run. Every key is optional but data.train and data.valid. `raygenex config show FILE` prints all keys with
# their defaults, `raygenex config schema` their meaning. $NAME, ${NAME} and ${NAME:-default} are variables.
name: first            # the run's folder is OUTPUT/NAME
output: runs           # embeddings, checkpoints, figures and the local MLflow database go here
seed: 0

data:                  # HDF5 with gene_id (N), halflife (N, 8), promoter (N, L, 4) one-hot ACGT, label (N) 0/1
  train: data/train.h5 # paths, globs, lists of them, or URLs such as s3://bucket/train-*.h5
  valid: data/valid.h5 # chooses the epoch and the decision threshold
  test: data/test.h5   # read only by `raygenex evaluate --split test`
  # window: 2000       # keep this many bases around the centre

backbone:
  kind: onehot         # the CNN reads bases; `hyenadna` embeds them first with `raygenex embed`
  # kind: hyenadna
  # weights: LongSafari/hyenadna-small-32k-seqlen-hf
  # revision: 8fe770c78eb13fe33bf81501612faeddf4d6f331

model:
  kind: cnn_halflife_encoded   # or cnn_halflife_raw, cnn_dna_only, cnn_halflife_only, lstm, xgboost_kmer, ...
  dropout: 0.5

train:
  epochs: 50
  global_batch_size: 32
  learning_rate: 1.0e-4
  patience: 10
  workers: 1           # DDP workers
"""


@app.command()
def env(context: typer.Context, as_json: Json = False, debug: Debug = False) -> None:
    """Show versions, processors, GPUs and Ray's address."""
    session = begin(context, debug)
    values = describe_environment()
    session.print_values(values, as_json, "\n".join(f"{key:<14} {value}" for key, value in values.items()))


@app.command()
def init(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("raygenex.yaml"),
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a configuration to start from."""
    session = begin(context, debug)
    from raygenex.files.whole import replace_text

    check_new_file(path, str(path), force)
    replace_text(path, STARTER)
    session.say(f"wrote {path}: set data.train and data.valid, then `raygenex run {path}`")


@verb(group, dry_run=False)
def show(settings: RunConfig) -> Action:
    """Print the configuration with its defaults."""
    values = settings.dump()
    text = f"# hash {settings.hash()}\n{config_text(values).rstrip()}"
    return Action(lambda: Printed(values, text))


@group.command()
def schema(context: typer.Context, debug: Debug = False) -> None:
    """Print the configuration's JSON schema."""
    begin(context, debug).say(json.dumps(RunConfig.model_json_schema(), indent=2))
