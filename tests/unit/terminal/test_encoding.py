import io
import sys

import pytest

from raygenex.terminal.encoding import write_anything


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("ascii", "██░ ▁▅█ \u2013 5 \xd7 3 … é", rb"##. _*# - 5 x 3 ... \xe9"),
        ("latin-1", "█ \u2013 é", b"# - \xe9"),
        ("utf-8", "█ é \udcff", "█ é \\udcff".encode()),
    ],
)
def test_letters_that_a_stream_lacks_are_replaced(monkeypatch, encoding, text, expected):
    for name in ("stdout", "stderr"):
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, encoding=encoding)
        monkeypatch.setattr(sys, name, stream)
        write_anything()
        stream.write(text)
        stream.flush()
        assert written.getvalue() == expected
