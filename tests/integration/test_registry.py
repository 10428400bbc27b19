"""Two trained models at the gate, scored on Ray."""

from collections.abc import Callable

import pytest

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.registry.compare import compare
from raygenex.registry.promote import promote
from raygenex.registry.register import register
from raygenex.registry.versions import list_versions
from raygenex.train.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def test_the_gate_finds_what_training_found(make_config: Callable[..., RunConfig]):
    def config(name: str, l2: float) -> RunConfig:
        values = make_config(name=name, predict={"cpus_per_worker": 0.5}).dump()
        return parse_config(values | {"model": {"kind": "logistic", "k": [1, 2], "l2": l2}}, "the test's configuration")

    first, second = config("first", 1.0), config("second", 1000.0)
    trained = {}
    for run in (first, second):
        trained[run.name] = train(run)
        register(run)
    assert promote(first, "1").moved
    result = promote(second, "2")
    found = result.auroc
    assert found is not None
    assert found.a == pytest.approx(trained["second"].metrics["auroc"], abs=1e-6)
    assert found.b == pytest.approx(trained["first"].metrics["auroc"], abs=1e-6)
    assert found.difference == pytest.approx(found.a - found.b, abs=1e-12)
    assert result.genes == 81
    assert result.moved == (found.low > 0)

    compared = compare(first, "2", "1")
    assert compared.settings == {"name": ("second", "first"), "model.l2": ("1000.0", "1.0")}
    for name, difference in compared.metrics.items():
        assert difference.a == pytest.approx(trained["second"].metrics[name], abs=1e-6), name
    versions = list_versions(first).versions
    assert [version.run_id for version in versions] == [trained["second"].run_id, trained["first"].run_id]
