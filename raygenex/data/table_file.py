"""Tables of the user's as files: expression, features, groups, measured half-lives; text or Parquet."""

import csv
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO

from raygenex.data.repeats import first_repeat
from raygenex.errors import DataError
from raygenex.files.lines import LONGEST_LINE, unpacked, unreadable
from raygenex.files.locate import local_copy

if TYPE_CHECKING:
    import pandas as pd

ROW_NAMES = ""
"""Name of the first column of a table that names its rows and not their column, as R and pandas write it."""

_MOST_COMMENTS = 100_000


def read_table_file(path: str, quoted: bool = False) -> "pd.DataFrame":
    """Read a whole table; every value stays text, but in Parquet.

    A table whose rows are all one field longer than its header has the names of its rows first (`ROW_NAMES`), as R's
    write.table makes it. A field more that is empty in every row is left out; rows of other lengths are refused.

    Parameters
    ----------
    path
        A local path or fsspec URL whose name ends in .parquet, .csv or .tsv (also .txt), the last three also with .gz.
    quoted
        Whether quotes enclose values in tab-separated tables; they always do in CSV.

    Raises
    ------
    DataError
        If the file is missing, not such a table, truncated or empty, a row is longer or shorter than the header, or a
        column is in it twice or has no name.
    """
    import pandas as pd
    from pandas.errors import EmptyDataError, ParserError
    from pyarrow import ArrowInvalid

    name = path.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            table = pd.read_parquet(local_copy(path))
            name, names_rows = table.index.name, table.index.nlevels == 1 and not isinstance(table.index, pd.RangeIndex)
            # An index that is a column too says nothing more.
            if names_rows and not (name in table.columns and table.index.equals(pd.Index(table[name]))):
                table.insert(0, name or ROW_NAMES, table.index, allow_duplicates=True)
            table.columns = [str(column).strip() for column in table.columns]
        elif name.endswith((".csv", ".tsv", ".txt")):
            table = _read_text(path, "," if name.endswith(".csv") else "\t", quoted)
        else:
            # What is wrong with the path comes before what its name should be.
            with open(local_copy(path), "rb"):
                pass
            raise DataError(f"{path} is not a table that can be read: name a .tsv, .csv (also .gz) or .parquet file")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, EOFError) as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8: save it as UTF-8, or name it .gz if it is gzip") from None
    except (ParserError, EmptyDataError, ArrowInvalid, OSError, zlib.error, csv.Error) as error:
        reason = " ".join(str(error).split()).replace(". ", ", ")[:160]
        raise DataError(f"{path} cannot be read as a table ({reason}); check the file") from None
    except MemoryError:
        raise DataError(f"{path} does not fit into the memory as a table; leave out what is not needed") from None
    names = list(table.columns)
    if ROW_NAMES in names[1:]:
        raise DataError(f"{path}: column {names.index(ROW_NAMES, 1) + 1} has no name; give it one in the header")
    if (repeat := first_repeat(lambda: [names])) is not None:
        raise DataError(f"{path} has the column {repeat.id} twice; rename one of them")
    if table.empty:
        raise DataError(f"{path} has no rows; check the file")
    return table


def _read_text(path: str, separator: str, quoted: bool) -> "pd.DataFrame":
    """Read a table of text whose rows are as long as its header, or one longer for the names of the rows."""
    import pandas as pd

    local = local_copy(path)
    with _opened_text(local) as stream:
        before, first = _skip_comments(stream)
        _check_header(path, before, first, separator)
        comments = len(before)
        # In most tab-separated tables a quote is a letter: 5' and 3" are in names.
        enclosed = all(re.fullmatch(r'"[^"]*"', name) for name in first.rstrip("\r\n").split(separator))
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted or separator == "," or enclosed else csv.QUOTE_NONE
        rows = csv.reader(chain([first], stream), delimiter=separator, quoting=quoting)
        header = [name.strip() for name in next(rows, [])]
        read = comments + rows.line_num
        _check_separator(path, header, separator)
        names = _names(path, header, rows, comments, separator)
    with _opened_text(local) as stream:
        for _ in range(read):
            stream.readline()
        table = pd.read_csv(
            stream,
            sep=separator,
            dtype=str,
            header=None,
            names=range(len(names)),
            keep_default_na=False,
            index_col=False,
            quoting=quoting,
        )
    while len(names) > 1 and names[-1] == "" and (table.iloc[:, -1].str.strip() == "").all():
        names, table = names[:-1], table.iloc[:, :-1]
    table.columns = names
    return table


