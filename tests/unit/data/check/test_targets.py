"""What a check says of targets: shares measured, values, correlations, and what being measured tells."""

import numpy as np
import pytest
from toy_models import columns, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.check.check import check_run
from raygenex.data.check.page import render_page
from raygenex.data.hdf5.schema import Target
from raygenex.data.hdf5.write import PromoterWriter


@pytest.fixture
def report(tmp_path):
    """Return a function that checks 40 genes of two targets, the second of which only genes of label 1 have."""

    def make(telling, labelled=True):
        genes = columns(40, 20)
        level = np.arange(40, dtype=np.float32)
        other = -2 * level + 1
        other[(genes["label"] == 0) if telling else (np.arange(40) % 4 < 2)] = np.nan
        path = tmp_path / f"{telling}.h5"
        targets = (Target("level", "continuous", "TPM"), Target("other", "continuous"))
        parts = [genes[name] for name in ("gene_id", "sequence", "halflife")] + [genes["label"] if labelled else None]
        with PromoterWriter(path, 20, targets=targets) as writer:
            writer.append(*parts, {"targets": np.c_[level, other]})
        config = parse_config({"data": {"train": str(path)}, "targets": ["level", "other"]}, "test")
        return check_run(config, lambda done, total: None)

    return make


def test_targets_are_summed_up(report):
    found = report(telling=False)
    level, other = (found.splits["train"].targets[name] for name in ("level", "other"))
    assert (level.kind, level.unit, level.measured, other.measured) == ("continuous", "TPM", 40, 20)
    assert (level.mean, level.min, level.max) == (19.5, 0, 39)
    assert level.correlations == {"other": pytest.approx(-1)}
    assert other.correlations == {"level": pytest.approx(-1)}
    assert not any("was measured predicts" in sentence for sentence in found.warnings)
    for text in (found.text(), found.values()["splits"]["train"]["targets"]["other"]["kind"]):
        assert "continuous" in text
    assert "50.0%" in found.text()


def test_being_measured_that_tells_of_the_label_is_warned_of(report):
    (told,) = [sentence for sentence in report(telling=True).warnings if "was measured predicts label" in sentence]
    assert "other" in told
    assert "1.000" in told


def test_files_without_labels_say_so(report):
    found = report(telling=False, labelled=False)
    assert found.splits["train"].targets["level"].measured == 40
    assert [sentence for sentence in found.warnings if "no labels" in sentence]


def test_a_feature_beyond_the_eight_is_summed_up_beside_them(tmp_path):
    """Half of the genes have it, those of label 1."""
    genes = columns(40, 20)
    table = tmp_path / "rates.tsv"
    rows = [f"{gene}\t{number if number % 2 else ''}" for number, gene in enumerate(genes["gene_id"])]
    table.write_text("\n".join(["gene_id\trate", *rows]) + "\n")
    data = {"train": write_promoters(tmp_path / "a.h5", genes)}
    features = ["halflife", {"name": "rate", "table": str(table)}]
    config = parse_config({"data": data | {"features": features}}, "test")
    found = check_run(config, lambda done, total: None)
    ((name, rate),) = found.splits["train"].targets.items()
    assert (name, rate.kind, rate.measured, rate.min, rate.max) == ("rate", "feature", 20, 1, 39)
    (told,) = [sentence for sentence in found.warnings if "was measured predicts" in sentence]
    assert "rate" in told
    assert "label" in told
    page = render_page(found, config.data, config.check)
    assert '<td class="name">rate</td>' in page
    assert "50.0%" in page
