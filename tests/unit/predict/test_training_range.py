"""Features far outside those of training, by hand."""

import numpy as np
import pytest

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import DataError
from raygenex.predict.training_range import check_range

KNOWN = dict.fromkeys(HALFLIFE_FEATURES, (1.0, 3.0)) | {"CDSGC": (0.5, 0.5)}


def genes(**features):
    row = dict.fromkeys(HALFLIFE_FEATURES, 2.0) | features
    return np.array([[row[name] for name in HALFLIFE_FEATURES]])


@pytest.mark.parametrize(("value", "is_far"), [(-1.0, False), (5.0, False), (-1.1, True), (5.1, True), (1500.0, True)])
def test_far_is_further_than_the_range_is_wide(caplog, value, is_far):
    check_range(genes(CDSLEN=value), HALFLIFE_FEATURES, KNOWN, "genes.h5", strict=False)
    assert (f"CDSLEN {value:g} to {value:g}, in training 1 to 3" in caplog.text) == is_far
    if is_far:
        with pytest.raises(DataError, match=r"half-life features of genes\.h5 are far outside"):
            check_range(genes(CDSLEN=value), HALFLIFE_FEATURES, KNOWN, "genes.h5", strict=True)


def test_a_feature_that_was_the_same_in_all_of_training_says_nothing():
    check_range(genes(CDSGC=0.9), HALFLIFE_FEATURES, KNOWN, "genes.h5", strict=True)


def test_a_model_that_does_not_know_its_range_says_nothing():
    check_range(genes(CDSLEN=1e9), HALFLIFE_FEATURES, None, "genes.h5", strict=True)
