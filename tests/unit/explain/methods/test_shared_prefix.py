import numpy as np
import pytest
from toy_explain import draw_genes, hyena_function

from raygenex.explain.methods.shared_prefix import prefix_logits


@pytest.mark.parametrize("embed", [{"bin_size": 1, "dtype": "float32"}, {"bin_size": 7}, {"pooling": "max"}])
def test_logits_are_those_of_whole_passes(embed, tmp_path):
    function = hyena_function(tmp_path / "a", embed)
    codes, halflife = draw_genes(2)
    places, bases = (array.ravel() for array in np.meshgrid(np.arange(60), np.arange(4), indexing="ij"))
    # Every substitution, then few that are far from one another.
    for some in (slice(None), slice(3, None, 45)):
        changed = np.repeat(codes[:1], len(places[some]), axis=0)
        changed[np.arange(len(changed)), places[some]] = bases[some]
        wanted = function.logits_of_codes(changed, np.repeat(halflife[:1], len(changed), axis=0))
        found = prefix_logits(function, codes[0], halflife[0], places[some], bases[some])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
        assert np.ptp(wanted) > 1e-4
