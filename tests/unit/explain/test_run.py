from raygenex.explain.run import ExplainResult


def test_gaps_are_in_logits():
    summary = {"projection": None, "halflife": None, "agreement": [], "notes": []}
    methods = {"integrated_gradients": {"genes": 7, "seconds": 1.5, "largest_delta": 0.0123, "unconverged": 2}}
    found = ExplainResult("/runs/a", "cnn_dna_only", "valid", 7, 20, -10, False, methods, 7, summary, 2.0)
    line = found.text().splitlines()[2]
    assert line.endswith("7 genes       1.5 s, largest gap 0.012 logits, 2 genes above explain.tolerance")
