"""The lines of GTF and GFF3 files, parsed by gffutils without its database."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from raygenex.errors import DataError
from raygenex.files.lines import is_position, read_lines

# Ensembl and RefSeq write #!genome-build, GFF3 defines ##genome-build, GENCODE has it in a description.
_BUILD = re.compile(
    r"""\#[\#!]\s*genome-build\s(?:.*\s)?(\S+)\s*$
        |\#\#description:.*?(?:\ genome\ \((\S+?)\)|mapped\ to\ (\S+))""",
    re.VERBOSE,
)
_LINES_TO_GUESS_FROM = 10
_QUOTED_SEMICOLON = re.compile(r'"[^"]*;[^"]*"')
_ATTRIBUTE = re.compile(r'(?:[^;"]|"[^"]*")+')


class FeatureFile:
    """A GTF or GFF3 file, plain or gzip, read once from its start to its end or to its ``##FASTA``.

    Parameters
    ----------
    path
        A local path or an fsspec URL.
    attributes
        Names of the attributes that matter; features have no others.
    on_progress
        Called now and then with the bytes of the file that are read, and all its bytes.

    Raises
    ------
    DataError
        If the file cannot be read, or one of its first lines is of neither format.
    """

    genome_build: str | None = None
    """As the header names it; known once the first line behind the header is read."""

    def __init__(
        self, path: str, attributes: Sequence[str], on_progress: Callable[[int, int], None] | None = None
    ) -> None:
        from gffutils.iterators import DataIterator

        self._path = path
        self._lines = self._described(read_lines(path, on_progress))
        self._head = list(islice(self._lines, _LINES_TO_GUESS_FROM))
        self._dialect = DataIterator([self._parse(number, line, None) for number, line in self._head]).dialect
        self._starts = tuple(f"{name}{self._dialect['keyval separator']}" for name in attributes)

    @property
    def is_gtf(self) -> bool:
        """Whether the attributes are written as GTF writes them; else the file is GFF3."""
        return bool(self._dialect["fmt"] == "gtf")

    def features(self, wants: Callable[[str, str], bool]) -> Iterator[tuple[int, Any]]:
        """Yield line numbers, from 1, and gffutils features.

        Parameters
        ----------
        wants
            Told the type and the whole of a line; lines that it does not want are left out before the slow parsing.

        Raises
        ------
        DataError
            If the file cannot be read to its end, or a wanted line is of neither format.
        """
        for number, line in chain(self._head, self._lines):
            if wants(line.split("\t", 3)[2], line):
                yield number, self._parse(number, self._trim(line), self._dialect)

    def _described(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Yield the lines that describe features, and look for the genome build in the comments."""
        for number, line in lines:
            if line.startswith(("##FASTA", ">")):
                return
            if line.startswith("#"):
                if self.genome_build is None and (match := _BUILD.match(line)):
                    self.genome_build = next(group for group in match.groups() if group)
            elif line.strip():
                if (tabs := line.count("\t")) < 8:
                    raise DataError(
                        f"{self._path}: line {number} has {tabs + 1} columns, but GTF and GFF3 have 9 between "
                        "tabs; correct the line, or name a GTF or GFF3 file"
                    )
                yield number, line

    def _trim(self, line: str) -> str:
        """Leave out the attributes that do not matter: most of the time of reading would go into them."""
        head, _, text = line.rpartition("\t")
        # Every line is cut by itself: one may write "; " where the first ones write ";", or a semicolon in quotes.
        quoted = self.is_gtf and _QUOTED_SEMICOLON.search(text)
        pieces = [piece.strip() for piece in (_ATTRIBUTE.findall(text) if quoted else text.split(";"))]
        kept = [piece for piece in pieces if piece.startswith(self._starts)]
        return f"{head}\t{self._dialect['field separator'].join(kept)}"

    def _parse(self, number: int, line: str, dialect: Any) -> Any:
        from gffutils.feature import feature_from_line

        chrom, _, _, start, end, _, strand, _ = line.split("\t", 8)[:8]
        wrong = None
        if not (is_position(start) and is_position(end) and 1 <= int(start) <= int(end)):
            wrong = f"start {start!r} and end {end!r}, not numbers from 1 in rising order"
        elif strand not in ("+", "-", ".", "?"):
            wrong = f"the strand {strand!r}, not + or -"
        elif not chrom:
            wrong = "no chromosome"
        if wrong:
            what = "correct the line, or name a GTF or GFF3 file"
            raise DataError(f"{self._path}: line {number} has {wrong}; {what}")
        return feature_from_line(line, dialect=dialect)


def first_value(feature: Any, *keys: str) -> str:
    """Return the first value of the first of a feature's attributes that has one, or an empty string."""
    return next((values[0] for key in keys if (values := feature.attributes.get(key)) and values[0]), "")
