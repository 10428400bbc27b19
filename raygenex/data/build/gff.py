"""The lines of GTF and GFF3 files."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from urllib.parse import unquote

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
_STARTS_AS_GFF3 = re.compile(r"[;\s]*[^;=\s\"]+=")


@dataclass(frozen=True, slots=True)
class Feature:
    """What one line describes, with the attributes that matter."""

    chrom: str
    kind: str
    """Such as gene, transcript, exon or CDS."""
    start: int
    """From 1."""
    end: int
    """The last base."""
    strand: str
    """``+`` or ``-``; ``.`` or ``?`` without one."""
    attributes: dict[str, list[str]]
    """The values of each, in the order of the line."""

    def first(self, *keys: str) -> str:
        """Return the first value of the first of these attributes that has one, or an empty string."""
        return next((values[0] for key in keys if (values := self.attributes.get(key)) and values[0]), "")


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
        self._path = path
        self._lines = self._described(read_lines(path, on_progress))
        self._head = list(islice(self._lines, _LINES_TO_GUESS_FROM))
        self.is_gtf = self._looks_like_gtf()
        """Whether the attributes are written as GTF writes them; else the file is GFF3."""
        self._separator = " " if self.is_gtf else "="
        self._starts = tuple(f"{name}{self._separator}" for name in attributes)

    def features(self, wants: Callable[[str, str], bool]) -> Iterator[tuple[int, Feature]]:
        """Yield line numbers, from 1, and features.

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
                yield number, self._parse(number, line)

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

    def _looks_like_gtf(self) -> bool:
        """Let the first lines say by their attributes how the file is written; those with more of them count more."""
        votes: Counter[bool] = Counter()
        for number, line in self._head:
            self._place(number, line)
            text = line.split("\t", 8)[8].strip()
            votes[bool(text) and not _STARTS_AS_GFF3.match(text)] += text.count(";") + bool(text)
        return bool(votes) and votes.most_common(1)[0][0]

    def _parse(self, number: int, line: str) -> Feature:
        text = line.rpartition("\t")[2]
        quoted = self.is_gtf and _QUOTED_SEMICOLON.search(text)
        attributes: dict[str, list[str]] = {}
        for piece in map(str.strip, _ATTRIBUTE.findall(text) if quoted else text.split(";")):
            # Most attributes do not matter, and most of the time of reading would go into them.
            if piece.startswith(self._starts):
                key, _, value = piece.partition(self._separator)
                attributes.setdefault(key, []).extend(self._values(value.strip().strip('"')))
        chrom, kind, start, end, strand = self._place(number, line)
        return Feature(chrom, kind, start, end, strand, attributes)

    def _values(self, text: str) -> list[str]:
        if self.is_gtf:
            return [text]
        return [unquote(value) for value in ([text] if ", " in text else text.split(","))]

    def _place(self, number: int, line: str) -> tuple[str, str, int, int, str]:
        """Return chromosome, type, start, end and strand of a line."""
        chrom, _, kind, start, end, _, strand, _ = line.split("\t", 8)[:8]
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
        return chrom, kind, int(start), int(end), strand
