import html
import logging
import sys

import pytest

from raygenex.cli import main


@pytest.fixture
def blank_figures(monkeypatch):
    """Leave the figures of pages empty: drawing them takes most of the time of a page."""
    monkeypatch.setattr(
        "raygenex.drawing.svg.from_figure",
        lambda name, title, figure: f'<svg role="img" aria-label="{html.escape(title)}"></svg>',
    )


@pytest.fixture
def raygenex(capsys, monkeypatch, tmp_path):
    """Return a function that runs the command line in this process: exit code, standard output, standard error."""
    root, package = logging.getLogger(), logging.getLogger("raygenex")
    before = root.handlers[:], root.level, package.level
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["raygenex", *map(str, arguments)])
        code = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    yield call
    root.handlers[:], root.level = before[:2]
    logging.setLogRecordFactory(logging.LogRecord)
    package.setLevel(before[2])
