"""Making the data set of a run, built or simulated, in the folder that its data section names."""

from pathlib import Path

from raygenex.config.data import SPLITS
from raygenex.config.run import RunConfig
from raygenex.data.build.run import BuildResult, build
from raygenex.data.simulate.run import SimulationResult, simulate
from raygenex.errors import ConfigError
from raygenex.files.locate import is_url


def simulate_data(config: RunConfig, force: bool) -> SimulationResult:
    """Make the data set of the ``simulate`` section in the folder of ``data.train``.

    Raises
    ------
    ConfigError
        If there is no such section, or the data section does not name the files that simulation writes.
    """
    folder = made_folder(config, "simulate")
    assert config.simulate is not None, "checked with the folder"
    return simulate(config.simulate, folder, force)


def build_data(config: RunConfig, force: bool) -> BuildResult:
    """Build the data set of the ``build`` section in the folder of ``data.train``.

    Raises
    ------
    ConfigError
        If there is no such section, or the data section does not name the files that are built.
    """
    return build(config, made_folder(config, "build"), force)


def made_folder(config: RunConfig, verb: str) -> Path:
    """Return the folder that ``simulate`` or ``build`` writes into: that of the splits, named as it names them.

    Raises
    ------
    ConfigError
        If there is no section of that name, or the data section names other files.
    """
    if getattr(config, verb) is None:
        raise ConfigError(f"the config has no {verb} section: add one, or use data of your own")
    paths = {name: config.data.split(name) for name in SPLITS}
    if any(len(found) > 1 for found in paths.values()) or not paths["train"]:
        raise ConfigError(f"{verb} writes one file a split: set data.train, data.valid and data.test to one path each")
    if url := next((found[0] for found in paths.values() if found and is_url(found[0])), None):
        raise ConfigError(
            f"{verb} writes local files, but {url} is a URL: name a local path, then copy the files there"
        )
    folder = Path(paths["train"][0]).expanduser().absolute().parent
    for name, found in paths.items():
        if found and Path(found[0]).expanduser().absolute() != folder / f"{name}.h5":
            raise ConfigError(f"{verb} writes {folder / name}.h5, but data.{name} is {found[0]}: make them agree")
    return folder
