"""What several trainings read, made before the first of them."""

from raygenex.config.run import RunConfig
from raygenex.data.make import build_data, simulate_data
from raygenex.embed.run import embed


def make_inputs(config: RunConfig, embeddings: bool) -> None:
    """Make what is not there: the data set, where the configuration says how, and the embeddings of its promoters.

    Parameters
    ----------
    config
        Of the trainings.
    embeddings
        Whether any of them reads what the backbone makes of the bases.
    """
    if config.simulate is not None:
        simulate_data(config, force=False)
    if config.build is not None:
        build_data(config, force=False)
    if embeddings:
        embed(config)
