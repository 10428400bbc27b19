"""Making the data set of a run, built or simulated, in the folder that its data section names."""

from pathlib import Path

from raygenex.config.base import SPLITS
from raygenex.config.run import RunConfig
from raygenex.data.build.genes import choose, describe_taken
from raygenex.data.build.run import BuildResult, build, find_build
from raygenex.data.simulate.run import SimulationResult, find_simulation, simulate
from raygenex.errors import ConfigError
from raygenex.files.dataset_folder import check_place
from raygenex.files.locate import is_url, short_path, written_path


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
        If there is no section of that name, or the data section names other files or longer windows.
    DataError
        If a file is where the folder goes, or a folder where a file goes.
    """
    if getattr(config, verb) is None:
        raise ConfigError(f"the config has no {verb} section: add one, or use data of your own")
    if verb == "build" and not config.builds_data:
        raise ConfigError("build names no source of genes: set build.annotation or build.features")
    paths = {name: config.data.split(name) for name in SPLITS}
    if any(len(found) > 1 for found in paths.values()) or not paths["train"]:
        raise ConfigError(
            f"{verb} writes one file per split: set data.train, data.valid and data.test to one path each"
        )
    if url := next((found[0] for found in paths.values() if found and is_url(found[0])), None):
        raise ConfigError(
            f"{verb} writes local files, but {url} is a URL: name a local path, then copy the files there"
        )
    folder = written_path(paths["train"][0], "data.train").absolute().parent
    for name, found in paths.items():
        if found and written_path(found[0], f"data.{name}").absolute() != folder / f"{name}.h5":
            raise ConfigError(f"{verb} writes {folder / name}.h5, but data.{name} is {found[0]}: make them agree")
    check_place(folder, [f"{name}.h5" for name in SPLITS])
    made = _made_window(config, verb)
    if made and config.data.window and config.data.window > made:
        raise ConfigError(
            f"data.window is {config.data.window}, but {verb}.window makes promoters of {made} bases: "
            "lower the first, or raise the second"
        )
    return folder


def _made_window(config: RunConfig, verb: str) -> int:
    """Return how many bases a promoter would have; 0 without promoters."""
    if verb == "simulate":
        assert config.simulate is not None, "checked by the caller"
        return config.simulate.window
    assert config.build is not None, "checked by the caller"
    first, stop = config.build.window
    return stop - first if config.build.promoters else 0


def plan_simulate(config: RunConfig, force: bool) -> str:
    """Say whether the data set would be made or reused; refuse where `data simulate` would."""
    folder = made_folder(config, "simulate")
    assert config.simulate is not None, "checked with the folder"
    found = None if force else find_simulation(config.simulate, folder)
    return f"simulate: {'reuse' if found else 'make'} the data set in {short_path(str(folder))}"


def plan_build(config: RunConfig, force: bool) -> str:
    """Say how many genes would be built where; the inputs are read and checked, but for the genome's bases."""
    folder = made_folder(config, "build")
    assert config.build is not None, "checked with the folder"
    if not force and find_build(config, folder) is not None:
        return f"build: reuse the data set in {short_path(str(folder))}"
    chosen = choose(config)
    origin = chosen.origin
    genes = (
        f"build: {len(origin.genes)} genes of {short_path(origin.where)} into {short_path(str(folder))}, "
        f"split by {config.split.rule} ({len(origin.dropped)} genes stay out)"
    )
    taken = describe_taken(origin.columns, config.build.label.aggregate, chosen.threshold, origin.features_scale)
    return "; ".join([genes, *taken])


def plan_data(config: RunConfig) -> tuple[list[str], bool]:
    """Say what would be done to make the data, and whether they are there already."""
    if config.simulate is not None:
        made = find_simulation(config.simulate, made_folder(config, "simulate")) is not None
        return [plan_simulate(config, force=False)], made
    if config.builds_data:
        return [plan_build(config, force=False)], find_build(config, made_folder(config, "build")) is not None
    return [], True
