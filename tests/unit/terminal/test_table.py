"""Tables of text: columns are as wide as their widest cell."""

from raygenex.terminal.table import columns

ROWS = [("name", "genes", "note"), ("a", "12,000", ""), ("longer name", "7", "new")]


def test_columns_are_aligned_to_the_left():
    assert columns(ROWS) == [
        "name         genes   note",
        "a            12,000",
        "longer name  7       new",
    ]


def test_columns_of_numbers_are_aligned_to_the_right():
    assert columns(ROWS, "<><") == [
        "name          genes  note",
        "a            12,000",
        "longer name       7  new",
    ]
