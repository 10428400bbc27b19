import pytest
from toy_genome import GTF, write_toy_genome

from raygenex.config.data import BuildConfig
from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.candidates import find_candidates
from raygenex.data.genome import open_genome


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Return a function that finds the candidates of the toy genome; the text of its GTF may be changed."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    paths = write_toy_genome(tmp_path)

    def call(gtf=GTF, **settings):
        (tmp_path / "genes.gtf").write_text(gtf, encoding="utf-8")
        values = {"genome": paths["genome"], "annotation": paths["annotation"], "window": [-10, 10]} | settings
        config = BuildConfig.model_validate(values | {"label": {"table": paths["expression"]}})
        annotation = read_annotation(config.annotation, None, config.chromosomes)
        return find_candidates(annotation, open_genome(config.genome), config)

    return call