def _check_separator(path: str, header: list[str], separator: str) -> None:
    others = [letter for letter in "\t;," if letter != separator and letter in header[0]] if len(header) == 1 else []
    if others:
        words = {"\t": "tabs", ";": "semicolons", ",": "commas"}
        raise DataError(
            f"{path}: the fields of its header are separated by {words[others[0]]}; separate them by commas in a .csv, "
            "by tabs in a .tsv or .txt"
        )


def _names(path: str, header: list[str], rows: Any, comments: int, separator: str) -> list[str]:
    """Return the names of all columns; rows longer than the header have a name each, unless what is more is empty."""
    exact = longer = False
    for row in rows:
        if any("\n" in field and separator in field for field in row):
            # A quote that nobody closed, or opened, takes rows into a field without a word.
            raise DataError(
                f"{path}: a quote before line {comments + rows.line_num} encloses the end of a line and more fields: "
                "close the quote, or take it out"
            )
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        more = len(row) - len(header)
        exact |= more == 0
        longer |= more == 1 and row[-1].strip() != ""
        if more not in (0, 1) or (exact and longer):
            raise DataError(
                f"{path}: line {comments + rows.line_num} has {len(row)} fields and the header has {len(header)}: "
                "correct the line, or the header (rows may have their names as one field more, if all have it)"
            )
    return [ROW_NAMES, *header] if longer else [*header, ""]


@contextmanager
def _opened_text(local: str) -> Iterator[TextIO]:
    with opened_table(local) as stream:
        yield io.TextIOWrapper(stream, "utf-8-sig", newline="")


@contextmanager
def opened_table(local: str) -> Iterator[BinaryIO]:
    """Open a table, plain or, if its name says so, gzip; reading raises what `unpacked` does."""
    with open(local, "rb") as raw:
        yield unpacked(raw) if local.lower().endswith(".gz") else raw


def _skip_comments(stream: TextIO) -> tuple[list[str], str]:
    """Read up to the header; return the lines before it, and its own first line, empty if there is none.

    Lines that start with # before the header are comments; a later # may belong to a value.
    """
    lines: list[str] = []
    while (line := stream.readline(LONGEST_LINE)).startswith("#") or line.isspace():
        lines.append(line)
        if len(lines) > _MOST_COMMENTS:
            raise OSError(f"over {_MOST_COMMENTS} lines of comments")
    return lines, line


_ID_WORDS = (
    "gene geneid genename genesymbol geneids symbol id name ensembl ensemblid ensemblgeneid ensg transcript "
    "transcriptid targetid feature featureid locus locustag probe probeid trackingid"
)
_ID_NAMES = frozenset(_ID_WORDS.split())
"""What tables call the column of their ids, in lower case without blanks and signs."""


def _check_header(path: str, comments: list[str], first: str, separator: str) -> None:
    """Refuse, by a DataError, a table whose header is a comment, or that begins with what no reader takes for one."""
    if re.fullmatch(r'"?sep=[^"\w]"?', first.strip()):
        raise DataError(f"{path}: its first line ({first.strip()}) is Excel's own; remove it")
    if comments and re.fullmatch(r"#1\.[23]", comments[-1].strip()):
        raise DataError(f"{path} is a GCT file: remove its first two lines, and name it .tsv")
    if _calls_ids(first, separator):
        return
    for comment in comments:
        if _calls_ids(comment, separator) and comment.count(separator) == first.count(separator):
            raise DataError(
                f"{path}: the line {comment.strip()[:60]!r} names its columns, but a line that starts with # is a "
                "comment; take the # out"
            )


def _calls_ids(line: str, separator: str) -> bool:
    return re.sub(r"[\W_]+", "", line.split(separator)[0]).lower() in _ID_NAMES
